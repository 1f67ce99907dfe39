"""The formats of a person's files: rows with the line they began on, and exact errors.

Each format reads its file anew in every pass and holds one row at a time, so that a file larger
than memory fails in the table that is made of it, not here.
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import json
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO

from tfft.errors import DataError

LONGEST_LINE = 10_000_000  # bytes of a line, characters of a field: more is a broken file
STANDARD_INPUT = "standard input"
MISSING = object()  # the value of a row that lacks the column
Open = Callable[[], BinaryIO]
Row = tuple[int, Sequence[Any]]  # the number of a line (row, file) and the values
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


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
        twice = sorted({name for name in self.names if self.names.count(name) > 1})
        if twice:
            raise DataError(
                f"{self.where} has two columns named {twice[0]!r}.",
                set_in=self.place(1),
                valid="a name of its own for each column",
            )


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
    plain = f'(?!")[^{one}\r\n]*' if delimiter == "\t" else f'[^"{one}\r\n]*'
    field = f'(?:"[^"]*(?:""[^"]*)*"|{plain})'
    return re.compile(f"{field}(?:{one}{field})*")


class Separated(Format):
    """CSV as RFC 4180 has it, or TSV with the same quotes; the first line names the columns.

    In TSV a quote within a field that does not begin with one is an ordinary character.
    """

    def __init__(self, where: str, open_file: Open, delimiter: str):
        self._open, self._delimiter = open_file, delimiter
        self._record = record_pattern(delimiter)
        super().__init__(where)
        self.names = next(self._records(), (1, [""]))[1]
        if not any(name.strip() for name in self.names):
            raise DataError(f"{where} is empty.", valid=_HEADER)
        self.refuse_twice()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        places = [self.names.index(name) for name in columns]
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
                reader = csv.reader(feed(file), delimiter=self._delimiter, strict=True)
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


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object; raises a ValueError if a key stands twice."""
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("a key stands twice")
    return row


def refuse_surrogates(text: str, row: Any) -> None:
    """Raises a ValueError if an object that was parsed from `text` is not Unicode."""
    escaped = _ESCAPED_SURROGATE.search(text)
    if escaped and _SURROGATE.search(json.dumps(row, ensure_ascii=False)):
        raise ValueError("not Unicode: half of a surrogate pair")


class JsonLines(Format):
    """One JSON object a line; the first one's keys are the columns."""

    def __init__(self, where: str, open_file: Open):
        self._open = open_file
        super().__init__(where)
        first = next(self.objects(), None)
        if first is None:
            raise DataError(f"{where} is empty.", valid=_OBJECT)
        self.names = list(first[1])

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        self.blank = 0
        for number, row in self.objects():
            yield number, [row.get(name, MISSING) for name in columns]

    def objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields each object with the number of its line."""
        with self._open() as file:
            for number, line in enumerate(lines(file, self.where), 1):
                if line.isspace():
                    self.blank += 1
                    continue
                try:
                    row = self._object(number, line)
                except DataError as error:
                    self.bad_row(number, error)
                    continue
                yield number, row

    def _object(self, number: int, line: str) -> dict[str, Any]:
        try:
            row = json.loads(line, object_pairs_hook=unique_keys)
            refuse_surrogates(line, row)
        except json.JSONDecodeError as error:
            reason = f"is not JSON: {error.msg}, in column {error.colno}"
        except (ValueError, RecursionError) as error:
            reason = f"cannot be read: {error}"
        else:
            if isinstance(row, dict):
                return row
            reason = "is JSON, but not an object"
        raise DataError(f"{self.place(number)} {reason}.", set_in=self.place(number), valid=_OBJECT)


class Lines(Format):
    """One text a line, no labels."""

    has_header = False
    how = "one a line"

    def __init__(self, where: str, open_file: Open):
        self._open = open_file
        super().__init__(where, ["text"])

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        with self._open() as file:
            for number, line in enumerate(lines(file, self.where), 1):
                yield number, [line.rstrip("\r\n")] * len(columns)


class Parquet(Format):
    """A Parquet file; only the columns that are asked for are read."""

    def __init__(self, where: str, open_file: Open):
        self._open, self._title = open_file, where
        with self._file() as file:
            super().__init__(where, file.schema_arrow.names)
        self.refuse_twice()

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        number = 0
        with self._file() as file:
            for batch in file.iter_batches(columns=[*dict.fromkeys(columns)]):
                values = [batch.column(name).to_pylist() for name in columns]
                for row in zip(*values, strict=True):
                    number += 1
                    yield number, row

    def place(self, number: int) -> str:
        return f"{self.where}, row {number:,}"

    @contextlib.contextmanager
    def _file(self) -> Iterator[Any]:
        import pyarrow
        from pyarrow import parquet

        try:
            with self._open() as raw, parquet.ParquetFile(raw) as file:
                yield file
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"{self._title} is not readable Parquet: {(str(error).splitlines() or ['?'])[0]}",
                valid="a whole Parquet file with a column of texts and one of labels",
            ) from error


class ClassFolders(Format):
    """A folder for each class; each .txt file in it is one text."""

    has_header = False
    how = "a file each, in the folder of its class"

    def __init__(self, where: str):
        super().__init__(where, ["text", "label"])
        folders = [each for each in sorted(pathlib.Path(where).iterdir()) if each.is_dir()]
        inside = [
            file
            for folder in folders
            if not folder.name.startswith(".")
            for file in sorted(folder.iterdir())
            if not file.name.startswith(".")
        ]
        self._files = [file for file in inside if file.suffix.lower() == ".txt" and file.is_file()]
        self._other = len(inside) - len(self._files)
        if not self._files:
            raise DataError(
                f"{where} holds no folder with .txt files in it.",
                set_in=where,
                valid="a folder for each class with a .txt file for each text; or "
                "train.csv (.tsv, .jsonl, .parquet) with validation.csv and test.csv beside it",
            )

    @property
    def skipped(self) -> str:
        return f"{self._other:,} files that are no .txt were not read" if self._other else ""

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, file in enumerate(self._files):
            with file.open("rb") as opened:
                text = "".join(lines(opened, str(file))).rstrip("\r\n")
            row = {"text": text, "label": file.parent.name}
            yield number, [row[name] for name in columns]

    def place(self, number: int) -> str:
        return str(self._files[number])


_HEADER = "a first line with the columns' names, for example text,label, and a line for each text"
_OBJECT = 'one object a line: {"text": "...", "label": "..."}'
