"""Which epoch is the best, and when a stage ends early."""

import pytest

from tfft.errors import ConfigError
from tfft.monitor import better, check, exhausted
from tfft.stage import Stage
from tfft.tasks.text_classification import TextClassification

TASK = TextClassification(["a", "b"], metrics=("accuracy", "macro_f1"))


def records(name, values, stage=0):
    return [
        {"stage_number": stage, "epoch": number, name: value, "val_loss": 1.0}
        for number, value in enumerate(values, 1)
    ]


def test_more_accuracy_is_better_and_less_loss():
    assert better({"val_accuracy": 0.8}, {"val_accuracy": 0.7}, "val_accuracy")
    assert not better({"val_loss": 0.8}, {"val_loss": 0.7}, "val_loss")
    assert better({"val_loss": 0.6}, {"val_loss": 0.7}, "val_loss")


def test_without_a_name_accuracy_decides_then_loss_then_the_later():
    one = {"val_accuracy": 0.8, "val_loss": 0.5}
    assert better(one, {"val_accuracy": 0.7, "val_loss": 0.1}, None)
    assert better(one, {"val_accuracy": 0.8, "val_loss": 0.6}, None)
    assert not better(one, one, None)
    assert better({"loss": 2.0}, {"loss": 1.0}, None)


def test_a_best_epoch_of_another_stage_without_the_figure_is_the_worst():
    assert better({"val_macro_f1": 0.1}, {"val_accuracy": 0.9}, "val_macro_f1")


def test_patience_counts_epochs_without_a_change_that_is_large_enough():
    stage = Stage(name="s", patience=2, monitor="val_accuracy", min_change=0.01)
    assert exhausted(records("val_accuracy", [0.5, 0.6, 0.605]), 0, stage) is None
    why = exhausted(records("val_accuracy", [0.5, 0.6, 0.605, 0.609]), 0, stage)
    assert why == (
        "stage 's' ends early: val_accuracy was 0.6000 after epoch 2 and has not improved by more "
        "than 0.01 in 2 epochs"
    )
    assert exhausted(records("val_accuracy", [0.5, 0.6, 0.605, 0.62]), 0, stage) is None


def test_other_stages_and_no_patience_do_not_count():
    falling = records("val_accuracy", [0.9, 0.8, 0.7])
    assert exhausted(falling, 1, Stage(patience=1)) is None
    assert exhausted(falling, 0, Stage()) is None
    assert exhausted(falling, 0, Stage(patience=1))


def test_a_figure_that_no_epoch_has_is_refused():
    check(Stage(monitor="val_macro_f1"), TASK, True)
    check(Stage(monitor="loss", patience=2), TASK, False)
    with pytest.raises(ConfigError, match="val_macrof1") as caught:
        check(Stage(monitor="val_macrof1"), TASK, True)
    assert "val_macro_f1" in str(caught.value)
    with pytest.raises(ConfigError, match="no validation split"):
        check(Stage(patience=2), TASK, False)
    with pytest.raises(ConfigError, match="'loss_val' is no figure"):
        check(Stage(monitor="loss_val"), TASK, False)
