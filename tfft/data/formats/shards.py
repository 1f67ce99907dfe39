"""Shards: files of rows that one pass finds the places of, so that any row can be read later."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from tfft.data.formats.base import LONGEST_LINE, MISSING, Format
from tfft.data.formats.compression import COMMANDS
from tfft.data.formats.csv import Separated, field_limit
from tfft.data.formats.delimiters import separated
from tfft.data.formats.json_lines import JsonLines
from tfft.data.formats.parquet import Parquet
from tfft.data.formats.tfrecord import TFRecord
from tfft.errors import DataError
from tfft.storage.foreign_files import open_regular, parse_json

NUMBERED = re.compile(r"-\d+-of-\d+$")
BUFFER = 2**20  # bytes of a Parquet column that are read at a time
ROWS = 4096  # of a Parquet file that are decoded at a time
SUFFIXES = (".csv", ".jsonl", ".ndjson", ".parquet", ".tfrecord", ".tfrecords", ".tsv")
Values = Sequence[Any]


def shard_suffix(path: pathlib.Path) -> str:
    """Returns the suffix of a shard's format in lower case; "" for other files.

    A number may follow the suffix, as in `train.tfrecord-00000-of-00010`.
    """
    suffix = pathlib.PurePath(NUMBERED.sub("", path.name.lower())).suffix
    return suffix if suffix in SUFFIXES else ""


def open_shard(path: str) -> Shard:
    """Returns a shard.

    Raises:
      DataError: It cannot be read, is empty, or has another format.
    """
    suffix = shard_suffix(pathlib.Path(path))
    kinds = {".parquet": ParquetShard, ".tfrecord": RecordShard, ".tfrecords": RecordShard}
    if not suffix:
        compression = pathlib.Path(path).suffix.lower()
        decompress = f"{COMMANDS[compression]} FILE" if compression in COMMANDS else ""
        raise DataError(
            f"{path} is no shard: rows cannot be read at any place of a "
            f"{compression or 'nameless'!r} file.",
            set_in=path,
            valid=decompress or ", ".join(SUFFIXES),
        )
    try:
        return kinds.get(suffix, TextShard)(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


class Shard:
    """A file of rows.

    Attributes:
      file: Its format, with the names of the columns.
    """

    file: Format

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[int, int, Values]]:
        """Yields the position, the number and the values of each row, in one pass."""
        raise NotImplementedError

    def read(self, positions: np.ndarray, columns: Sequence[str]) -> Iterator[Values]:
        """Yields the values of the rows at some positions, which ascend, int [n]."""
        raise NotImplementedError


class TextShard(Shard):
    """JSON Lines, CSV or TSV. The position of a row is the byte after the row before it."""

    def __init__(self, path: str):
        self._path = path
        suffix = shard_suffix(pathlib.Path(path))
        if suffix in (".csv", ".tsv"):
            self.file = separated(path, self._open, "\t" if suffix == ".tsv" else ",")
        else:
            self.file = JsonLines(path, self._open)

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[int, int, Values]]:
        begin = 0
        for number, values in self.file.rows(columns):
            yield begin, number, values
            begin = self._raw.tell()

    def read(self, positions: np.ndarray, columns: Sequence[str]) -> Iterator[Values]:
        row = self._record if isinstance(self.file, Separated) else self._object
        with open_regular(self._path) as raw:
            for position in map(int, positions):
                if raw.tell() != position:
                    raw.seek(position)
                try:
                    yield row(raw, position, columns)
                except (ValueError, StopIteration, IndexError, csv.Error) as error:
                    raise _changed(self._path) from error

    def _object(self, raw: BinaryIO, position: int, columns: Sequence[str]) -> Values:
        line = raw.readline()
        while line.isspace():
            line = raw.readline()
        row = parse_json(line)
        return [row.get(name, MISSING) for name in columns]

    def _record(self, raw: BinaryIO, position: int, columns: Sequence[str]) -> Values:
        assert isinstance(self.file, Separated)
        lines = (line.decode() for line in iter(raw.readline, b""))
        with field_limit(LONGEST_LINE):
            reader = csv.reader(lines, delimiter=self.file.delimiter, strict=True)
            if not position:  # before the header
                next(reader)
            row = next(filter(None, reader))
        return [row[self.file.names.index(name)] for name in columns]

    def _open(self) -> BinaryIO:
        self._raw = open_regular(self._path)
        return self._raw


class ParquetShard(Shard):
    """Parquet. The position of a row is its number, from 0."""

    file: Parquet

    def __init__(self, path: str):
        self._path = path
        self.file = Parquet(path, lambda: open_regular(path))

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[int, int, Values]]:
        for number, found in self.file.columns(columns, ROWS, buffer_size=BUFFER):
            for place, values in enumerate(zip(*found, strict=True), number):
                yield place, place + 1, values

    def read(self, positions: np.ndarray, columns: Sequence[str]) -> Iterator[Values]:
        names = [*dict.fromkeys(columns)]
        size = self.file.batch_size(names, ROWS)
        with self.file.file(buffer_size=BUFFER) as file:
            begin, reader = 0, self.file.reader()
            for group in range(file.num_row_groups):
                end = begin + file.metadata.row_group(group).num_rows
                first, last = np.searchsorted(positions, [begin, end])
                if first < last:
                    batches = file.iter_batches(size, row_groups=[group], columns=names)
                    for batch in _chosen(batches, positions[first:last] - begin):
                        for _, found in reader.columns(batch, columns):
                            yield from zip(*found, strict=True)
                begin = end


class RecordShard(Shard):
    """TFRecord. The position of a row is the byte at which its record begins."""

    file: TFRecord

    def __init__(self, path: str):
        self._path = path
        self.file = TFRecord(path)

    def scan(self, columns: Sequence[str]) -> Iterator[tuple[int, int, Values]]:
        return self.file.placed_rows(columns)

    def read(self, positions: np.ndarray, columns: Sequence[str]) -> Iterator[Values]:
        with open_regular(self._path) as raw:
            for position in map(int, positions):
                yield self.file.read(raw, position, columns)


def _chosen(batches: Iterator[Any], rows: np.ndarray) -> Iterator[Any]:
    """Yields rows of a row group by their numbers within it, which ascend, in batches."""
    begin = 0
    for batch in batches:
        first, last = np.searchsorted(rows, [begin, begin + len(batch)])
        if first < last:
            whole = last - first == len(batch)
            yield batch if whole else batch.take(rows[first:last] - begin)
        if last == len(rows):
            return
        begin += len(batch)


def _changed(path: str) -> DataError:
    return DataError(
        f"{path} changed while it was read.",
        set_in=path,
        valid="files that stay as they are; the same command again reads the new ones",
    )
