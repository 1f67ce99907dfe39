"""CSV and TSV: rows of separated fields, quotes, and the line that every record begins on."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from tfft.data.formats.base import LONGEST_LINE, Format, Open, Row, lines
from tfft.errors import DataError

_HEADER = "a first line with the columns' names, for example text,label, and a line for each text"


@contextlib.contextmanager
def field_limit(limit: int) -> Iterator[None]:
    """Sets the longest field that `csv` reads, and restores it."""
    usual = csv.field_size_limit(limit)
    try:
        yield
    finally:
        csv.field_size_limit(usual)


def record_pattern(delimiter: str) -> re.Pattern[str]:
    """Returns the pattern of a record whose quotes are all where they belong."""
    one = re.escape(delimiter)
    plain = f'(?!")[^{one}\r\n]*+' if delimiter == "\t" else f'[^"{one}\r\n]*+'
    # Possessive: what was matched is not kept for another try, which takes a gigabyte.
    field = f'(?:"[^"]*+(?:""[^"]*+)*+"|{plain})'
    return re.compile(f"{field}(?:{one}{field})*+")


class Separated(Format):
    """CSV as RFC 4180 has it, or TSV with the same quotes; the first line names the columns.

    In TSV a quote within a field that does not begin with one is an ordinary character.
    """

    def __init__(self, where: str, open_file: Open, delimiter: str):
        self._open, self.delimiter = open_file, delimiter
        self._record = record_pattern(delimiter)
        super().__init__(where)
        self.names = next(self._records(), (1, [""]))[1]
        if not any(name.strip() for name in self.names):
            raise DataError(f"{where} is empty.", valid=_HEADER)
        self.refuse_twice()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        where = {name: place for place, name in enumerate(self.names)}
        places = [where[name] for name in columns]
        width = len(self.names)
        self.blank = 0
        for number, row in itertools.islice(self._records(), 1, None):
            if len(row) != width:
                error = DataError(
                    f"{self.place(number)} has {len(row)} fields, the header has {width}.",
                    set_in=self.place(number),
                    valid='a field that holds the separator stands in quotes: "a, b"',
                )
                self.bad_row(number, error)
                continue
            yield number, [row[place] for place in places]

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """Yields the line on which each record begins, and its fields."""
        raw: list[str] = []

        def feed(file: BinaryIO) -> Iterator[str]:
            for line in lines(file, self.where):
                raw.append(line)
                yield line

        began = 1
        try:
            with field_limit(LONGEST_LINE), self._open() as file:
                reader = csv.reader(feed(file), delimiter=self.delimiter, strict=True)
                for row in reader:
                    self._refuse_stray_quote(raw, began)
                    if row or len(self.names) == 1:
                        yield began, row or [""]
                    else:
                        self.blank += 1
                    began = reader.line_num + 1
                    raw.clear()
        except csv.Error as error:
            raise self._broken(began, str(error)) from error

    def _refuse_stray_quote(self, raw: list[str], began: int) -> None:
        record = raw[0] if len(raw) == 1 else "".join(raw)
        if '"' in record and not self._record.fullmatch(record.rstrip("\r\n")):
            raise self._broken(began, "a quote within a field that is not in quotes")

    def _broken(self, began: int, reason: str) -> DataError:
        if "unexpected end" in reason:
            reason = "a quote that opens there is never closed"
        elif "expected after" in reason:
            reason = "a stray quote: text follows the quote that closes a field"
        elif "new-line" in reason:
            reason = "a line end that is neither LF nor CR LF"
        elif "field limit" in reason:
            reason = f"a field of more than {LONGEST_LINE:,} characters, or a quote never closed"
        return DataError(
            f"{self.place(began)}: the row that begins in this line has {reason}.",
            set_in=self.place(began),
            valid='a field with a quote in it stands in quotes, the quote twice: "say ""a"" twice"',
        )
