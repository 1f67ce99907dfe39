"""The formats of a person's files: rows with the line they began on, and exact errors.

Each format reads its file anew in every pass and holds one row at a time, so that a file larger
than memory fails in the table that is made of it, not here.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from tfft.errors import DataError

LONGEST_LINE = 10_000_000  # bytes of a line, characters of a field: more is a broken file
LONGEST_NAME, SHOWN = 80, 20  # characters of a column's name, and columns, in an error
STANDARD_INPUT = "standard input"
MISSING = object()  # the value of a row that lacks the column
Open = Callable[[], BinaryIO]
Row = tuple[int, Sequence[Any]]  # the number of a line (row, file) and the values


class Format:
    """A file of rows.

    Attributes:
      where: its path, for a person.
      names: of its columns.
      has_header: whether the file names its columns itself.
      blank: how many blank lines the latest pass went over.
      notes: how the file is read, for a person.
      on_bad_row: takes the number and the error of a row that cannot be read, which is left out;
        None raises the error.
    """

    has_header = True
    how = "by its name"  # how columns are found in a format that names none
    on_bad_row: Callable[[int, DataError], None] | None = None

    def __init__(self, where: str, names: Sequence[str] = ()):
        self.where, self.names, self.blank = where, list(names), 0
        self.notes: list[str] = []

    @property
    def path(self) -> str:
        return "-" if self.where == STANDARD_INPUT else self.where

    @property
    def skipped(self) -> str:
        """What was not read, with its count; empty when there is nothing."""
        return f"{self.blank:,} blank lines skipped" if self.blank else ""

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        """Yields each row's number and its values of these columns."""
        raise NotImplementedError

    def bad_row(self, number: int, error: DataError) -> None:
        """Raises the error of a row, or gives it to `on_bad_row`."""
        if self.on_bad_row is None:
            error.skippable = True
            raise error
        self.on_bad_row(number, error)

    def place(self, number: int) -> str:
        """Returns where a row is, for a person."""
        return f"{self.where}:{number}"

    def refuse_twice(self) -> None:
        """Refuses a header with a name that stands twice."""
        twice = sorted(name for name, count in Counter(self.names).items() if count > 1)
        if twice:
            raise DataError(
                f"{self.where} has two columns named {short(twice[0])}.",
                set_in=self.place(1),
                valid="a name of its own for each column",
            )


def short(name: str) -> str:
    """Returns the name of a column in quotes, for an error."""
    return repr(name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}...")


def listed(names: Sequence[str]) -> str:
    """Returns the names of the first columns, for an error."""
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(map(short, names[:SHOWN])) + more


def lines(file: BinaryIO, where: str) -> Iterator[str]:
    """Yields the lines of a UTF-8 file, each with its end, without a byte order mark.

    Raises:
      DataError: a byte that is not UTF-8, or a line longer than `LONGEST_LINE`.
    """
    offset = 0
    for number in itertools.count(1):
        raw = file.readline(LONGEST_LINE + 1)
        if not raw:
            return
        if len(raw) > LONGEST_LINE:
            raise DataError(
                f"{where}:{number} is a line of more than {LONGEST_LINE:,} bytes.",
                valid=f"at most {LONGEST_LINE:,} bytes a line; does the file have line ends?",
            )
        try:
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            # error.start counts after the mark, which the codec takes away first.
            start = offset + error.start + len(raw) - len(error.object)
            raise _not_utf8(where, number, start, error.object[error.start], raw) from error
        offset += len(raw)


def _not_utf8(where: str, number: int, offset: int, byte: int, raw: bytes) -> DataError:
    wide = raw[:2] in (b"\xff\xfe", b"\xfe\xff")
    return DataError(
        f"{where}:{number} is not UTF-8: byte {offset:,} of the file is 0x{byte:02x}.",
        set_in=f"{where}:{number}",
        valid=f"a file in UTF-8: iconv -f {'UTF-16' if wide else 'LATIN1'} -t UTF-8 FILE > NEW",
    )
