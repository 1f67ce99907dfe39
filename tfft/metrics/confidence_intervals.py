"""95 % intervals: Wilson's for shares, the bootstrap over examples for everything else.

A figure is `{"value": v, "low": l, "high": h}`; without an interval it is `{"value": v}`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import ndtr, ndtri  # scipy.stats.norm calls these, and takes 20 times as long

RESAMPLES = 1000
FEWEST = 100  # resamples, however many examples there are
WORK = 100_000_000  # resamples times examples times classes: a few seconds
MOST_WORK = 400_000_000  # above it, areas under curves get no interval
LARGEST_DRAW = 4_000_000  # counts that are held at once while resampling: 32 MB

Figure = dict[str, Any]


def share_interval(hits: int, count: int) -> Figure:
    """Returns a share with its 95 % Wilson interval (Wilson, 1927).

    A share of nothing is None, without an interval.
    """
    if not count:
        return {"value": None}
    # As scipy.stats.binomtest, which also computes a p-value and takes 100 times as long.
    share, z = hits / count, float(ndtri(0.975))
    scale = 2 * (count + z**2)
    center = (2 * count * share + z**2) / scale
    delta = z / scale * math.sqrt(4 * count * share * (1 - share) + z**2)
    low = 0.0 if hits == 0 else center - delta
    return {"value": share, "low": low, "high": 1.0 if hits == count else center + delta}


def resamples_for(examples: int, classes: int) -> int:
    """Returns how many resamples are drawn: 1,000, or fewer where that would take long.

    The work is resamples x examples x classes; it stays near `WORK`, with 100 resamples at least.
    """
    return int(np.clip(WORK // (examples * classes), FEWEST, RESAMPLES))


def chunks(draws: int, width: int) -> Iterator[int]:
    """Yields the sizes of the parts in which draws are made, of `width` counts each."""
    at_once = max(1, LARGEST_DRAW // width)
    for done in range(0, draws, at_once):
        yield min(at_once, draws - done)


def corrected(value: float, draws: np.ndarray) -> Figure:
    """Returns the bias-corrected percentile interval (Efron, 1987, with no acceleration).

    F1 of a resample tends to be lower than that of the sample when classes are rare; the plain
    percentiles would then leave the value outside of its own interval. Draws that have no value
    are left out.
    """
    draws = draws[np.isfinite(draws)]
    if not len(draws):
        return {"value": float(value)}
    below = np.mean(draws < value) + np.mean(draws == value) / 2
    shift = ndtri(np.clip(below, 1 / len(draws), 1 - 1 / len(draws)))
    low, high = np.quantile(draws, ndtr(2 * shift + ndtri([0.025, 0.975])))
    return {"value": float(value), "low": float(low), "high": float(high)}


# Figures of the confusion matrix ------------------------------------------------------------------


def count_intervals(matrix: np.ndarray) -> dict[str, Any]:
    """Returns macro and weighted F1, Matthews' correlation, and F1 of each class.

    Resampling the examples is the same as drawing the confusion counts from a multinomial, so the
    cost follows the number of cells that are not empty and not the number of examples.

    Args:
      matrix: confusion counts, int [c c], with the truth in the rows.

    Returns:
      `macro_f1`, `weighted_f1` and `matthews_correlation` as figures, and `f1`: a list of figures.
      Macro F1 is the mean over the classes that occur among the truth or the predictions; F1 of
      another class is None.
    """
    truth, predicted = np.nonzero(matrix)
    counts, rng = matrix[truth, predicted], np.random.default_rng(0)
    examples, classes = int(counts.sum()), len(matrix)
    sizes = chunks(RESAMPLES, max(len(counts), classes))
    draws = (rng.multinomial(examples, counts / examples, size) for size in sizes)
    figures = [_count_figures(part, truth, predicted, classes) for part in draws]
    [values] = _count_figures(counts[None], truth, predicted, classes)
    macro, weighted, matthews, *f1 = (
        {"value": None} if np.isnan(value) else corrected(value, column)
        for value, column in zip(values, np.concatenate(figures).T, strict=True)
    )
    overall = {"macro_f1": macro, "weighted_f1": weighted, "matthews_correlation": matthews}
    return {**overall, "f1": f1}


def class_counts(
    draws: np.ndarray, truth: np.ndarray, predicted: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns how often each class is predicted rightly, occurs and is predicted: [draws c] each.

    Args:
      draws: counts of cells, int [draws cells].
      truth, predicted: class numbers of the cells, int [cells].
      classes: how many there are, c.
    """
    cells = np.arange(len(truth))

    def summed_by(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
        to_class = sparse.csr_matrix((values, (cells, numbers)), (len(cells), classes))
        return np.asarray(draws @ to_class, float)

    ones = np.ones(len(cells), np.int64)
    hits = summed_by(truth, (truth == predicted).astype(np.int64))
    return hits, summed_by(truth, ones), summed_by(predicted, ones)


def _count_figures(
    draws: np.ndarray, truth: np.ndarray, predicted: np.ndarray, classes: int
) -> np.ndarray:
    """Returns macro F1, weighted F1, Matthews' correlation and each F1: float [draws 3+c].

    Args:
      draws, truth, predicted, classes: as in `class_counts`.
    """
    hits, support, called = class_counts(draws, truth, predicted, classes)
    occurs = support + called
    f1 = 2 * hits / np.where(occurs > 0, occurs, np.nan)
    total = support.sum(1)
    macro = np.nansum(f1, 1) / (occurs > 0).sum(1)
    weighted = (np.nan_to_num(f1) * support).sum(1) / total
    # Gorodkin (2004); 0 where the truth or the predictions have one class only, as scikit-learn.
    covariance = hits.sum(1) * total - (support * called).sum(1)
    spread = (total**2 - (support**2).sum(1)) * (total**2 - (called**2).sum(1))
    matthews = np.where(spread > 0, covariance / np.sqrt(np.where(spread > 0, spread, 1)), 0.0)
    return np.column_stack([macro, weighted, matthews, f1])


# Figures of the probabilities ---------------------------------------------------------------------


def example_intervals(
    values: Mapping[str, float | None],
    losses: Mapping[str, np.ndarray],
    truth: np.ndarray,
    probabilities: np.ndarray,
) -> dict[str, Figure]:
    """Returns figures of the probabilities with bootstrap intervals.

    All figures of a resample are of the same examples. Where examples times classes are more than
    4 million, `roc_auc` and `average_precision` get no interval: it would take minutes.

    Args:
      values: the figures themselves, `roc_auc` and `average_precision` among them.
      losses: per example, float [n], for each figure that is a mean over the examples.
      truth: class numbers, int [n].
      probabilities: float [n c].
    """
    count, classes = probabilities.shape
    ranked = ranked_classes(truth, probabilities) if ranked_are_resampled(count, classes) else []
    means = np.column_stack(list(losses.values()))
    rng, rows = np.random.default_rng(0), []
    for draws in chunks(resamples_for(count, classes), count):
        weights = drawn_weights(rng, count, draws)
        areas = [macro_areas(ranked, weights)] if ranked else []
        rows.append(np.hstack([weights @ means / count, *areas]))
    names = [*losses, *(("roc_auc", "average_precision") if ranked else ())]
    resampled = dict(zip(names, np.concatenate(rows).T, strict=True))
    return {
        name: {"value": value}
        if value is None or name not in resampled
        else corrected(value, resampled[name])
        for name, value in values.items()
    }


def ranked_are_resampled(examples: int, classes: int) -> bool:
    """Returns True if areas under curves get intervals for this many examples and classes."""
    return resamples_for(examples, classes) * examples * classes <= MOST_WORK


def drawn_weights(rng: np.random.Generator, count: int, draws: int) -> np.ndarray:
    """Returns how often each example is in each resample: float [draws n]."""
    rows = rng.integers(count, size=(draws, count)) + count * np.arange(draws)[:, None]
    return np.bincount(rows.ravel(), minlength=draws * count).reshape(draws, count).astype(float)


class _Ranked:
    """One class against the rest, the examples sorted by its probability, the highest first.

    Equal probabilities share a place. Only the places of positive examples matter: the weights
    before each of them and at each of them are summed, so the cost is one pass over the weights.
    """

    def __init__(self, positive: np.ndarray, scores: np.ndarray):
        self.order = np.argsort(-scores, kind="stable")
        self.positives = np.flatnonzero(positive[self.order])  # in the order of the scores
        ranked = scores[self.order]
        starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))
        place = np.searchsorted(starts, self.positives, "right") - 1
        places, self.first = np.unique(place, return_index=True)
        ends = np.append(starts[1:], len(ranked))[places]
        # The examples between two bounds: those at a place, or all between two such places.
        self.bounds, where = np.unique([starts[places], ends], return_inverse=True)
        self.begin, self.end = where.reshape(2, -1)
        self.count = len(ranked)

    def areas(self, weights: np.ndarray) -> np.ndarray:
        """Returns ROC area and average precision of weighted examples, float [draws 2].

        NaN where a resample has no example of the class, or none of another.
        """
        ranked = weights.T[self.order]  # [n draws]: rows are copied faster than columns
        inner = self.bounds[self.bounds < self.count]
        parts = np.add.reduceat(ranked, np.append(0, inner), axis=0)
        parts[0] *= self.bounds[0] > 0  # reduceat gives the first row where a part is empty
        seen = np.cumsum(parts, axis=0)  # before each bound; all examples in the last row
        gained = np.add.reduceat(ranked[self.positives], self.first, axis=0)
        hits = np.cumsum(gained, axis=0)
        positives, negatives = hits[-1], weights.sum(1) - hits[-1]
        before, until = seen[self.begin], seen[self.end]
        # Each positive wins over the negatives below it, and over half of those at its place.
        above = before - (hits - gained)
        tied = until - before - gained
        roc = (gained * (negatives - above - tied / 2)).sum(0)
        precision = (gained * hits / np.maximum(until, 1.0)).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            both = np.column_stack([roc / (positives * negatives), precision / positives])
        return np.where((positives * negatives > 0)[:, None], both, np.nan)


def areas(positive: np.ndarray, scores: np.ndarray) -> dict[str, float | None]:
    """Returns ROC area and average precision of one class against the rest, None where undefined.

    Args:
      positive: bool [n].
      scores: float [n].
    """
    if positive.all() or not positive.any():
        return {"roc_auc": None, "average_precision": None}
    [[roc, precision]] = _Ranked(positive, scores).areas(np.ones((1, len(scores))))
    return {"roc_auc": float(roc), "average_precision": float(precision)}


def ranked_classes(truth: np.ndarray, scores: np.ndarray) -> list[_Ranked]:
    """Returns the classes that have examples and others beside them.

    Args:
      truth: class numbers, int [n].
      scores: float [n c]; or [n], those of class 1 of two, which is then the only one returned.
    """
    present = np.unique(truth)
    if len(present) < 2:
        return []
    if scores.ndim == 1:
        return [_Ranked(truth == 1, scores)]
    return [_Ranked(truth == number, scores[:, number]) for number in present]


def macro_areas(classes: Sequence[_Ranked], weights: np.ndarray) -> np.ndarray:
    """Returns means over classes of ROC area and average precision, float [draws 2].

    A class without an example in a draw is left out of the mean; NaN if all are.

    Args:
      weights: how often each example is in each draw, float [draws n].
    """
    if not classes:
        return np.full((len(weights), 2), np.nan)
    each = np.stack([ranked.areas(weights) for ranked in classes])
    count = np.isfinite(each).sum(0)
    return np.where(count > 0, np.nansum(each, 0) / np.maximum(count, 1), np.nan)
