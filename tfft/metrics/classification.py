"""Metrics of classification, with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import (
    confusion_matrix,
    log_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

RESAMPLES = 1000


def classification_metrics(
    truth: np.ndarray, probabilities: np.ndarray, names: Sequence[str]
) -> dict[str, Any]:
    """Returns all that is reported of a classifier.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
      names: of the classes, in the order of the columns.

    Returns:
      accuracy with its Wilson interval (Wilson, 1927); macro and weighted F1 with percentile
      bootstrap intervals (Efron, 1979); precision, recall, F1 and support per class; the
      confusion matrix with the truth in its rows; log loss; Matthews' correlation.
    """
    classes = np.arange(len(names))
    predicted = probabilities.argmax(-1)
    matrix = confusion_matrix(truth, predicted, labels=classes)
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=classes, zero_division=0
    )
    low, high = _bootstrap_f1(matrix)
    weights = support / max(support.sum(), 1)
    return {
        "accuracy": accuracy_interval(int((predicted == truth).sum()), len(truth)),
        "macro_f1": {"value": float(f1.mean()), "low": low[0], "high": high[0]},
        "weighted_f1": {"value": float((f1 * weights).sum()), "low": low[1], "high": high[1]},
        "log_loss": {"value": float(log_loss(truth, _rows(probabilities), labels=classes))},
        "matthews_correlation": {"value": float(matthews_corrcoef(truth, predicted))},
        "classes": {
            name: {
                "precision": float(precision[i]),
                "recall": float(recall[i]),
                "f1": float(f1[i]),
                "support": int(support[i]),
            }
            for i, name in enumerate(names)
        },
        "confusion_matrix": matrix.tolist(),
    }


def _rows(probabilities: np.ndarray) -> np.ndarray:
    """Returns rows that sum to one in double precision, as scikit-learn asks."""
    exact = probabilities.astype(np.float64)
    return exact / exact.sum(-1, keepdims=True)


def accuracy_interval(hits: int, count: int) -> dict[str, float]:
    """Returns a share with its 95 % Wilson interval."""
    interval = binomtest(hits, count).proportion_ci(0.95, method="wilson")
    return {"value": hits / count, "low": float(interval.low), "high": float(interval.high)}


def _bootstrap_f1(matrix: np.ndarray) -> tuple[list[float], list[float]]:
    """Returns 2.5 % and 97.5 % points of macro and weighted F1.

    Resampling the examples is the same as drawing the confusion counts from a multinomial.
    """
    count = int(matrix.sum())
    draws = np.random.default_rng(0).multinomial(count, matrix.ravel() / count, RESAMPLES)
    tables = draws.reshape(-1, *matrix.shape)
    hits = np.diagonal(tables, axis1=1, axis2=2)
    support, predicted = tables.sum(2), tables.sum(1)
    f1 = 2 * hits / np.maximum(support + predicted, 1)
    both = np.stack([f1.mean(1), (f1 * support).sum(1) / count])
    low, high = np.percentile(both, [2.5, 97.5], axis=1)
    return low.tolist(), high.tolist()
