"""Parquet files, of which only the requested columns are read."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tfft.data.formats.base import Format, Open, Row
from tfft.data.formats.compression import LARGE, refuse_expansion
from tfft.errors import DataError

if TYPE_CHECKING:
    from tfft.data.formats.arrow_values import BatchReader

ROWS = 65_536  # that are decoded at a time, if they are short


class Parquet(Format):
    """A Parquet file; only the columns that are asked for are read."""

    def __init__(self, where: str, open_file: Open):
        self._open, self._title = open_file, where
        self._texts: list[str] = []  # paths of columns that are texts, or hold them
        self._repeated: list[str] = []  # of those in lists that may repeat long ones
        with self.file() as file:
            super().__init__(where, file.schema_arrow.names)
            leaves = map(file.schema.column, range(len(file.schema)))
            self._texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        self.refuse_twice()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, values in self.columns(columns):
            yield from enumerate(zip(*values, strict=True), number + 1)

    def columns(
        self, names: Sequence[str], rows: int = ROWS, **options: Any
    ) -> Iterator[tuple[int, list[list[Any]]]]:
        """Yields the number of the rows before, and the values of columns, some rows at a time.

        Args:
          names: Of the columns.
          rows: Number of rows that are decoded at a time.
          options: As in `file`.
        """
        distinct = [*dict.fromkeys(names)]  # an input may be the answer too
        rows = self.batch_size(distinct, rows)
        with self.file(**options) as file:
            reader = self.reader()
            for batch in file.iter_batches(rows, columns=distinct):
                yield from reader.columns(batch, names)

    def reader(self) -> BatchReader:
        """Returns a reader of the batches of the file, once it was opened."""
        from tfft.data.formats.arrow_values import BatchReader

        return BatchReader(self, self._stored)

    def place(self, number: int) -> str:
        return f"{self.where}, row {number:,}"

    @contextlib.contextmanager
    def file(self, **options: Any) -> Iterator[Any]:
        """Opens the file; `options` are those of `pyarrow.parquet.ParquetFile`."""
        import pyarrow
        from pyarrow import parquet

        options = {"read_dictionary": self._repeated, **options}
        try:
            with self._open() as raw:
                self._stored = raw.seek(0, io.SEEK_END)
                raw.seek(0)
                with parquet.ParquetFile(raw, **options) as file:
                    yield file
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self._title} is not readable Parquet: {(str(error).splitlines() or ['?'])[0]}",
                valid="a whole Parquet file with a column of texts and one of labels",
            ) from error

    def batch_size(self, names: Sequence[str], rows: int) -> int:
        """Returns the number of rows of columns that are decoded at a time.

        A page may name the same long text a million times. The dictionary of such texts is read
        first, with one row of each group: the rows are so few that all may have the longest one.

        Raises:
          DataError: The rows of a group are too large, before they are decompressed.
        """
        from tfft.data.formats.arrow_values import MOST, VALUE, longest

        wanted, inside = {*names}, tuple(f"{name}." for name in names)
        with self.file(read_dictionary=self._texts, buffer_size=2**16) as file:
            paths = [file.schema.column(leaf).path for leaf in range(len(file.schema))]
            leaves = [
                i for i, each in enumerate(paths) if each in wanted or each.startswith(inside)
            ]
            first, total = 1, VALUE * len(names) * file.metadata.num_rows
            for number in range(file.num_row_groups):
                group = file.metadata.row_group(number)
                chunks = [group.column(leaf) for leaf in leaves]
                size = sum(max(0, chunk.total_uncompressed_size) for chunk in chunks)
                mean, total = size // max(1, group.num_rows), total + size
                refuse_expansion(self.where, total, self._stored)
                if mean > MOST:
                    raise DataError(
                        f"{group.num_rows:,} rows from {self.place(first)} have {size:,} bytes.",
                        set_in=self.place(first),
                        valid=f"at most {MOST:,} bytes a row",
                    )
                for one in file.iter_batches(1, row_groups=[number], columns=list(names)):
                    length = max(map(longest, one.columns), default=0)
                    rows = min(rows, max(1, MOST // max(1, mean, length)))
                    if length * sum(chunk.num_values for chunk in chunks) > LARGE:
                        self._repeated = [path for path in self._texts if path not in wanted]
                    break
                first += group.num_rows
        return rows
