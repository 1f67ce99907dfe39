"""Metrics of classification, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, log_loss, matthews_corrcoef

from tfft.errors import DataError, UserError
from tfft.metrics.classification.reliability import reliability
from tfft.metrics.confidence_intervals import (
    Figure,
    areas,
    count_intervals,
    example_intervals,
    ranked_are_resampled,
    resamples_for,
    share_interval,
)


def classification_metrics(
    truth: np.ndarray,
    probabilities: np.ndarray,
    names: Sequence[str],
    predicted: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns all that is reported of a classifier.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
      names: of the classes, in the order of the columns.
      predicted: class numbers, int [n]; None for the most probable ones.

    Returns:
      accuracy with its Wilson interval (Wilson, 1927); with bias-corrected bootstrap intervals
      (Efron, 1987) macro and weighted F1, Matthews' correlation, log loss, Brier score (Brier,
      1950), ROC area and average precision; the calibration (see `reliability`); per class
      precision, recall, F1, their intervals, the areas and the support; the confusion matrix with
      the truth in its rows; how often was resampled.

      ROC area and average precision are those of each class against the rest, and their mean over
      the classes that occur (macro). The Brier score is the squared error of the probabilities,
      summed over the classes, and of one of them where there are two, as scikit-learn has it.

      A figure of a class that divides zero by zero is None: the recall of a class without
      examples, the precision of one that is never predicted. Macro F1 leaves out classes that are
      neither.

    Raises:
      DataError: there is no example.
      UserError: a probability is not finite, as after a training that diverged.
    """
    if not len(truth):
        raise DataError("there is no example to evaluate.", valid="one or more")
    broken = int((~np.isfinite(probabilities)).any(-1).sum())
    if broken:
        raise UserError(
            f"the model's probabilities of {broken:,} of {len(truth):,} examples are not finite: "
            "its training diverged.",
            valid="a lower Stage.learning_rate, or global_clipnorm = 1.0",
        )
    exact = probabilities.astype(np.float64)
    rows = exact / exact.sum(-1, keepdims=True)  # scikit-learn needs sums of one
    predicted = probabilities.argmax(-1) if predicted is None else predicted
    matrix = confusion_matrix(truth, predicted, labels=np.arange(len(names)))
    counted = count_intervals(matrix)
    counted["matthews_correlation"]["value"] = float(matthews_corrcoef(truth, predicted))
    # Ranked as they are: a division could make equal ones differ, or different ones equal.
    classes = {
        name: label_row(truth == number, predicted == number, probabilities[:, number], f1)
        for number, (name, f1) in enumerate(zip(names, counted.pop("f1"), strict=True))
    }
    calibration = reliability(truth, rows)
    return {
        "accuracy": share_interval(int((predicted == truth).sum()), len(truth)),
        **counted,
        **_of_probabilities(truth, rows, probabilities, classes),
        "expected_calibration_error": {"value": calibration["error"]},
        "calibration": calibration,
        "classes": classes,
        "confusion_matrix": matrix.tolist(),
        "resamples": resamples_for(*rows.shape),
        "areas_resampled": ranked_are_resampled(*rows.shape),
    }


def _of_probabilities(
    truth: np.ndarray, rows: np.ndarray, scores: np.ndarray, classes: dict[str, dict[str, Any]]
) -> dict[str, Any]:
    """Returns log loss, Brier score and the macro areas with their intervals."""
    tiny = np.finfo(rows.dtype).eps
    own = rows[np.arange(len(truth)), truth]
    # The squared distance to the one-hot truth, with no second array of n x c.
    squared = (rows**2).sum(1) - own**2 + (1 - own) ** 2
    losses = {
        "log_loss": -np.log(np.clip(own, tiny, 1 - tiny)),
        "brier_score": squared / 2 if rows.shape[1] == 2 else squared,
    }
    values = {
        "log_loss": float(log_loss(truth, rows, labels=np.arange(rows.shape[1]))),
        "brier_score": float(losses["brier_score"].mean()),
        "roc_auc": mean_area(classes, "roc_auc"),
        "average_precision": mean_area(classes, "average_precision"),
    }
    return example_intervals(values, losses, truth, scores)


def mean_area(classes: Mapping[str, Mapping[str, Any]], area: str) -> float | None:
    """Returns the mean of an area over the classes for which it is defined; None for none."""
    values = [row[area] for row in classes.values() if row[area] is not None]
    return float(np.mean(values)) if values else None


def confusions(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Returns every kind of mistake, the most frequent first.

    Args:
      matrix: counts, [c c], with the truth in the rows.
      labels: the class names.

    Returns:
      `truth` and `predicted` by name, `texts`, and `share_of_truth`: of the texts of that class.
    """
    counts = np.asarray(matrix)
    support = counts.sum(1)
    pairs = [
        {
            "truth": labels[row],
            "predicted": labels[column],
            "texts": int(counts[row, column]),
            "share_of_truth": float(counts[row, column] / support[row]),
        }
        for row, column in np.argwhere(counts)
        if row != column
    ]
    return sorted(pairs, key=lambda pair: -pair["texts"])


def class_row(figures: Mapping[str, Figure], support: int) -> dict[str, Any]:
    """Returns a label's row of a report: its figures, its support, and the ends of intervals.

    Args:
      figures: precision, recall and F1.
      support: how many examples, or spans, have the label.
    """
    return {
        **{name: figure["value"] for name, figure in figures.items()},
        "support": support,
        "intervals": {name: _ends(figure) for name, figure in figures.items()},
    }


def label_row(
    truth: np.ndarray, predicted: np.ndarray, scores: np.ndarray, f1: Figure
) -> dict[str, Any]:
    """Returns `class_row` of a label among others, and the areas under its curves.

    Args:
      truth, predicted: whether an example has the label, and is predicted to have it, bool [n].
      scores: its probability, float [n].
      f1: F1 with its interval.
    """
    hits, called, support = (int(each.sum()) for each in (truth & predicted, predicted, truth))
    shares = {"precision": share_interval(hits, called), "recall": share_interval(hits, support)}
    return {**class_row({**shares, "f1": f1}, support), **areas(truth, scores)}


def _ends(figure: dict[str, Any]) -> list[float] | None:
    return [figure["low"], figure["high"]] if "low" in figure else None
