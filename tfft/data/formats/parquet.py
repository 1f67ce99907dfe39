"""Parquet files, of which only the requested columns are read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

from tfft.data.formats.base import Format, Open, Row
from tfft.errors import DataError


class Parquet(Format):
    """A Parquet file; only the columns that are asked for are read."""

    def __init__(self, where: str, open_file: Open):
        self._open, self._title = open_file, where
        with self.file() as file:
            super().__init__(where, file.schema_arrow.names)
        self.refuse_twice()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        number = 0
        with self.file() as file:
            for batch in file.iter_batches(columns=[*dict.fromkeys(columns)]):
                values = [batch.column(name).to_pylist() for name in columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield number, row

    def place(self, number: int) -> str:
        return f"{self.where}, row {number:,}"

    @contextlib.contextmanager
    def file(self, **options: Any) -> Iterator[Any]:
        """Opens the file; `options` are those of `pyarrow.parquet.ParquetFile`."""
        import pyarrow
        from pyarrow import parquet

        try:
            with self._open() as raw, parquet.ParquetFile(raw, **options) as file:
                yield file
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self._title} is not readable Parquet: {(str(error).splitlines() or ['?'])[0]}",
                valid="a whole Parquet file with a column of texts and one of labels",
            ) from error
