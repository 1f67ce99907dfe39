"""TFRecord files of `tf.train.Example`: records with checksums, features by name."""

from __future__ import annotations

import itertools
import os
import struct
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from tfft.data.formats.base import MISSING, Format, Row
from tfft.errors import DataError
from tfft.storage.foreign_files import open_regular

BATCH = 1024
LONGEST_RECORD = 2**26  # bytes
HEAD, TAIL = 12, 4  # bytes around a record: its length with a checksum, and its own checksum
_VALID = "a complete, uncompressed TFRecord file of tf.train.Example"


class TFRecord(Format):
    """A file of examples; the first one's features are the columns.

    A feature is a string, an integer or a float, and a list if it has several values.
    """

    def __init__(self, where: str):
        super().__init__(where)
        self._refuse_long_records()
        from google.protobuf.message import DecodeError
        from tensorflow.core.example.example_pb2 import Example

        self._example, self._decode_error = Example, DecodeError
        first = next(self._examples(), None)
        if first is None:
            raise DataError(f"{where} has no records.", set_in=where, valid=_VALID)
        self.names = sorted(first[2])

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for _, number, features in self._examples():
            yield number, self._values(features, columns, number)

    def placed_rows(self, columns: Sequence[str]) -> Iterator[tuple[int, int, list[Any]]]:
        """Yields the byte at which each record begins, its number, and its values."""
        for position, number, features in self._examples():
            yield position, number, self._values(features, columns, number)

    def read(self, file: BinaryIO, position: int, columns: Sequence[str]) -> list[Any]:
        """Returns the values of the record at a byte of the open file."""
        file.seek(position)
        size = struct.unpack("<Q", file.read(HEAD)[:8])[0]
        return self._values(self._parse(file.read(size), 0), columns, 0)

    def place(self, number: int) -> str:
        return f"{self.where}, row {number:,}" if number else self.where

    def _examples(self) -> Iterator[tuple[int, int, Any]]:
        position = 0
        for number, record in enumerate(self._records(), 1):
            yield position, number, self._parse(record, number)
            position += HEAD + len(record) + TAIL

    def _refuse_long_records(self) -> None:
        """Refuses lengths beyond the file, for which TensorFlow would end the process.

        Raises:
          OSError: The file cannot be read.
          DataError: Its records are not what follow each other in it.
        """
        with open_regular(self.where) as file:
            position, size = 0, os.fstat(file.fileno()).st_size
            for number in itertools.count(1):
                if position == size:
                    return
                head = os.pread(file.fileno(), HEAD, position)
                length = struct.unpack("<Q", head[:8])[0] if len(head) == HEAD else size
                position += HEAD + length + TAIL
                if position > size:
                    raise self._damaged(number)
                if length > LONGEST_RECORD:
                    raise DataError(
                        f"{self.place(number)} has {length:,} bytes.",
                        set_in=self.place(number),
                        valid=f"records of at most {LONGEST_RECORD:,} bytes",
                    )

    def _records(self) -> Iterator[bytes]:
        import tensorflow as tf

        count = 0
        try:
            for batch in tf.data.TFRecordDataset(self.where).batch(BATCH).as_numpy_iterator():
                yield from batch
                count += len(batch)
        except (tf.errors.DataLossError, tf.errors.OutOfRangeError) as error:
            count += sum(1 for _ in self._readable(count))
            raise self._damaged(count + 1) from error
        except (tf.errors.OpError, OSError) as error:
            raise DataError(f"{self.where} cannot be read: {error}", valid=_VALID) from error

    def _damaged(self, number: int) -> DataError:
        return DataError(
            f"{self.where} is damaged or no TFRecord file: record {number:,} cannot be read.",
            set_in=self.place(number),
            valid=_VALID,
        )

    def _readable(self, begin: int) -> Iterator[bytes]:
        """Yields the records from number `begin` up to one that is damaged."""
        import tensorflow as tf

        try:
            yield from tf.data.TFRecordDataset(self.where).skip(begin).as_numpy_iterator()
        except tf.errors.OpError:
            return

    def _parse(self, record: bytes, number: int) -> Any:
        try:
            return self._example.FromString(record).features.feature
        except self._decode_error as error:
            place = self.place(number)
            raise DataError(
                f"{place} is no tf.train.Example.", set_in=place, valid=_VALID
            ) from error

    def _values(self, features: Any, columns: Sequence[str], number: int) -> list[Any]:
        return [self._value(features, name, number) for name in columns]

    def _value(self, features: Any, name: str, number: int) -> Any:
        if name not in features:
            return MISSING
        feature = features[name]
        kind = feature.WhichOneof("kind")
        values = list(getattr(feature, kind).value) if kind else []
        if kind == "float_list":  # the shortest decimal that float32 tells from its neighbors
            values = [float(str(np.float32(value))) for value in values]
        elif kind == "bytes_list":
            try:
                values = [value.decode() for value in values]
            except UnicodeDecodeError as error:
                place = self.place(number)
                raise DataError(
                    f"{place}: {name!r} is not UTF-8.", set_in=place, valid="texts in UTF-8"
                ) from error
        return values[0] if len(values) == 1 else values or None
