"""Aggregates of columns: metrics that follow from sums over examples."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CONSTANT = 1e-12  # of the mean square: a variance that is rounding


class ColumnAggregate(NamedTuple):
    """Computes a metric from totals of columns.

    Attributes:
      keys: of the terms.
      columns: from the terms, [n] in the order of `keys`, to the rows that are added up, [n k].
      metric: from totals of the columns, [draws k], to the metric, [draws]; NaN if undefined.
    """

    keys: tuple[str, ...]
    columns: Callable[..., np.ndarray]
    metric: Callable[[np.ndarray], np.ndarray]


def _mean_columns(score: np.ndarray) -> np.ndarray:
    return np.column_stack([score, np.ones(len(score))])


def _ratio(totals: np.ndarray) -> np.ndarray:
    return totals[:, 0] / totals[:, 1]


def _f1(totals: np.ndarray) -> np.ndarray:
    return 2 * totals[:, 0] / (totals[:, 1] + totals[:, 2])


def _pearson_columns(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Returns moments about the medians, which a constant column equals exactly."""
    x, y = x - np.median(x), y - np.median(y)
    return np.column_stack([np.ones(len(x)), x, y, x * x, y * y, x * y])


def _pearson(totals: np.ndarray) -> np.ndarray:
    n, x, y, xx, yy, xy = totals.T
    spread_x, spread_y = n * xx - x * x, n * yy - y * y
    varied = (spread_x > CONSTANT * n * xx) & (spread_y > CONSTANT * n * yy)
    correlation = (n * xy - x * y) / np.sqrt(np.where(varied, spread_x * spread_y, np.nan))
    return np.clip(correlation, -1.0, 1.0)


def _ratios(parts: np.ndarray, totals: np.ndarray) -> np.ndarray:
    """Returns part / total, 0 where the total is 0."""
    return np.where(totals > 0, parts / np.where(totals > 0, totals, 1), 0.0)


def _mean_f1(totals: np.ndarray) -> np.ndarray:
    """Returns the mean F1 of the classes that occur, [draws]."""
    hits, predicted, true = np.split(totals, 3, axis=1)
    return _ratios(2 * hits, predicted + true).sum(1) / (predicted + true > 0).sum(1)


def _mean_iou(totals: np.ndarray) -> np.ndarray:
    """Returns the mean intersection over union of the classes that occur, [draws]."""
    hits, predicted, true = np.split(totals, 3, axis=1)
    union = predicted + true - hits
    return _ratios(hits, union).sum(1) / (union > 0).sum(1)


def _bleu(totals: np.ndarray) -> np.ndarray:
    """Returns BLEU of up to four words, 0 to 100, as sacrebleu 2.6 with its exponential smoothing.

    Args:
      totals: the words of the predictions, those of the references, and of runs of 1 to 4 words
        those that are right and all of them, [draws 10].
    """
    predicted, reference = totals[:, :2].T
    right, all_runs = np.split(totals[:, 2:], 2, axis=1)
    possible = right.any(1) & (all_runs > 0).all(1)
    halvings = 2.0 ** np.cumsum(right == 0, axis=1)
    shares = np.where(right > 0, right, 1 / halvings) / np.maximum(all_runs, 1)
    precision = np.exp(np.log(shares).mean(1))
    brevity = np.exp(np.minimum(0.0, 1 - reference / np.maximum(predicted, 1)))
    return np.where(possible, 100 * brevity * precision, 0.0)


def _chrf(totals: np.ndarray) -> np.ndarray:
    """Returns chrF2 of up to six characters, 0 to 100, as sacrebleu 2.6.

    Args:
      totals: of runs of 1 to 6 characters those of the predictions, those of the references and
        those in both, [draws 18].
    """
    predicted, reference, both = np.moveaxis(totals.reshape(-1, 6, 3), 2, 0)
    there = (predicted > 0) & (reference > 0)
    orders = np.maximum(there.sum(1), 1)
    precision, recall = (
        _ratios(both, np.where(there, each, 0)).sum(1) / orders for each in (predicted, reference)
    )
    return _ratios(500 * precision * recall, 4 * precision + recall)


def _stacked(*terms: np.ndarray) -> np.ndarray:
    return np.column_stack(terms)


HITS = ("hits", "predicted", "true")
MEASURES: dict[str, ColumnAggregate] = {
    "mean": ColumnAggregate(("score",), _mean_columns, _ratio),
    "ratio": ColumnAggregate(("part", "whole"), _stacked, _ratio),
    "f1": ColumnAggregate(HITS, _stacked, _f1),
    "pearson": ColumnAggregate(("x", "y"), _pearson_columns, _pearson),
    "root_mean": ColumnAggregate(("score",), _mean_columns, lambda totals: np.sqrt(_ratio(totals))),
    "mean_f1": ColumnAggregate(HITS, _stacked, _mean_f1),
    "dice": ColumnAggregate(HITS, _stacked, _mean_f1),
    "mean_iou": ColumnAggregate(HITS, _stacked, _mean_iou),
    "exp_ratio": ColumnAggregate(("loss", "tokens"), _stacked, lambda sums: np.exp(_ratio(sums))),
    "bleu": ColumnAggregate(("counts",), _stacked, _bleu),
    "chrf": ColumnAggregate(("counts",), _stacked, _chrf),
}
