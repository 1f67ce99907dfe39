"""Rows that are decoded each time they are read, such as images that do not fit into memory."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import DataError


@dataclasses.dataclass(frozen=True)
class DecodedRows:
    """One value of a fixed shape for each example, decoded when it is read; see `Ragged`.

    Attributes:
      columns: the inputs of all examples, such as the paths of files.
      preprocessor: whose `rows` decodes them.
      source_digest: a hash of what the columns hold.
      chosen: numbers of the rows that there are to be, in their order; None for all.
      failures: gets the error of a row that cannot be decoded, for those who read in a graph.
    """

    columns: tuple[Sequence[str], ...]
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
    def single(self) -> bool:
        """Whether each row has one value."""
        return True

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a value."""
        return tuple(self.preprocessor.shape)

    def rows(self) -> Iterator[np.ndarray]:
        """Yields the value of each row, [1 ...], in their order."""
        for row in range(len(self.lengths)):
            yield self.first(np.array([row]))

    def take(self, rows: np.ndarray) -> DecodedRows:
        """Returns some of the rows, in the order given; nothing is decoded."""
        chosen = np.asarray(rows) if self.chosen is None else self.chosen[rows]
        return dataclasses.replace(self, chosen=chosen)

    def first(self, rows: np.ndarray) -> np.ndarray:
        """Returns the values of the given rows: [len(rows), ...].

        Raises:
          DataError: one of them cannot be decoded.
        """
        places = rows if self.chosen is None else self.chosen[rows]
        inputs = [tf.constant([column[place] for place in places]) for column in self.columns]
        try:
            return self.preprocessor.rows(*inputs)[self.preprocessor.reads].numpy()
        except DataError as error:
            if error.row is not None:
                error.problem = f"example {places[error.row] + 1:,}: {error.problem}"
            self.failures.append(error)
            raise

    def digest(self) -> str:
        """Returns a hash of what the rows are decoded from, and of how."""
        parts = [self.source_digest, self.preprocessor.fingerprint()]
        chosen = b"" if self.chosen is None else np.ascontiguousarray(self.chosen).tobytes()
        return hashlib.sha256("\n".join(parts).encode() + chosen).hexdigest()
