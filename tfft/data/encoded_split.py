"""A split as a model reads it: encoded once, stored without padding."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from tfft.errors import DataError
from tfft.preprocessing.instances import Windows, spread


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, stored end to end without padding.

    Attributes:
      values: [sum of lengths, ...].
      offsets: int64 [n + 1]; row i is `values[offsets[i]:offsets[i + 1]]`.
      chosen: numbers of the rows that there are to be, in their order; None for all.
      padding: of targets, the value that fills a row up in a batch.
      along: of targets, the lengths of the rows. "tokens": those of the example's tokens, or of its
        decoder's, and a batch is padded as these are. "own": any others, such as boxes [k 5]; every
        batch is padded to the longest row of the split. XLA compiles once a shape, and batches
        padded to their own longest rows would have about as many shapes as there are batches.
    """

    values: np.ndarray
    offsets: np.ndarray
    chosen: np.ndarray | None = None
    padding: float = -1
    along: Literal["tokens", "own"] = "tokens"

    @property
    def lengths(self) -> np.ndarray:
        lengths = np.diff(self.offsets)
        return lengths if self.chosen is None else lengths[self.chosen]

    @property
    def value_shape(self) -> tuple[int, ...]:
        """The shape of a value: () of a token's id, [h w c] of an image."""
        return self.values.shape[1:]

    @functools.cached_property
    def longest(self) -> int:
        """The length of the longest row; 1 where all are empty, so that no batch is."""
        return int(self.lengths.max(initial=1))

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the lengths of some rows; those of all rows are not computed for it."""
        places = self._places(rows)
        return self.offsets[places + 1] - self.offsets[places]

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the values of each row, in their order."""
        for row in range(len(self.offsets) - 1) if self.chosen is None else self.chosen:
            yield self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: np.ndarray) -> Ragged:
        """Returns some of the rows, in this order; no value is copied."""
        return dataclasses.replace(self, chosen=self._places(rows))

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Returns the values of some rows, where each has one: [len(rows), ...]."""
        return self.values[self._places(rows)]

    def _places(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.chosen is None else self.chosen[rows]

    def pad(self, rows: np.ndarray, length: int, fill: Any = 0) -> np.ndarray:
        """Returns some rows filled up to `length`: [len(rows), length, ...]."""
        out = np.full((len(rows), length, *self.values.shape[1:]), fill, self.values.dtype)
        for place, row in enumerate(self._places(rows)):
            begin, end = self.offsets[row], self.offsets[row + 1]
            out[place, : end - begin] = self.values[begin:end]
        return out


# An array [n ...]; rows of different lengths; or a nested dict of them.
Targets = np.ndarray | Ragged | Mapping[str, "Targets"]


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A split as token ids; or as values of a fixed shape, such as images, one a row.

    Attributes:
      tokens: the ids, special tokens included, a row a text, cut at the preprocessor's
        `sequence_length`; or a row a window; or one value of a fixed shape a row.
      targets: targets of the head: an array [n ...], `Ragged`, or a nested dict of them; None for
        texts without labels.
      full_lengths: int32 [n], the lengths before the cut.
      pad_id: the id that fills up a batch.
      windows: which rows are an example's, where an example is read in several.
      extra: further values of each token, by name, in rows as the tokens: segments, offsets.
      inputs: which of them the model reads.
      origins: where each example is from, int32 [n]; None where all are from the same place.
      rates: of each origin, its share of the examples of an epoch.
      name: the model's name of the tokens.
      padded: whether rows differ in length, so that a batch is filled up and has a padding mask.
      decoder: the ids that a decoder reads beside the tokens, in rows of lengths of their own; then
        targets along tokens are along these.
      end_id: the id that ends an answer, where answers are learned.
    """

    tokens: Ragged
    targets: Targets | None
    full_lengths: np.ndarray
    pad_id: int
    windows: Windows | None = None
    extra: Mapping[str, Ragged] = dataclasses.field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    origins: np.ndarray | None = None
    rates: np.ndarray | None = None
    name: str = "token_ids"
    padded: bool = True
    decoder: Ragged | None = None
    end_id: int | None = None

    @property
    def size(self) -> int:
        return len(self.full_lengths)

    @property
    def sizes(self) -> np.ndarray:
        """The tokens that each text takes in a batch, int [n]."""
        lengths = self.tokens.lengths
        return lengths if self.windows is None else self.windows.sizes(lengths)

    @property
    def filled(self) -> np.ndarray:
        """The tokens in all rows of each text, without padding, int [n]."""
        lengths, windows = self.tokens.lengths, self.windows
        return lengths if windows is None else np.add.reduceat(lengths, windows.offsets[:-1])

    @property
    def kept(self) -> np.ndarray:
        """The tokens of each text that the model reads, those of its answer included, int [n]."""
        if self.decoder is not None and isinstance(self.targets, Ragged):
            return self.tokens.lengths + self.targets.lengths
        return self.tokens.lengths if self.windows is None else self.windows.kept

    @property
    def cut(self) -> np.ndarray:
        """How many tokens of each text the model does not read, int [n]."""
        return self.full_lengths - self.kept

    @functools.cached_property
    def _decoder_lengths(self) -> tuple[np.ndarray, np.ndarray]:
        """The lengths of all rows, ascending, and the longest decoder row of those up to each."""
        assert self.decoder is not None
        order = np.argsort(self.tokens.lengths, kind="stable")
        longest = np.maximum.accumulate(self.decoder.lengths[order])
        return self.tokens.lengths[order], longest

    def decoder_length(self, length: int) -> int:
        """Returns the padded length of decoder rows where rows of tokens are padded to `length`."""
        lengths, longest = self._decoder_lengths
        return int(longest[np.searchsorted(lengths, length, side="right") - 1])

    def take(self, rows: np.ndarray) -> Encoded:
        """Returns some of the examples with all their windows, in this order."""
        windows, taken = (None, rows) if self.windows is None else self.windows.take(rows)

        def some(targets: Any) -> Any:
            if not isinstance(targets, Ragged):
                return targets[rows]
            return targets.take(taken if targets.along == "tokens" else rows)

        return dataclasses.replace(
            self,
            tokens=self.tokens.take(taken),
            targets=None if self.targets is None else tf.nest.map_structure(some, self.targets),
            full_lengths=self.full_lengths[rows],
            windows=windows,
            extra={name: values.take(taken) for name, values in self.extra.items()},
            origins=None if self.origins is None else self.origins[rows],
            decoder=None if self.decoder is None else self.decoder.take(rows),
        )

    def by_row(self) -> Encoded:
        """Returns the same tokens with each row as a text of its own, without targets."""
        if self.windows is None:
            return self
        lengths = self.tokens.lengths.astype(np.int32)
        return dataclasses.replace(self, targets=None, full_lengths=lengths, windows=None)

    def targets_of(self, rows: np.ndarray, length: int) -> Any:
        """Returns the targets of examples, [len(rows) ...], nested as `targets`.

        Those along tokens are [len(rows) t ...], or [len(rows) r t ...] of examples of several
        rows; those of lengths of their own are [len(rows) `Ragged.longest` ...].

        Args:
          rows: numbers of the examples.
          length: the padded length of `sizes`.
        """
        assert self.targets is not None
        return tf.nest.map_structure(lambda each: self._batch_of(each, rows, length), self.targets)

    def _batch_of(self, targets: np.ndarray | Ragged, rows: np.ndarray, length: int) -> np.ndarray:
        if not isinstance(targets, Ragged):
            return targets[rows]
        fill = targets.padding
        if targets.along == "own":
            return targets.pad(rows, targets.longest, fill)
        if self.decoder is not None:
            return targets.pad(rows, self.decoder_length(length), fill)
        if self.windows is None:
            return targets.pad(rows, length, fill)
        count, length = self.windows.shape(length)
        taken, places = self.windows.rows(rows, count)
        return spread(targets.pad(taken, length, fill), places, (len(rows), count), fill)

    def trimmed(self, row: int, output: np.ndarray) -> np.ndarray:
        """Returns an example's output, [t ...] or [r ...] or [r t ...], without its padding."""
        if self.windows is None:
            return output[: self.tokens.lengths[row]]
        begin, end = self.windows.offsets[row : row + 2]
        return output[: end - begin]

    def truncation(self) -> dict[str, int]:
        """Returns how many texts and tokens there were, and how many of them were cut."""
        return {
            "texts": self.size,
            "cut_texts": int((self.cut > 0).sum()),
            "tokens": int(self.full_lengths.sum()),
            "cut_tokens": int(self.cut.sum()),
        }


def encode(
    batches: Iterable[tuple[Any, ...]],
    preprocessor: Any,
    advance: Callable[[int], None] = lambda count: None,
    done: int = 0,
) -> Encoded:
    """Reads examples in the graph that serving uses too, without targets.

    Args:
      batches: the inputs of some examples each: strings, [b], one array an input.
      preprocessor: with `rows`, `reads`, `inputs`, `pad_id` and `padded`.
      advance: called with the number of examples done.
      done: Number of examples before these, for errors.

    Raises:
      DataError: one of them cannot be read.
    """
    parts: dict[str, list[np.ndarray]] = {}
    for columns in batches:
        try:
            rows = preprocessor.rows(*(tf.constant(column) for column in columns))
        except DataError as error:
            if error.row is not None:
                error.problem = f"example {done + error.row + 1:,}: {error.problem}"
            raise
        for name, value in rows.items():
            parts.setdefault(name, []).append(value.numpy())
        done += len(columns[0])
        advance(len(columns[0]))
    read = {name: np.concatenate(values) for name, values in parts.items()}
    if not preprocessor.padded:
        return of_arrays({"values": read[preprocessor.reads]}, preprocessor)
    ids = read.pop("ids")  # or vectors, of an input that is a row of them
    arrays = {
        "values": ids.astype(np.int32) if ids.dtype.kind in "iu" else ids,
        "offsets": offsets_of(read.pop("lengths")),
        "full": read.pop("full").astype(np.int32),
    }
    if "counts" in read:
        arrays["windows"] = offsets_of(read.pop("counts"))
        arrays["kept"] = read.pop("kept").astype(np.int32)
    arrays |= {f"extra/{name}": values for name, values in read.items()}
    return of_arrays(arrays, preprocessor)


def ragged(rows: Sequence[np.ndarray]) -> Ragged:
    """Returns rows, one at least, end to end."""
    return Ragged(np.concatenate(rows), offsets_of(np.array([len(row) for row in rows])))


def join(parts: Sequence[Ragged]) -> Ragged:
    """Returns the rows of several, none of which has chosen rows, one behind the other."""
    lengths = np.concatenate([part.lengths for part in parts])
    return Ragged(np.concatenate([part.values for part in parts]), offsets_of(lengths))


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Returns where rows of these lengths begin, and where the last one ends: int64 [n + 1]."""
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def arrays_of(encoded: Encoded) -> dict[str, np.ndarray]:
    """Returns the tokens of a split as arrays by name, without its targets."""
    tokens, windows = encoded.tokens, encoded.windows
    arrays = {"values": tokens.values, "offsets": tokens.offsets, "full": encoded.full_lengths}
    if windows is not None:
        arrays |= {"windows": windows.offsets, "kept": windows.kept}
    return arrays | {f"extra/{name}": each.values for name, each in encoded.extra.items()}


def of_arrays(arrays: Mapping[str, np.ndarray], preprocessor: Any) -> Encoded:
    """Returns the split that `arrays_of` was called with, without targets."""
    values, name = arrays["values"], preprocessor.reads
    if not preprocessor.padded:  # values of a fixed shape, [n ...], as rows of one
        ones = np.ones(len(values), np.int32)
        return Encoded(Ragged(values, offsets_of(ones)), None, ones, 0, name=name, padded=False)
    tokens, full = Ragged(values, arrays["offsets"]), arrays["full"]
    windows = decoder = None
    if "windows" in arrays:
        windows = preprocessor.grouping(arrays["windows"], arrays["kept"], tokens.lengths)
    extra = {
        key.removeprefix("extra/"): Ragged(each, tokens.offsets)
        for key, each in arrays.items()
        if key.startswith("extra/")
    }
    # A decoder reads these ids before it has written anything.
    begins = np.array(getattr(preprocessor, "begins", ()), np.int32)
    if len(begins):
        offsets = np.arange(len(full) + 1, dtype=np.int64) * len(begins)
        decoder = Ragged(np.tile(begins, len(full)), offsets)
    inputs, pad_id = tuple(preprocessor.inputs), preprocessor.pad_id
    return Encoded(tokens, None, full, pad_id, windows, extra, inputs, name=name, decoder=decoder)
