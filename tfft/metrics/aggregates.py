"""Metrics that follow from terms of examples, with 95 % intervals and paired differences.

Terms are the contributions of each example to a metric. An aggregate computes the metric from
them. The terms are columns that add up (`column_aggregates`), or records (`record_aggregates`). In
both cases the metric of a resample follows from how often each example is in it, so that one
bootstrap over examples (Efron and Tibshirani, 1993) serves all metrics.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import UserError
from tfft.metrics.column_aggregates import MEASURES
from tfft.metrics.confidence_intervals import (
    Figure,
    chunks,
    corrected,
    drawn_weights,
    resamples_for,
    share_interval,
)
from tfft.metrics.record_aggregates import RECORDS, ragged

Terms = Mapping[str, np.ndarray]
FEW_KINDS = 1000  # of different examples: counts of each kind are drawn, not the examples
CHUNK = 1024  # rows that are copied in one batch to count kinds


@dataclasses.dataclass(frozen=True)
class Rows:
    """The terms of n examples in the form that resamples need.

    Attributes:
      columns: rows that are added up, float64 [n k]. k is 0 for records.
      metric: from totals of the columns, [draws k], or for records from weights of the examples,
        [draws n], to the metric, [draws]; NaN if undefined.
      size: number of values that a draw of records sums; 0 for columns.
    """

    columns: np.ndarray
    metric: Callable[[np.ndarray], np.ndarray]
    size: int = 0

    def draws(self, totals: np.ndarray) -> np.ndarray:
        """Returns the metric of each draw, [draws]; NaN if undefined."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return self.metric(totals)

    @property
    def value(self) -> float | None:
        """The metric of the examples; None if it is undefined, as for no example."""
        totals = np.ones((1, len(self.columns))) if self.size else self.columns.sum(0)[None]
        result = float(self.draws(totals)[0]) if totals.any() else np.nan
        return result if np.isfinite(result) else None


def columns(aggregate: str, terms: Terms) -> np.ndarray:
    """Returns the rows that examples add to the totals of an aggregate of columns: float64 [n k].

    Args:
      aggregate: "mean" of `score`, or "root_mean", its root; "ratio", part / whole, such as
        precision or the word error rate; "f1", 2 hits / (predicted + true), "mean_f1" (for masks
        "dice"), the mean of that over labels, [n c], or "mean_iou", the mean of hits / union;
        "pearson", the correlation of `x` and `y`; "exp_ratio", e to the power of loss / tokens,
        such as perplexity; "bleu" and "chrf" of `counts`, see
        `tfft.metrics.text.generated_text`.
      terms: by key, [n] each. If `there` is among them, examples for which it is 0 add nothing.

    Raises:
      UserError: a term is not finite, as after a training that diverged.
    """
    values = _finite(MEASURES[aggregate].keys, terms)
    there = _there(terms, len(values[0]))
    if not there.any():
        return np.zeros((len(there), 1))
    rows = MEASURES[aggregate].columns(*(column[there] for column in values))
    result = np.zeros((len(there), rows.shape[1]))
    result[there] = rows
    return result


def _there(terms: Terms, count: int) -> np.ndarray:
    """Returns True for the examples that add to a metric, bool [n]."""
    return np.asarray(terms.get("there", np.ones(count))) > 0


def _finite(keys: Sequence[str], terms: Terms) -> list[np.ndarray]:
    """Returns the terms of these keys: float64 [n ...], or object [n] of arrays."""
    raw = [np.asarray(terms[key]) for key in keys]
    values = [each if each.dtype == object else np.asarray(each, np.float64) for each in raw]
    finite = [
        np.array([np.isfinite(record).all() for record in each], bool)
        if each.dtype == object
        else np.isfinite(each).all(axis=tuple(range(1, each.ndim)))
        for each in values
    ]
    broken = ~np.all(finite, axis=0)
    if broken.any():
        raise UserError(
            f"the figures of {broken.sum():,} of {len(broken):,} examples are not finite: the "
            "training diverged.",
            valid="a lower Stage.learning_rate, or global_clipnorm = 1.0",
        )
    return values


def prepare(aggregate: str, terms: Terms) -> Rows:
    """Returns terms in the form that resamples need, for any aggregate.

    Args:
      aggregate: as in `columns`, or a name of `tfft.metrics.record_aggregates.RECORDS`.
      terms: by key, [n] each; of records also object arrays of arrays, see `ragged`.
    """
    if aggregate in MEASURES:
        return Rows(columns(aggregate, terms), MEASURES[aggregate].metric)
    values = _finite(RECORDS[aggregate].keys, terms)
    return _of_records(aggregate, values, _there(terms, len(values[0])))


def _of_records(aggregate: str, values: Sequence[np.ndarray], there: np.ndarray) -> Rows:
    """Returns the records of the examples for which `there` is True, among n examples."""
    rows = np.flatnonzero(there)
    if not len(rows):
        return Rows(np.zeros((len(there), 1)), np.ravel)
    metric, size = RECORDS[aggregate].prepare(*(each[rows] for each in values))
    return Rows(
        np.zeros((len(there), 0)), lambda weights: metric(weights[:, rows]), max(size, len(there))
    )


def by_example(aggregate: str, terms: Terms) -> np.ndarray | list[tuple[Any, ...]]:
    """Returns the contribution of each example: rows of `columns`, or tuples of arrays."""
    if aggregate in MEASURES:
        return list(columns(aggregate, terms))
    return list(zip(*_finite(RECORDS[aggregate].keys, terms), strict=True))


def over_runs(aggregate: str, examples: Sequence[Mapping[int, Any]]) -> Rows:
    """Returns the terms of examples that one or several runs evaluated.

    Columns are means over the runs of an example. Of records, which rank the examples of one model,
    the metric is the mean over the runs, each on the examples that it evaluated.

    Args:
      examples: for each example its contribution (`by_example`) by the number of a run, n of them.
    """
    if aggregate in MEASURES:
        rows = [list(each.values()) for each in examples]
        means = [each[0] if len(each) == 1 else np.mean(each, axis=0) for each in rows]
        return Rows(np.stack(means), MEASURES[aggregate].metric)
    parts = []
    for run in sorted(set().union(*examples)):
        there = np.array([run in each for each in examples])
        records = [each.get(run, next(iter(each.values()))) for each in examples]
        terms = [ragged(each) for each in zip(*records, strict=True)]
        parts.append(_of_records(aggregate, terms, there))
    return Rows(
        parts[0].columns,
        lambda weights: np.mean([part.metric(weights) for part in parts], axis=0),
        sum(part.size for part in parts),
    )


def value(aggregate: str, terms: Terms) -> float | None:
    """Returns the metric; None if it is undefined, as for no example."""
    return prepare(aggregate, terms).value


def interval(aggregate: str, terms: Terms) -> Figure:
    """Returns the metric with its 95 % interval; arguments as in `prepare`.

    It is Wilson's (1927) for a mean of scores that are 0 or 1, otherwise the bias-corrected
    bootstrap over the examples (Efron, 1987). An undefined metric is `{"value": None}`.
    """
    return figures({"": (aggregate, terms)})[""]


def figures(wanted: Mapping[str, tuple[str, Terms]]) -> dict[str, Figure]:
    """Returns several metrics with their intervals; those of as many examples share resamples.

    Args:
      wanted: by name the aggregate and the terms.
    """
    result: dict[str, Figure] = {name: {"value": None} for name in wanted}
    parts: dict[int, dict[str, Rows]] = {}
    for name, (aggregate, terms) in wanted.items():
        if is_share(aggregate, terms):
            scores = _scores(terms)
            result[name] = share_interval(int(np.sum(scores)), len(scores))
            continue
        part = prepare(aggregate, terms)
        if part.size or part.columns.any():
            parts.setdefault(len(part.columns), {})[name] = part
    for alike in parts.values():
        resampled = _resampled(list(alike.values()))
        for (name, part), draws in zip(alike.items(), resampled, strict=True):
            if (metric := part.value) is not None:
                result[name] = corrected(metric, draws)
    return result


def is_share(aggregate: str, terms: Terms) -> bool:
    """Returns True for a share of examples, a mean of scores that are all 0 or 1."""
    scores = _scores(terms) if aggregate == "mean" else np.zeros(0)
    return bool(len(scores) and np.isin(scores, (0, 1)).all())


def _scores(terms: Terms) -> np.ndarray:
    scores = np.asarray(terms["score"])
    return scores[_there(terms, len(scores))]


def difference(aggregate: str, base: Terms, other: Terms) -> Figure:
    """Returns other minus base on the same examples, with its 95 % paired bootstrap interval.

    Args:
      base, other: terms of two models, [n] each, of the same examples in the same order.
    """
    return paired(prepare(aggregate, base), prepare(aggregate, other))


def paired(base: Rows, other: Rows) -> Figure:
    """Returns `difference` of prepared terms, such as those of several runs."""
    values = base.value, other.value
    if values[0] is None or values[1] is None:
        return {"value": None}
    before, after = _resampled([base, other])
    return corrected(values[1] - values[0], after - before)


def _resampled(parts: Sequence[Rows]) -> list[np.ndarray]:
    """Returns several metrics of the same resamples of n examples, [draws] each."""
    columns = np.hstack([part.columns for part in parts])
    ends = np.cumsum([part.columns.shape[1] for part in parts])[:-1]
    draws: list[list[np.ndarray]] = [[] for _ in parts]
    for weights, rows in _draws(columns, max(part.size for part in parts)):
        totals = np.split(weights @ rows, ends, axis=1)
        for part, own, metrics in zip(parts, totals, draws, strict=True):
            metrics.append(part.draws(weights if part.size else own))
    return list(map(np.concatenate, draws))


def _draws(parts: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields how often each row is drawn, [draws rows], and the rows, [rows k].

    Where examples are of few kinds, how often each kind is drawn is a multinomial count. Records,
    whose `size` is above 0, are weights of the examples themselves.
    """
    rng, count = np.random.default_rng(0), len(parts)
    resamples = resamples_for(max(count, size), 1)
    kinds, counts = (parts[:0], parts[:0]) if size else _kinds(parts)
    for draws in chunks(resamples, len(kinds) or max(count, size)):
        if len(kinds):
            yield rng.multinomial(count, counts / count, draws).astype(float), kinds
        else:
            yield drawn_weights(rng, count, draws), parts


def _kinds(parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different rows in lexicographic order, [kinds k], and how often each occurs.

    Both are empty if there are more than `FEW_KINDS`: rows are counted until that is known, for
    sorting long rows takes most of the time of an interval.
    """
    counts: dict[bytes, int] = {}
    for start in range(0, len(parts), CHUNK):
        rows = np.ascontiguousarray(parts[start : start + CHUNK] + 0.0)  # -0.0 is 0.0
        for row in rows.view(f"V{rows.dtype.itemsize * rows.shape[1]}")[:, 0].tolist():
            counts[row] = counts.get(row, 0) + 1
        if len(counts) > FEW_KINDS:
            return np.zeros((0, parts.shape[1])), np.zeros(0, int)
    distinct = np.frombuffer(b"".join(counts), parts.dtype).reshape(len(counts), -1)
    kinds, order = np.unique(distinct, axis=0, return_index=True)
    return kinds, np.fromiter(counts.values(), int)[order]
