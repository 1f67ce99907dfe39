"""Batches of examples of similar length, and the shapes that they are padded to."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence

import numpy as np

MAX_SHAPES = 6


def bucket_lengths(lengths: np.ndarray, most: int = MAX_SHAPES) -> tuple[int, ...]:
    """Returns at most `most` padded lengths that together waste the fewest tokens.

    Exact, by dynamic programming over the distinct lengths: the cost of a bucket is its longest
    length times the number of rows in it.
    """
    distinct, counts = np.unique(lengths, return_counts=True)
    rows = np.concatenate([[0], np.cumsum(counts)])
    size = len(distinct)
    # cost[j]: the least number of tokens for the first j distinct lengths.
    cost = np.concatenate([[0.0], np.full(size, np.inf)])
    back: list[np.ndarray] = []
    for _ in range(min(most, size)):
        choice = np.zeros(size + 1, int)
        new = cost.copy()
        for j in range(1, size + 1):
            options = cost[:j] + (rows[j] - rows[:j]) * distinct[j - 1]
            choice[j] = int(options.argmin())
            new[j] = options[choice[j]]
        cost = new
        back.append(choice)
    ends, j = [], size
    for choice in reversed(back):
        if j == 0:
            break
        ends.append(int(distinct[j - 1]))
        j = choice[j]
    return tuple(sorted(ends))


@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch of a plan: which texts, and the tokens that each is padded to."""

    rows: np.ndarray
    length: int


def plan_epoch(
    lengths: np.ndarray,
    shapes: Sequence[int],
    batch_size: int,
    rng: np.random.Generator | None = None,
    batch_tokens: int | None = None,
) -> list[Batch]:
    """Returns the batches of one epoch; each row is in exactly one of them.

    A bucket's last rows move up to the next longer bucket, so that only one batch of the epoch is
    smaller than the others of its shape. How many batches there are does not depend on `rng`.

    Args:
      lengths: of the rows, [n].
      shapes: the padded lengths, ascending, none shorter than the longest row.
      batch_size: rows a batch.
      rng: shuffles the rows and the batches; None keeps the order within a bucket.
      batch_tokens: padded tokens a batch, instead of `batch_size`; one row at least.
    """
    order = np.arange(len(lengths)) if rng is None else rng.permutation(len(lengths))
    bucket = np.searchsorted(shapes, lengths[order])
    batches, left = [], np.zeros(0, int)
    for index, length in enumerate(shapes):
        rows = np.concatenate([left, order[bucket == index]])
        size = max(1, batch_tokens // length) if batch_tokens else batch_size
        full = len(rows) - len(rows) % size
        batches += [Batch(part, length) for part in np.split(rows[:full], full // size or 1)]
        left = rows[full:]
    batches = [batch for batch in batches if len(batch.rows)]
    if len(left):
        batches.append(Batch(left, int(shapes[-1])))
    if rng is not None:
        batches = [batches[i] for i in rng.permutation(len(batches))]
    return batches


def batch_shapes(lengths: np.ndarray, batch_size: int, batch_tokens: int | None) -> tuple[int, ...]:
    """Returns the padded lengths of an epoch, so that it has at most six shapes.

    A batch that is smaller than the others is a shape of its own.
    """
    partial = batch_tokens is not None or len(lengths) % batch_size
    return bucket_lengths(lengths, MAX_SHAPES - bool(partial))


def count_shapes(plans: Iterable[list[Batch]]) -> int:
    """Returns the number of different batch shapes in the plans, for each of which XLA compiles."""
    return len({(len(batch.rows), batch.length) for plan in plans for batch in plan})
