"""Metrics of classification, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.stats import binomtest, norm
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from tfft.errors import DataError, UserError

RESAMPLES = 1000
LARGEST_DRAW = 4_000_000  # counts that are held at once while resampling: 32 MB


def classification_metrics(
    truth: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Returns all that is reported of a classifier.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
      names: of the classes, in the order of the columns.

    Returns:
      accuracy with its Wilson interval (Wilson, 1927); macro and weighted F1 with bias-corrected
      bootstrap intervals (Efron, 1987); log loss; Matthews' correlation; precision, recall, F1 and
      support per class; the confusion matrix with the truth in its rows. A figure of a class that
      divides zero by zero is None: the recall of a class without examples, the precision of one
      that is never predicted. Macro F1 leaves out classes that are neither.

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
            valid="a lower Stage.learning_rate, or Stage.clip_norm = 1.0",
        )
    classes = np.arange(len(names))
    predicted = probabilities.argmax(-1)
    matrix = confusion_matrix(truth, predicted, labels=classes)
    macro, weighted = f1_intervals(matrix)
    return {
        "accuracy": share_interval(int((predicted == truth).sum()), len(truth)),
        "macro_f1": macro,
        "weighted_f1": weighted,
        "log_loss": {"value": float(log_loss(truth, _rows(probabilities), labels=classes))},
        "matthews_correlation": {"value": float(matthews_corrcoef(truth, predicted))},
        "classes": _per_class(truth, predicted, names),
        "confusion_matrix": matrix.tolist(),
    }


def share_interval(hits: int, count: int) -> dict[str, float]:
    """Returns a share with its 95 % Wilson interval."""
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return {"value": hits / count, "low": float(interval.low), "high": float(interval.high)}


def _rows(probabilities: np.ndarray) -> np.ndarray:
    """Returns rows that sum to one in double precision, as scikit-learn asks."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(-1, keepdims=True)


def _per_class(
    truth: np.ndarray, predicted: np.ndarray, names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    numbers = precision_recall_fscore_support(
        truth, predicted, labels=np.arange(len(names)), zero_division=np.nan
    )
    precision, recall, f1, support = (np.asarray(column) for column in numbers)
    return {
        name: {
            "precision": _or_none(precision[i]),
            "recall": _or_none(recall[i]),
            "f1": _or_none(f1[i]),
            "support": int(support[i]),
        }
        for i, name in enumerate(names)
    }


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def f1_intervals(
    matrix: np.ndarray, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[dict[str, float], dict[str, float]]:
    """Returns macro and weighted F1, each with its 95 % bootstrap interval.

    Resampling the examples is the same as drawing the confusion counts from a multinomial, so the
    cost follows the number of cells that are not empty and not the number of examples.

    Args:
      matrix: confusion counts, int [c c], with the truth in the rows.
      resamples: the number of draws.
      seed: of the draws.
    """
    rows, columns = np.nonzero(matrix)
    counts = matrix[rows, columns]
    examples, cells = int(counts.sum()), len(counts)
    rng = np.random.default_rng(seed)
    at_once = max(1, LARGEST_DRAW // max(cells, len(matrix)))
    drawn = []
    for done in range(0, resamples, at_once):
        size = min(at_once, resamples - done)
        draw = rng.multinomial(examples, counts / examples, size)
        drawn.append(_f1(draw, rows, columns, len(matrix)))
    value = _f1(counts[None], rows, columns, len(matrix))[0]
    macro, weighted = (_corrected(value[i], np.concatenate(drawn)[:, i]) for i in (0, 1))
    return macro, weighted


def _corrected(value: float, draws: np.ndarray) -> dict[str, float]:
    """Returns the bias-corrected percentile interval (Efron, 1987, with no acceleration).

    F1 of a resample tends to be lower than that of the sample when classes are rare; the plain
    percentiles would then leave the value outside of its own interval.
    """
    below = np.mean(draws < value) + np.mean(draws == value) / 2
    shift = norm.ppf(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    low, high = np.quantile(draws, norm.cdf(2 * shift + norm.ppf([0.025, 0.975])))
    return {"value": float(value), "low": float(low), "high": float(high)}


def _f1(counts: np.ndarray, rows: np.ndarray, columns: np.ndarray, classes: int) -> np.ndarray:
    """Returns macro and weighted F1 of draws of the cells at `rows` and `columns`.

    Args:
      counts: int [draws cells].

    Returns:
      float [draws 2].
    """
    places = np.arange(len(rows))

    def summed_by(group: np.ndarray, values: np.ndarray) -> np.ndarray:
        to_class = sparse.csr_matrix((values, (places, group)), (len(rows), classes))
        return np.asarray(counts @ to_class)

    ones = np.ones(len(rows), np.int64)
    hits = summed_by(rows, (rows == columns).astype(np.int64))
    support, predicted = summed_by(rows, ones), summed_by(columns, ones)
    occurs = support + predicted
    f1 = 2 * hits / np.maximum(occurs, 1)
    macro = f1.sum(1) / (occurs > 0).sum(1)
    return np.stack([macro, (f1 * support).sum(1) / support.sum(1)], axis=1)
