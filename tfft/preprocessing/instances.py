"""Examples of several instances: windows of a long text, or alternatives."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True)
class Windows:
    """Which windows belong to which text of a split.

    Attributes:
      offsets: int64 [n + 1]; text i has the windows offsets[i] to before offsets[i + 1].
      kept: int32 [n], the tokens of a text that are in some window, special ones counted once.
      length: the tokens of a full window; all windows of a text that has several are full.
      remedy: the setting that has to be larger where a text is cut.
    """

    remedy: ClassVar[str] = "most_windows"

    offsets: np.ndarray
    kept: np.ndarray
    length: int

    @property
    def counts(self) -> np.ndarray:
        return np.diff(self.offsets)

    @property
    def several(self) -> np.ndarray:
        """Whether a text is in several windows because it is long, bool [n]."""
        return self.counts > 1

    @property
    def least(self) -> int:
        """The rows that every text takes in a batch."""
        return 1

    def told(self) -> str:
        """Returns a line for a person on the training split."""
        counts = self.counts
        return (
            f"long texts in windows of {self.length} tokens: {int((counts > 1).sum()):,} of the "
            f"{len(counts):,} training texts have several, at most {counts.max()}; "
            f"{counts.sum():,} windows in all"
        )

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the tokens of each text with all its windows, from those of the windows."""
        one = lengths[self.offsets[:-1]]
        return np.where(self.counts == 1, one, self.counts * self.length)

    def shape(self, size: int) -> tuple[int, int]:
        """Returns how many windows, and of how many tokens, hold texts of at most `size`."""
        return -(-size // self.length), min(size, self.length)

    def rows(self, texts: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns the windows of texts, and their places in a batch of `count` windows a text."""
        counts = self.counts[texts]
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        first = np.repeat(np.arange(len(texts)) * count, counts)
        return np.repeat(self.offsets[texts], counts) + number, first + number

    def take(self, texts: np.ndarray) -> tuple[Windows, np.ndarray]:
        """Returns the windows of some texts, in the order given, and the rows they were."""
        offsets = np.concatenate([[0], np.cumsum(self.counts[texts])]).astype(np.int64)
        rows, _ = self.rows(texts, 0)
        return dataclasses.replace(self, offsets=offsets, kept=self.kept[texts]), rows


@dataclasses.dataclass(frozen=True)
class Alternatives(Windows):
    """Which rows belong to which example, where each row is a sequence of its own.

    A batch has as many rows an example as the example of the split that has most, so that the
    longest row alone says in which bucket an example is. `length` is the longest that a row may be.
    """

    remedy: ClassVar[str] = "sequence_length"

    @property
    def several(self) -> np.ndarray:
        return np.zeros(len(self.counts), bool)

    def told(self) -> str:
        few, many = self.counts.min(), self.counts.max()
        each = f"{few}" if few == many else f"{few} to {many}"
        return f"{each} rows an example, {self.counts.sum():,} in all"

    @property
    def least(self) -> int:
        return int(self.counts.max())

    def sizes(self, lengths: np.ndarray) -> np.ndarray:
        """Returns the tokens that each example takes in a batch, from the lengths of the rows."""
        return np.maximum.reduceat(lengths, self.offsets[:-1]) * self.least

    def shape(self, size: int) -> tuple[int, int]:
        """Returns how many rows, and of how many tokens, hold examples of at most `size`."""
        return self.least, size // self.least


def spread(rows: np.ndarray, places: np.ndarray, shape: tuple[int, int], fill: Any) -> np.ndarray:
    """Returns windows [w ...] at their places in a batch, [b n ...], with `fill` elsewhere."""
    out = np.full((shape[0] * shape[1], *rows.shape[1:]), fill, rows.dtype)
    out[places] = rows
    return out.reshape(*shape, *rows.shape[1:])
