"""A split as a model reads it: encoded once, kept without padding, packed for the store."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from safetensors.numpy import load, save

from tfft.errors import DataError
from tfft.preprocessing.instances import Windows, spread


@dataclasses.dataclass(frozen=True)
class Ragged:
    """Rows of different lengths, stored end to end without padding.

    Attributes:
      values: [sum of lengths, ...].
      offsets: int64 [n + 1]; row i is `values[offsets[i]:offsets[i + 1]]`.
      chosen: numbers of the rows that there are to be, in their order; None for all.
    """

    values: np.ndarray
    offsets: np.ndarray
    chosen: np.ndarray | None = None

    @property
    def lengths(self) -> np.ndarray:
        lengths = np.diff(self.offsets)
        return lengths if self.chosen is None else lengths[self.chosen]

    @property
    def single(self) -> bool:
        """Whether each row has one value."""
        return len(self.values) == len(self.offsets) - 1

    def lengths_of(self, rows: np.ndarray) -> np.ndarray:
        """Returns the lengths of some rows; those of all rows are not computed for it."""
        places = self._places(rows)
        return self.offsets[places + 1] - self.offsets[places]

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the values of each row, in their order."""
        for row in range(len(self.offsets) - 1) if self.chosen is None else self.chosen:
            yield self.values[self.offsets[row] : self.offsets[row + 1]]

    def take(self, rows: np.ndarray) -> Ragged:
        """Returns some of the rows, in the order given; no value is copied."""
        return dataclasses.replace(self, chosen=self._places(rows))

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Returns the values of the given rows, where each has one: [len(rows), ...]."""
        return self.values[self._places(rows)]

    def _places(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.chosen is None else self.chosen[rows]

    def pad(self, rows: np.ndarray, length: int, fill: Any = 0) -> np.ndarray:
        """Returns the given rows filled up to `length`: [len(rows), length, ...]."""
        out = np.full((len(rows), length, *self.values.shape[1:]), fill, self.values.dtype)
        for place, row in enumerate(self._places(rows)):
            begin, end = self.offsets[row], self.offsets[row + 1]
            out[place, : end - begin] = self.values[begin:end]
        return out


@dataclasses.dataclass(frozen=True)
class Encoded:
    """A split as token ids; or as values of a fixed shape, such as images, one a row.

    Attributes:
      tokens: the ids, special tokens included, a row a text, cut at the preprocessor's
        `sequence_length`; or a row a window; or one value of a fixed shape a row.
      targets: what the head learns, [n ...], or a number for each token, in rows as the tokens;
        None for texts without labels.
      full_lengths: int32 [n], the lengths before the cut.
      pad_id: the id that fills up a batch.
      windows: which rows are an example's, where an example is read in several.
      extra: further values of each token, by name, in rows as the tokens: segments, offsets.
      inputs: which of them the model reads.
      origins: where each example is from, int32 [n]; None where all are from the same place.
      rates: of each origin, its share of the examples of an epoch.
      name: what the model calls the tokens.
      padded: whether rows differ in length, so that a batch is filled up and has a padding mask.
      decoder: the ids that a decoder reads beside the tokens, in rows of lengths of their own; then
        `targets` are theirs.
      end_id: the id that ends an answer, where answers are learned.
    """

    tokens: Ragged
    targets: np.ndarray | Ragged | None
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
        """Returns what decoder rows are padded to where rows of tokens are padded to `length`."""
        lengths, longest = self._decoder_lengths
        return int(longest[np.searchsorted(lengths, length, side="right") - 1])

    def take(self, rows: np.ndarray) -> Encoded:
        """Returns some of the examples with all their windows, in the order given."""
        windows, taken = (None, rows) if self.windows is None else self.windows.take(rows)
        targets = self.targets
        if targets is not None:
            targets = targets.take(taken) if isinstance(targets, Ragged) else targets[rows]
        return dataclasses.replace(
            self,
            tokens=self.tokens.take(taken),
            targets=targets,
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

    def targets_of(self, rows: np.ndarray, length: int) -> np.ndarray:
        """Returns the targets of examples, [len(rows) ...].

        Those of tokens are [len(rows) t], or [len(rows) r t] of examples of several rows, padded
        with -1.

        Args:
          rows: numbers of the examples.
          length: what `sizes` are padded to.
        """
        assert self.targets is not None
        if not isinstance(self.targets, Ragged):
            return self.targets[rows]
        if self.decoder is not None:
            return self.targets.pad(rows, self.decoder_length(length), -1)
        if self.windows is None:
            return self.targets.pad(rows, length, -1)
        count, length = self.windows.shape(length)
        taken, places = self.windows.rows(rows, count)
        return spread(self.targets.pad(taken, length, -1), places, (len(rows), count), -1)

    def trimmed(self, row: int, output: np.ndarray) -> np.ndarray:
        """Returns an example's output, [t ...] or [r ...] or [r t ...], without what is padding."""
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
            found = preprocessor.rows(*(tf.constant(column) for column in columns))
        except DataError as error:
            if error.row is not None:
                error.problem = f"example {done + error.row + 1:,}: {error.problem}"
            raise
        for name, value in found.items():
            parts.setdefault(name, []).append(value.numpy())
        done += len(columns[0])
        advance(len(columns[0]))
    arrays = {name: np.concatenate(values) for name, values in parts.items()}
    if not preprocessor.padded:
        return _fixed(arrays[preprocessor.reads], preprocessor)
    offsets = _offsets(arrays.pop("lengths"))
    full = arrays.pop("full").astype(np.int32)
    tokens = Ragged(arrays.pop("ids").astype(np.int32), offsets)
    windows = None
    if "counts" in arrays:
        counts, kept = arrays.pop("counts"), arrays.pop("kept").astype(np.int32)
        windows = preprocessor.grouping(_offsets(counts), kept, tokens.lengths)
    extra = {name: Ragged(values, offsets) for name, values in arrays.items()}
    inputs, pad_id = tuple(preprocessor.inputs), preprocessor.pad_id
    begun = _begun(preprocessor, len(full))
    return Encoded(tokens, None, full, pad_id, windows, extra, inputs, decoder=begun)


def _begun(preprocessor: Any, count: int) -> Ragged | None:
    """Returns what a decoder reads before it has written anything; None without one."""
    begins = np.array(getattr(preprocessor, "begins", ()), np.int32)
    if not len(begins):
        return None
    return Ragged(np.tile(begins, count), np.arange(count + 1, dtype=np.int64) * len(begins))


def _fixed(values: np.ndarray, preprocessor: Any) -> Encoded:
    """Returns values of a fixed shape, [n ...], as rows of one."""
    ones = np.ones(len(values), np.int32)
    tokens = Ragged(values, _offsets(ones))
    return Encoded(tokens, None, ones, 0, name=preprocessor.reads, padded=False)


def ragged(rows: Sequence[np.ndarray]) -> Ragged:
    """Returns rows, one at least, end to end."""
    return Ragged(np.concatenate(rows), _offsets(np.array([len(row) for row in rows])))


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def pack(encoded: Encoded) -> bytes:
    """Returns the tokens of a split as bytes, without its targets."""
    return save(arrays_of(encoded))


def arrays_of(encoded: Encoded) -> dict[str, np.ndarray]:
    """Returns the tokens of a split as arrays by name, without its targets."""
    tokens, windows = encoded.tokens, encoded.windows
    arrays = {"values": tokens.values, "offsets": tokens.offsets, "full": encoded.full_lengths}
    if windows is not None:
        arrays |= {"windows": windows.offsets, "kept": windows.kept}
    return arrays | {f"extra/{name}": each.values for name, each in encoded.extra.items()}


def unpack(content: bytes, preprocessor: Any) -> Encoded:
    """Returns what `pack` was given, without targets."""
    return of_arrays(load(content), preprocessor)


def of_arrays(arrays: Mapping[str, np.ndarray], preprocessor: Any) -> Encoded:
    """Returns the split that `arrays_of` was given, without targets."""
    windows = None
    if not preprocessor.padded:
        return _fixed(arrays["values"], preprocessor)
    tokens = Ragged(arrays["values"], arrays["offsets"])
    if "windows" in arrays:
        windows = preprocessor.grouping(arrays["windows"], arrays["kept"], tokens.lengths)
    extra = {
        name.removeprefix("extra/"): Ragged(values, tokens.offsets)
        for name, values in arrays.items()
        if name.startswith("extra/")
    }
    inputs, pad_id = tuple(preprocessor.inputs), preprocessor.pad_id
    full = arrays["full"]
    begun = _begun(preprocessor, len(full))
    return Encoded(tokens, None, full, pad_id, windows, extra, inputs, decoder=begun)
