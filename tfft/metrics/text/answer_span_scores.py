"""Spans of tokens in examples of several rows: which are right, which is the best, as arrays.

A position is a token that a span may begin or end at, or the first token of the first row, where
both ends of no span at all stand. Each token has a mark: `OUTSIDE` for a token that is no
position, else the sum of `START` and `END` where a right span begins and ends, 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

OUTSIDE, START, END = -1, 1, 2
NEVER = -1e30  # the logit of an impossible position


class Span(NamedTuple):
    """The best span of an example.

    Attributes:
      start, end: the characters that it begins with and ends before; -1 where there is none.
      log_probability: of it.
      none: the log-probability of no span.
    """

    start: int
    end: int
    log_probability: float
    none: float

    @property
    def doubt(self) -> float:
        """By how much no span is more probable, as the difference of the logarithms."""
        return self.none - self.log_probability

    def told(self, text: str, limit: float) -> dict[str, Any]:
        """Returns the span of a text, or none where the doubt is above `limit`."""
        start, end, logarithm, _ = self
        if start < 0 or self.doubt > limit:
            start, end, logarithm = -1, -1, self.none
        probability = float(np.exp(np.float32(logarithm)))
        return {"answer": text[start:end], "start": start, "end": end, "probability": probability}


def inside(starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns which tokens stand for a character of the text, bool."""
    return (starts >= 0) & (ends > starts)


def marks(
    starts: np.ndarray, ends: np.ndarray, golds: Sequence[tuple[int, int]], cut: bool
) -> np.ndarray:
    """Returns the marks of an example's tokens, int32 [r t].

    Every right span is marked in every row that holds all of it. There are none where the text is
    cut before they end, or where no token has a character of them.

    Args:
      starts, ends: the characters of each token, int [r t]; -1 where it is none of the text.
      golds: the characters that right spans begin with and end before; none for no span.
      cut: whether something of the text is in no row.
    """
    text = inside(starts, ends)
    result = np.where(text, 0, OUTSIDE).astype(np.int32)
    result[0, 0] = 0 if golds else START + END
    read = ends[text].max(initial=0)
    for begin, end in golds:
        over = text & (starts < end) & (ends > begin)
        if not over.any() or (cut and end > read):
            continue
        low, high = starts[over].min(), ends[over].max()
        for row in np.flatnonzero(over.any(1)):
            places = np.flatnonzero(over[row])
            left, right = places[0], places[-1]
            if starts[row, left] == low and ends[row, right] == high:
                result[row, left] |= START
                result[row, right] |= END
    return result


def best(logits: np.ndarray, starts: np.ndarray, ends: np.ndarray, longest: int) -> Span:
    """Returns the most probable span of an example: within a row, of at most `longest` tokens.

    Its probability is the product of those of its ends, each of a softmax over all positions. Of
    equally probable ones it is the shortest, then the first.

    Args:
      logits: of both ends, float [r t 2].
      starts, ends: as of `marks`.
    """
    text = inside(starts, ends)
    positions = text.copy()
    positions[0, 0] = True
    scores = np.where(positions[..., None], logits, np.float32(NEVER)).astype(np.float32)
    top = scores.max((0, 1))
    scores -= top + np.log(np.exp(scores - top).sum((0, 1)))
    none = float(scores[0, 0].sum())
    scores = np.where(text[..., None], scores, np.float32(NEVER))
    length = scores.shape[1]
    closes = np.pad(scores[..., 1], [(0, 0), (0, longest - 1)], constant_values=NEVER)
    pairs = np.stack([scores[..., 0] + closes[:, n : n + length] for n in range(longest)])
    more, row, left = np.unravel_index(int(pairs.argmax()), pairs.shape)
    right = min(left + more, length - 1)
    value = float(pairs[more, row, left])
    return Span(int(starts[row, left]), int(ends[row, right]), value, none)


def logits_of(
    starts: np.ndarray, ends: np.ndarray, span: tuple[int, int] | None, longest: int
) -> np.ndarray:
    """Returns logits whose best span is `span`, float32 [r t 2]; None for no span.

    Of a span with more than `longest` tokens it is the beginning.
    """
    logits = np.full((*starts.shape, 2), -100.0, np.float32)
    begin, end = span or (0, 0)
    over = inside(starts, ends) & (starts < end) & (ends > begin)
    row = int(over.sum(1).argmax())
    places = np.flatnonzero(over[row]) if over.any() else [0]
    logits[row, places[0], 0] = logits[row, places[:longest][-1], 1] = 0.0
    return logits


def places(
    encoded: Any, outputs: Sequence[np.ndarray] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the starts and the ends of each example's tokens, int [r t].

    Args:
      encoded: `Encoded` in rows, with `starts` and `ends`.
      outputs: of a model, [r t ...] each; t is theirs, else the longest row's.
    """
    lengths, offsets = encoded.tokens.lengths, encoded.windows.offsets
    for number in range(encoded.size):
        rows = np.arange(*offsets[number : number + 2])
        length = lengths[rows].max() if outputs is None else outputs[number].shape[1]
        starts, ends = (encoded.extra[name].pad(rows, length, -1) for name in ("starts", "ends"))
        yield starts, ends


def marked(encoded: Any, golds: Sequence[Sequence[tuple[int, str]]]) -> list[np.ndarray]:
    """Returns the marks of each row of a split, int32 [t].

    Args:
      golds: of each example, the first character and the text of right answers.
    """
    rows: list[np.ndarray] = []
    cut = encoded.cut > 0
    for number, (starts, ends) in enumerate(places(encoded)):
        wanted = [(start, start + len(text)) for start, text in golds[number]]
        rows.extend(marks(starts, ends, wanted, bool(cut[number])))
    return [row[:length] for row, length in zip(rows, encoded.tokens.lengths, strict=True)]


def left_out(encoded: Any) -> list[str]:
    """Returns a line about examples that have no mark at a right span, if there are any."""
    right = [(row > 0).any() for row in encoded.targets.rows()]
    count = int((~np.logical_or.reduceat(right, encoded.windows.offsets[:-1])).sum())
    line = f"{count:,} of {encoded.size:,} answers are in no window, and the loss leaves them out"
    return [line] if count else []


def found(encoded: Any, outputs: Sequence[np.ndarray], longest: int) -> list[Span]:
    """Returns the best span of each example; arguments as in `best`."""
    return [
        best(logits, starts, ends, longest)
        for logits, (starts, ends) in zip(outputs, places(encoded, outputs), strict=True)
    ]


def told(found: Sequence[Span], texts: Sequence[str], limit: float) -> list[dict[str, Any]]:
    """Returns `Span.told` of each example's best span."""
    return [span.told(text, limit) for span, text in zip(found, texts, strict=True)]


def uniform_loss(targets: Any) -> float:
    """Returns the mean loss of examples where every position is equally probable.

    Args:
      targets: `Ragged` with the marks of each row; an example begins with a row whose first token
        is a position.
    """
    rows = list(targets.rows())
    right = [(START, START + END), (END, START + END)]
    counts = [[(row >= 0).sum(), *(np.isin(row, side).sum() for side in right)] for row in rows]
    first = np.flatnonzero([row[0] >= 0 for row in rows])
    size, *hits = np.add.reduceat(np.array(counts), first).T
    losses = [np.where(hit > 0, np.log(size / np.maximum(hit, 1)), 0.0) for hit in hits]
    return float(np.mean(losses))


def best_threshold(doubts: np.ndarray, answered: np.ndarray, declined: np.ndarray) -> float:
    """Returns above which doubt no span is the better answer: the highest sum of scores.

    Args:
      doubts: of each example, see `Span.doubt`, [n].
      answered, declined: its score with the best span and with none, [n].
    """
    order = np.argsort(doubts, kind="stable")
    sums = [np.concatenate([[0.0], np.cumsum(part[order])]) for part in (answered, declined)]
    totals = sums[0] + sums[1][-1] - sums[1]
    ranked = doubts[order]
    edges = np.concatenate([[ranked[0] - 1], (ranked[1:] + ranked[:-1]) / 2, [ranked[-1] + 1]])
    # Between equal doubts there is no threshold.
    possible = np.concatenate([[True], ranked[1:] > ranked[:-1], [True]])
    return float(edges[np.where(possible, totals, -np.inf).argmax()])
