"""Rows that are decoded each time they are read, such as images that do not fit into memory."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import psutil
import tensorflow as tf

from tfft.data.encoded_split import Encoded
from tfft.data.encoded_towers import EncodedTowers
from tfft.errors import DataError

Columns = tuple[Sequence[str], ...]
SHARE = 0.25  # of the free memory that decoded values of a split may take
GIB = 2**30


@dataclasses.dataclass(frozen=True)
class DecodedRows:
    """One value of a fixed shape for each example, decoded when it is read; see `Ragged`.

    Attributes:
      columns: the inputs of all examples, such as the paths of files.
      preprocessor: whose `rows` decodes them.
      source_digest: a hash of the content of the columns.
      chosen: numbers of the rows that there are to be, in their order; None for all.
      failures: gets the error of a row that cannot be decoded, for those who read in a graph.
    """

    columns: Columns
    preprocessor: Any
    source_digest: str
    chosen: np.ndarray | None = None
    failures: list[DataError] = dataclasses.field(default_factory=list, compare=False)

    @property
    def lengths(self) -> np.ndarray:
        count = len(self.columns[0]) if self.chosen is None else len(self.chosen)
        return np.ones(count, np.int32)

    @property
    def offsets(self) -> np.ndarray:
        return np.arange(len(self.columns[0]) + 1)

    @property
    def value_shape(self) -> tuple[int, ...]:
        """The shape of a value, such as [h w c] of an image."""
        return tuple(self.preprocessor.shape)

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the value of each row, [1 ...], in their order."""
        for row in range(len(self.lengths)):
            yield self.first(np.array([row]))

    def take(self, rows: np.ndarray) -> DecodedRows:
        """Returns some of the rows, in this order; nothing is decoded."""
        return dataclasses.replace(self, chosen=self._places(np.asarray(rows)))

    def _places(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.chosen is None else self.chosen[rows]

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Returns the values of some rows: [len(rows), ...].

        Raises:
          DataError: one of them cannot be decoded.
        """
        places = self._places(rows)
        inputs = [tf.constant([column[place] for place in places]) for column in self.columns]
        try:
            return self.preprocessor.rows(*inputs)[self.preprocessor.reads].numpy()
        except DataError as error:
            if error.row is not None:
                error.problem = f"example {places[error.row] + 1:,}: {error.problem}"
            self.failures.append(error)
            raise

    def digest(self) -> str:
        """Returns a hash of the content of the rows, and of how they are decoded."""
        parts = [self.source_digest, self.preprocessor.fingerprint()]
        chosen = b"" if self.chosen is None else np.ascontiguousarray(self.chosen).tobytes()
        return hashlib.sha256("\n".join(parts).encode() + chosen).hexdigest()


def on_demand(
    count: int,
    columns: Callable[[], Columns],
    preprocessor: Any,
    decode: str,
    digest: str,
    log: Callable[[str], None],
) -> dict[str, Encoded]:
    """Returns by tower the inputs of examples that are to be decoded each time they are read.

    Those are the inputs in files, if `decode` requires it, or if they would take more than a
    quarter of the free memory. It is logged in both cases.

    Args:
      count: of the examples.
      columns: returns their inputs.
      preprocessor: of a backbone of one or several towers; its values are of one byte each.
      decode: "memory", "on_demand" or "auto".
      digest: a hash of the content of the examples.
      log: gets a line.
    """
    parts = getattr(preprocessor, "parts", {"": preprocessor})
    encoded: dict[str, Encoded] = {}
    free = psutil.virtual_memory().available
    for name, part in parts.items():
        if not getattr(part, "decodes_files", False) or decode == "memory":
            continue
        size = count * math.prod(part.shape)
        if decode == "auto" and size <= SHARE * free:
            free -= size
            continue
        log(
            f"{count:,} images are decoded each time they are read; in memory they would take "
            f"{size / GIB:.1f} of {free / GIB:.1f} GiB free"
        )
        places = preprocessor.places[name] if name else ()
        own = preprocessor.columns(name, columns()) if name else columns()
        rows: Any = DecodedRows(own, part, f"{digest} {places}")
        encoded[name] = Encoded(rows, None, rows.lengths, 0, name=part.reads, padded=False)
    return encoded


@contextlib.contextmanager
def located_failures(splits: Iterable[Encoded | EncodedTowers]) -> Iterator[None]:
    """Raises the error of a row that could not be decoded in place of TensorFlow's error."""
    rows: list[Any] = []
    for encoded in splits:
        parts = encoded.parts.values() if isinstance(encoded, EncodedTowers) else [encoded]
        rows += [part.tokens for part in parts]
    decoded = [each.failures for each in rows if isinstance(each, DecodedRows)]
    for failures in decoded:
        failures.clear()
    try:
        yield
    except (tf.errors.InvalidArgumentError, tf.errors.UnknownError) as error:
        for failures in decoded:
            if failures:
                raise failures[0] from error
        raise
