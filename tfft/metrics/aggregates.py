"""Figures that follow from sums over examples, with 95 % intervals and paired differences.

A task says what each example adds to a figure: its sums, arrays [n] by key. Anything said of some
examples, or of a resample of them, is then a function of weighted sums, so that the bootstrap over
examples (Efron and Tibshirani, 1993) is a product of matrices whatever the figure is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from tfft.errors import UserError
from tfft.metrics.confidence_intervals import (
    LARGEST_DRAW,
    Figure,
    corrected,
    drawn_weights,
    resamples_for,
    share_interval,
)

Sums = Mapping[str, np.ndarray]
FEW_KINDS = 1000  # of different examples: counts of each kind are drawn, not the examples
CHUNK = 1024  # rows that are copied at once to count kinds
CONSTANT = 1e-12  # of the mean square: a variance that is rounding


@dataclasses.dataclass(frozen=True)
class Measure:
    """How a figure follows from sums.

    Attributes:
      keys: of the sums.
      columns: from the sums, [n] in the order of `keys`, to what is added up, [n k].
      figure: from totals of the columns, [draws k], to the figure, [draws]; NaN where undefined.
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


def _mean_f1(totals: np.ndarray) -> np.ndarray:
    """Returns the mean of several F1, those that are defined."""
    hits, predicted, true = np.split(totals, 3, axis=1)
    occurs = predicted + true
    each = np.where(occurs > 0, 2 * hits / np.where(occurs > 0, occurs, 1), 0.0)
    return each.sum(1) / (occurs > 0).sum(1)


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


MEASURES: dict[str, Measure] = {
    "mean": Measure(("score",), _mean_columns, _ratio),
    "ratio": Measure(("part", "whole"), lambda *sums: np.column_stack(sums), _ratio),
    "f1": Measure(("hits", "predicted", "true"), lambda *sums: np.column_stack(sums), _f1),
    "pearson": Measure(("x", "y"), _pearson_columns, _pearson),
    "root_mean": Measure(("score",), _mean_columns, _root_mean),
    "mean_f1": Measure(("hits", "predicted", "true"), lambda *sums: np.hstack(sums), _mean_f1),
    "exp_ratio": Measure(("loss", "tokens"), lambda *sums: np.column_stack(sums), _exp_ratio),
    "bleu": Measure(("counts",), _counts, _bleu),
    "chrf": Measure(("counts",), _counts, _chrf),
}


def columns(measure: str, sums: Sums) -> np.ndarray:
    """Returns what examples add to the totals of a measure: float64 [n k].

    Args:
      measure: "mean" of `score`, or "root_mean", its root; "ratio", part / whole, such as
        precision; "f1", 2 hits / (predicted + true), or "mean_f1", the mean of that over labels,
        [n c]; "pearson", the correlation of `x` and `y`; "exp_ratio", e to the power of loss /
        tokens, such as perplexity; "bleu" and "chrf" of `counts`, see
        `tfft.metrics.text.generated_text`.
      sums: by key, [n] each; where `there` is among them, examples of which it is 0 add nothing.

    Raises:
      UserError: a sum is not finite, as after a training that diverged.
    """
    given = [np.asarray(sums[key], np.float64) for key in MEASURES[measure].keys]
    if not len(given[0]):
        return np.zeros((0, 1))
    broken = int((~np.isfinite(given)).any(0).sum())
    if broken:
        raise UserError(
            f"the figures of {broken:,} of {len(given[0]):,} examples are not finite: the training "
            "diverged.",
            valid="a lower Stage.learning_rate, or global_clipnorm = 1.0",
        )
    if "there" not in sums:
        return MEASURES[measure].columns(*given)
    there = np.asarray(sums["there"]) > 0
    if not there.any():
        return np.zeros((len(there), 1))
    known = MEASURES[measure].columns(*(column[there] for column in given))
    found = np.zeros((len(there), known.shape[1]))
    found[there] = known
    return found


def value(measure: str, sums: Sums) -> float | None:
    """Returns the figure; None where it is undefined, as of no example."""
    return _of_totals(measure, columns(measure, sums).sum(0))


def interval(measure: str, sums: Sums, seed: int = 0) -> Figure:
    """Returns the figure with its 95 % interval; arguments as in `columns`.

    It is Wilson's (1927) for a mean of scores that are 0 or 1, otherwise the bias-corrected
    bootstrap over the examples (Efron, 1987); an undefined figure is `{"value": None}`.
    """
    return figures({"": (measure, sums)}, seed)[""]


def figures(wanted: Mapping[str, tuple[str, Sums]], seed: int = 0) -> dict[str, Figure]:
    """Returns several figures with their intervals; those of as many examples share resamples.

    Args:
      wanted: by name the measure and the sums.
      seed: of the draws.
    """
    found: dict[str, Figure] = {name: {"value": None} for name in wanted}
    parts: dict[int, dict[str, np.ndarray]] = {}
    for name, (measure, sums) in wanted.items():
        if is_share(measure, sums):
            found[name] = share_interval(int(np.sum(sums["score"])), len(sums["score"]))
        else:
            part = columns(measure, sums)
            if part.any():
                parts.setdefault(len(part), {})[name] = part
    for alike in parts.values():
        ends = np.cumsum([part.shape[1] for part in alike.values()])[:-1]
        drawn = np.split(_resampled(np.hstack(list(alike.values())), seed), ends, axis=1)
        for (name, part), totals in zip(alike.items(), drawn, strict=True):
            measure = wanted[name][0]
            found[name] = _figure(_of_totals(measure, part.sum(0)), _figures(measure, totals))
    return found


def is_share(measure: str, sums: Sums) -> bool:
    """Says whether a figure is a share of examples, a mean of scores that are all 0 or 1."""
    whole = measure == "mean" and "there" not in sums
    return whole and bool(np.isin(sums["score"], (0, 1)).all())


def difference(measure: str, base: Sums, other: Sums, seed: int = 0) -> Figure:
    """Returns other minus base on the same examples, with its 95 % paired bootstrap interval.

    Args:
      base, other: sums of two models, [n] each, of the same examples in the same order.
    """
    return paired(measure, columns(measure, base), columns(measure, other), seed)


def paired(measure: str, base: np.ndarray, other: np.ndarray, seed: int = 0) -> Figure:
    """Returns what `difference` does of `columns`, such as means of several runs' ones."""
    values = [_of_totals(measure, part.sum(0)) for part in (base, other)]
    if values[0] is None or values[1] is None:
        return {"value": None}
    totals = _resampled(np.hstack([base, other]), seed)
    drawn = [_figures(measure, part) for part in np.split(totals, 2, axis=1)]
    return _figure(values[1] - values[0], drawn[1] - drawn[0])


def _figure(found: float | None, draws: np.ndarray) -> Figure:
    return {"value": None} if found is None else corrected(found, draws)


def _of_totals(measure: str, totals: np.ndarray) -> float | None:
    if not totals.any():
        return None
    found = float(_figures(measure, totals[None])[0])
    return found if np.isfinite(found) else None


def _figures(measure: str, totals: np.ndarray) -> np.ndarray:
    """Returns the figure of each draw, [draws], NaN where it is undefined."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return MEASURES[measure].figure(totals)


def _resampled(parts: np.ndarray, seed: int) -> np.ndarray:
    """Returns totals over resamples of the examples, [draws k]."""
    return np.concatenate([weights @ rows for weights, rows in _draws(parts, seed)])


def _draws(parts: np.ndarray, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields how often each row is drawn, [draws rows], and the rows, [rows k].

    Where examples are of few kinds, how often each kind is drawn is a multinomial count.
    """
    rng, count = np.random.default_rng(seed), len(parts)
    resamples = resamples_for(count, 1)
    kinds, counts = _kinds(parts)
    few = len(kinds) > 0
    at_once = max(1, LARGEST_DRAW // (len(kinds) if few else count))
    for done in range(0, resamples, at_once):
        draws = min(at_once, resamples - done)
        if few:
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
    found = np.frombuffer(b"".join(counts), parts.dtype).reshape(len(counts), -1)
    kinds, order = np.unique(found, axis=0, return_index=True)
    return kinds, np.fromiter(counts.values(), int)[order]
