"""Aggregates of columns: metrics that follow from what examples add up to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

CONSTANT = 1e-12  # of the mean square: a variance that is rounding


@dataclasses.dataclass(frozen=True)
class ColumnAggregate:
    """Computes a metric from totals of columns.

    Attributes:
      keys: of the terms.
      columns: from the terms, [n] in the order of `keys`, to what is added up, [n k].
      figure: from totals of the columns, [draws k], to the metric, [draws]; NaN if undefined.
    """

    keys: tuple[str, ...]
    columns: Callable[..., np.ndarray]
    figure: Callable[[np.ndarray], np.ndarray]


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
    known = (spread_x > CONSTANT * n * xx) & (spread_y > CONSTANT * n * yy)
    found = (n * xy - x * y) / np.sqrt(np.where(known, spread_x * spread_y, np.nan))
    return np.clip(found, -1.0, 1.0)


def _root_mean(totals: np.ndarray) -> np.ndarray:
    return np.sqrt(_ratio(totals))


def _mean_of_ratios(parts: np.ndarray, wholes: np.ndarray) -> np.ndarray:
    """Returns the mean of several ratios, [draws c] each, those whose whole is not 0."""
    each = np.where(wholes > 0, parts / np.where(wholes > 0, wholes, 1), 0.0)
    return each.sum(1) / (wholes > 0).sum(1)


def _mean_f1(totals: np.ndarray) -> np.ndarray:
    hits, predicted, true = np.split(totals, 3, axis=1)
    return _mean_of_ratios(2 * hits, predicted + true)


def _mean_iou(totals: np.ndarray) -> np.ndarray:
    hits, predicted, true = np.split(totals, 3, axis=1)
    return _mean_of_ratios(hits, predicted + true - hits)


def _exp_ratio(totals: np.ndarray) -> np.ndarray:
    return np.exp(_ratio(totals))


def _bleu(totals: np.ndarray) -> np.ndarray:
    """Returns BLEU of up to four words, 0 to 100, as sacrebleu 2.6 with its exponential smoothing.

    Args:
      totals: the words found, those of the reference, and of runs of 1 to 4 words those that are
        right and all of them, [draws 10].
    """
    found, reference, (right, all_runs) = totals[:, 0], totals[:, 1], np.split(totals[:, 2:], 2, 1)
    possible = right.any(1) & (all_runs > 0).all(1)
    found, all_runs = np.maximum(found, 1), np.maximum(all_runs, 1)
    halvings = 2.0 ** np.cumsum(right == 0, axis=1)
    shares = np.where(right > 0, right, 1 / halvings) / all_runs
    precision = np.exp(np.log(shares).mean(1))
    brevity = np.exp(np.minimum(0.0, 1 - reference / found))
    return np.where(possible, 100 * brevity * precision, 0.0)


def _chrf(totals: np.ndarray) -> np.ndarray:
    """Returns chrF2 of up to six characters, 0 to 100, as sacrebleu 2.6.

    Args:
      totals: of runs of 1 to 6 characters those found, those of the reference and those in both,
        [draws 18].
    """
    found, reference, both = np.moveaxis(totals.reshape(-1, 6, 3), 2, 0)
    there = (found > 0) & (reference > 0)
    orders = np.maximum(there.sum(1), 1)
    precision = np.where(there, both / np.where(there, found, 1), 0.0).sum(1) / orders
    recall = np.where(there, both / np.where(there, reference, 1), 0.0).sum(1) / orders
    whole = 4 * precision + recall
    return np.where(whole > 0, 500 * precision * recall / np.where(whole > 0, whole, 1), 0.0)


def _counts(counts: np.ndarray) -> np.ndarray:
    return counts


def _stacked(*terms: np.ndarray) -> np.ndarray:
    return np.column_stack(terms)


HITS = ("hits", "predicted", "true")
MEASURES: dict[str, ColumnAggregate] = {
    "mean": ColumnAggregate(("score",), _mean_columns, _ratio),
    "ratio": ColumnAggregate(("part", "whole"), _stacked, _ratio),
    "f1": ColumnAggregate(HITS, _stacked, _f1),
    "pearson": ColumnAggregate(("x", "y"), _pearson_columns, _pearson),
    "root_mean": ColumnAggregate(("score",), _mean_columns, _root_mean),
    "mean_f1": ColumnAggregate(HITS, _stacked, _mean_f1),
    "dice": ColumnAggregate(HITS, _stacked, _mean_f1),
    "mean_iou": ColumnAggregate(HITS, _stacked, _mean_iou),
    "exp_ratio": ColumnAggregate(("loss", "tokens"), _stacked, _exp_ratio),
    "bleu": ColumnAggregate(("counts",), _counts, _bleu),
    "chrf": ColumnAggregate(("counts",), _counts, _chrf),
}
