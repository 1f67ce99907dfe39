"""Texts read in several windows: which rows are a text's, and one answer a text in the model.

A batch is [b n t]: b texts of n windows of t tokens, of which some are padding. The body sees
windows as texts, [b*n t]; its pooled features, or the head's probabilities, are averaged over the
windows of a text. So losses, metrics and answers are those of texts everywhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.errors import ConfigError


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


class Flat(keras.layers.Layer):
    """From texts of windows, [b n ...], to windows, [b*n ...]."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(inputs, (-1, *keras.ops.shape(inputs)[2:]))


class Stacked(keras.layers.Layer):
    """From windows, [b*n ...], to texts of windows, [b n ...], as the mask [b n t] has them."""

    def call(self, rows: Any, padding_mask: Any) -> Any:
        ops = keras.ops
        return ops.reshape(rows, (*ops.shape(padding_mask)[:2], *ops.shape(rows)[1:]))


class Each(Stacked):
    """The outputs of the rows of each example: from [b*r ...] and the mask [b r t] to [b r ...].

    Args:
      absent: the output of a row that is padding: its first token is.
    """

    def __init__(self, absent: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.absent = absent

    def call(self, rows: Any, padding_mask: Any) -> Any:
        ops, found = keras.ops, super().call(rows, padding_mask)
        there = ops.reshape(
            padding_mask[:, :, 0] > 0, (*ops.shape(found)[:2], *[1] * (rows.ndim - 1))
        )
        return ops.where(there, found, ops.cast(self.absent, found.dtype))


class Average(keras.layers.Layer):
    """The mean over the windows of a text: from [b*n d] and the mask [b n t] to [b d].

    A window is there when its first token is. Summed in float32.
    """

    def call(self, rows: Any, padding_mask: Any) -> Any:
        ops = keras.ops
        there = padding_mask[:, :, :1]
        wide = ops.reshape(ops.cast(rows, "float32"), (*ops.shape(there)[:2], rows.shape[-1]))
        total = ops.sum(ops.where(there > 0, wide, 0.0), axis=1)
        return ops.cast(total / ops.sum(ops.cast(there, "float32"), axis=1), rows.dtype)


def average_of(body: Any) -> str | None:
    """Returns what a body averages over rows; "each" for nothing; None where there is one."""
    return getattr(body, "average", None)


def flat(body: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a batch as the body sees it: as it is, or with the windows of all texts in a row."""
    if average_of(body) is None:
        return inputs
    return {name: Flat(name=f"flat_{name}")(value) for name, value in inputs.items()}


def stacked(body: Any, rows: Any, padding_mask: Any) -> Any:
    """Undoes `flat` for what the body's lower part gives."""
    return rows if average_of(body) is None else Stacked(name="stacked")(rows, padding_mask)


def answer(body: Any, head: Any, read: Any, padding_mask: Any, additions: Any = None) -> Any:
    """From what is read of all rows to the task's output, [b c].

    Args:
      body: its `average` says what is averaged: "features" or "probabilities"; "each" for examples
        of rows that have an output each, [b r c], those of absent rows `absent`; None for texts
        that are one row each.
      head: from pooled features or tokens to the output.
      read: pooled features of all windows, [b*n d]; or tokens, [b*n t d], for [b t c] or [b n t c].
      padding_mask: int32 [b n t].
      additions: `Additions` that mix the features of texts before the head; None for nothing.

    Raises:
      ConfigError: texts are to be mixed that have no features of the whole.
    """
    average = average_of(body)
    mixed = additions is not None and additions.mixup
    if mixed and (average in ("probabilities", "each") or not body.pools):
        raise ConfigError(
            f"Stage.mixup={additions.mixup} mixes the features of two texts, and "
            + (
                'window_average="probabilities" has none of whole texts.'
                if average == "probabilities"
                else "this task reads none of whole texts."
            ),
            valid='window_average="features", or Stage.mixup = 0.0',
            see="docs/long_texts.md",
        )
    if average == "probabilities":
        return Average(name="average")(head(read), padding_mask)
    if average == "each":
        return Each(body.absent, name="each")(head(read), padding_mask)
    if average == "features":
        read = Average(name="average")(read, padding_mask)
    return head(read if additions is None or not body.pools else additions.blend(read))
