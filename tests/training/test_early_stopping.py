"""Which epoch is the best, and when a stage ends early."""

import keras
import pytest

from tfft.errors import ConfigError
from tfft.tasks.evaluators.base import reported
from tfft.tasks.evaluators.classification import ClassificationEvaluator
from tfft.tasks.multi_task.multi_task import MultiTask
from tfft.tasks.text.text_classification import TextClassification
from tfft.tasks.text.text_regression import TextRegression
from tfft.training.early_stopping import EarlyStopping, better, check, exhausted, lower_is_better
from tfft.training.stage import Stage

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
    stage = Stage(
        name="s", early_stopping=EarlyStopping(patience=2, monitor="val_accuracy", min_delta=0.01)
    )
    assert exhausted(records("val_accuracy", [0.5, 0.6, 0.605]), 0, stage) is None
    why = exhausted(records("val_accuracy", [0.5, 0.6, 0.605, 0.609]), 0, stage)
    assert why == (
        "stage 's' ends early: val_accuracy was 0.6000 after epoch 2 and has not improved by more "
        "than 0.01 in 2 epochs"
    )
    assert exhausted(records("val_accuracy", [0.5, 0.6, 0.605, 0.62]), 0, stage) is None


def test_other_stages_and_no_patience_do_not_count():
    falling = records("val_accuracy", [0.9, 0.8, 0.7])
    assert exhausted(falling, 1, Stage(early_stopping=EarlyStopping(patience=1))) is None
    assert exhausted(falling, 0, Stage()) is None
    assert exhausted(falling, 0, Stage(early_stopping=EarlyStopping(patience=1)))


def test_a_metric_that_no_epoch_has_is_refused():
    check(Stage(early_stopping=EarlyStopping(monitor="val_macro_f1")), TASK, True)
    check(Stage(early_stopping=EarlyStopping(monitor="loss", patience=2)), TASK, False)
    with pytest.raises(ConfigError, match="val_macrof1") as caught:
        check(Stage(early_stopping=EarlyStopping(monitor="val_macrof1")), TASK, True)
    assert "val_macro_f1" in str(caught.value)
    with pytest.raises(ConfigError, match="no validation split"):
        check(Stage(early_stopping=EarlyStopping(patience=2)), TASK, False)
    with pytest.raises(ConfigError, match="'loss_val' is no metric"):
        check(Stage(early_stopping=EarlyStopping(monitor="loss_val")), TASK, False)


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("lower", [False, True])
def test_a_value_that_is_not_finite_never_wins_and_never_blocks(broken, lower):
    bad, good = ({"val_figure": value, "val_loss": value} for value in (broken, 0.5))
    for monitor in ("val_figure", "val_loss", None):
        assert not better(bad, good, monitor, lower=lower)
        assert better(good, bad, monitor, lower=lower)
        assert not better(bad, bad, monitor, lower=lower)
    stage = Stage(name="s", early_stopping=EarlyStopping(patience=2, monitor="val_figure"))
    one = {"stage_number": 0, "epoch": 1, "val_loss": 1.0}
    values = [{**one, "val_figure": value} for value in (broken, 0.5, broken, 0.6, broken)]
    assert exhausted(values, 0, stage) is None
    assert exhausted([*values, values[-1]], 0, stage)


class Counted(keras.metrics.Mean):
    """A metric of a user's own, whose name says nothing and whose direction Keras cannot know."""


class OwnEvaluator(ClassificationEvaluator):
    """Two names hold "error", and one of them should be large."""

    metrics = (
        *ClassificationEvaluator.metrics,
        *reported({"error_free": "error-free texts", "cost": "cost"}, less_is_better=("cost",)),
    )


class Own(TextClassification):
    """A task with metrics of its own."""

    def build_evaluator(self):
        return OwnEvaluator(self.target.names, self.build_loss)

    def build_metrics(self):
        keras_own = [keras.metrics.MeanSquaredError(name="gap"), keras.metrics.Precision(name="p")]
        own = [Counted(name=name) for name in ("error_free", "cost", "counted", "accuracy")]
        return [*keras_own, *own]


def test_the_task_says_if_a_smaller_value_is_better():
    task = Own(["a", "b"])
    names = {"loss": True, "gap": True, "p": False, "error_free": False, "cost": True}
    for name, lower in names.items():
        for prefix in ("", "val_"):
            assert lower_is_better(EarlyStopping(monitor=prefix + name), task) is lower
    tasks = MultiTask({"a": TextRegression(), "b": TASK})
    for name, lower in {"a_mae": True, "b_accuracy": False, "loss": True}.items():
        assert lower_is_better(EarlyStopping(monitor=f"val_{name}"), tasks) is lower


def test_an_unknown_direction_is_refused_and_can_be_given():
    task = Own(["a", "b"])
    with pytest.raises(ConfigError, match="does not declare") as caught:
        check(Stage(early_stopping=EarlyStopping(monitor="val_counted")), task, True)
    assert "EarlyStopping.mode = 'max' or 'min'" in str(caught.value)
    for mode, lower in (("min", True), ("max", False)):
        stage = Stage(early_stopping=EarlyStopping(monitor="val_counted", mode=mode))
        check(stage, task, True)
        assert lower_is_better(stage.early_stopping, task) is lower
    with pytest.raises(ConfigError, match="largest loss"):
        check(Stage(early_stopping=EarlyStopping(monitor="val_loss", mode="max")), task, True)


def test_the_direction_decides_what_is_better():
    low, high = {"val_cost": 0.1, "val_loss": 1.0}, {"val_cost": 0.2, "val_loss": 1.0}
    assert better(low, high, "val_cost", lower=True)
    assert not better(low, high, "val_cost")
    stage = Stage(name="s", early_stopping=EarlyStopping(patience=1, monitor="val_cost"))
    falling = [{"stage_number": 0, "epoch": 1, **high}, {"stage_number": 0, "epoch": 2, **low}]
    assert exhausted(falling, 0, stage, lower=True) is None
    assert exhausted(falling, 0, stage, lower=False)
