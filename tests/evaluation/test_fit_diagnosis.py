"""What learning curves say, on curves that were made to show it."""

import math

import pytest

from tfft.evaluation.fit_diagnosis import fitting

COIN = math.log(2)


def judged(train, valid, constant=COIN):
    records = [{"loss": t, "val_loss": v} for t, v in zip(train, valid, strict=True)]
    return fitting(records, constant)


@pytest.mark.parametrize(
    ("verdict", "train", "valid"),
    [
        ("overfitting", [0.6, 0.4, 0.2, 0.1], [0.5, 0.42, 0.48, 0.6]),
        ("overfitting", [0.7, 0.5, 0.45], [0.50, 0.40, 0.45]),
        ("underfitting", [0.70, 0.69, 0.69, 0.69], [0.69, 0.69, 0.69, 0.69]),
        ("underfitting", [0.71, 0.69, 0.67], [0.69, 0.68, 0.66]),
        ("still_improving", [0.6, 0.5, 0.42], [0.55, 0.48, 0.42]),
        ("fine", [0.6, 0.45, 0.40, 0.38], [0.5, 0.42, 0.41, 0.412]),
        ("gap", [0.6, 0.3, 0.15, 0.12], [0.5, 0.42, 0.41, 0.412]),
        ("too_few_epochs", [0.6, 0.5], [0.55, 0.6]),
        ("too_few_epochs", [0.6], [0.55]),
        # Dropout: a training loss that stays above validation is no sign of anything.
        ("fine", [0.9, 0.8, 0.78, 0.77], [0.5, 0.42, 0.41, 0.412]),
        # Validation loss went up and down again: what counts is where it ended.
        ("fine", [0.6, 0.5, 0.45, 0.42], [0.45, 0.50, 0.46, 0.45]),
        # Training loss rose with it, as after a rate that is too high: not overfitting.
        ("fine", [0.5, 0.4, 0.5], [0.5, 0.40, 0.48]),
        # A rise within the noise of a small loss.
        ("fine", [0.04, 0.03, 0.02], [0.030, 0.022, 0.026]),
    ],
)
def test_made_curves(verdict, train, valid):
    assert judged(train, valid)["verdict"] == verdict


def test_the_sentences_name_the_figures():
    said = judged([0.6, 0.4, 0.2, 0.1], [0.5, 0.42, 0.48, 0.6])["sentence"]
    assert said == (
        "Overfitting after epoch 2: validation loss rose from 0.420 to 0.600 while training loss "
        "fell from 0.400 to 0.100."
    )
    assert judged([0.6], [0.5])["sentence"].startswith("1 epoch: too few")
    assert "0.693" in judged([0.7] * 3, [0.7] * 3)["sentence"]


def test_without_validation_or_finite_losses():
    assert fitting([{"loss": 0.5}] * 4)["verdict"] == "no_validation"
    assert fitting([])["verdict"] == "no_validation"
    broken = [{"loss": 0.5, "val_loss": 0.5}, {"loss": math.nan, "val_loss": math.nan}]
    assert fitting(broken)["verdict"] == "diverged"
    # Without the loss of constant probabilities nothing is called underfitting.
    assert judged([0.69] * 3, [0.69] * 3, None)["verdict"] == "fine"
