"""JSON files that hold one list of objects, read object by object."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from tfft.data.formats.base import LONGEST_LINE, MISSING, Format, Open, Row
from tfft.data.formats.json_lines import JsonLines, refuse_surrogates, unique_keys
from tfft.errors import DataError
from tfft.storage.foreign_files import TOO_DEEP, refuse_deep

CHUNK = 1 << 18  # bytes
LIST = '[{"text": "...", "label": "..."}, ...], or one object a line'


def json_format(where: str, open_file: Open) -> Format:
    """Returns the rows of a .json file: a list of objects, or one object a line.

    Raises:
      DataError: The file is neither. The error names the command that converts it.
    """
    with open_file() as file:
        begin = file.read(1024).removeprefix(codecs.BOM_UTF8).lstrip()[:1]
    if begin == b"[":
        return JsonArray(where, open_file)
    try:
        file_of_lines = JsonLines(where, open_file)
    except DataError as error:
        if begin == b"{":
            error.valid = f"{LIST}. Is the list inside an object? {_extract('KEY')}"
        raise
    _refuse_single_object(where, open_file, file_of_lines)
    return file_of_lines


def _extract(key: str) -> str:
    return f"jq -c '.{key}[]' FILE > NEW.jsonl"


def _refuse_single_object(where: str, open_file: Open, file: JsonLines) -> None:
    """Refuses a file of one object that holds the rows, or the columns, of a table."""
    rows = [row for _, (_, row) in zip(range(2), file.objects(), strict=False)]
    if len(rows) != 1:
        return
    tables = [
        key
        for key, value in rows[0].items()
        if isinstance(value, list) and value and all(isinstance(each, dict) for each in value)
    ]
    if tables:
        raise DataError(
            f"{where} is one object; the rows are in its list {tables[0]!r}.",
            set_in=where,
            valid=f"{LIST}: {_extract(tables[0])}",
        )
    if rows[0] and all(isinstance(value, dict) for value in rows[0].values()):
        raise DataError(
            f"{where} is one object of columns.",
            set_in=where,
            valid=f'{LIST}; of pandas: frame.to_json("NEW.jsonl", orient="records", lines=True)',
        )


class JsonArray(Format):
    """A list of JSON objects; the keys of the first object are the columns."""

    def __init__(self, where: str, open_file: Open):
        self._open = open_file
        super().__init__(where)
        first = next(self._objects(), None)
        if first is None:
            raise DataError(f"{where} is an empty list.", set_in=where, valid=LIST)
        self.names = list(first)

    def rows(self, columns: Sequence[str]) -> Iterator[Row]:
        for number, row in enumerate(self._objects(), 1):
            yield number, [row.get(name, MISSING) for name in columns]

    def place(self, number: int) -> str:
        return f"{self.where}, object {number:,}"

    def _objects(self) -> Iterator[dict[str, Any]]:
        with self._open() as file:
            text = _Scanner(file, self.where)
            text.expect("[")
            number = 0
            while text.peek() != "]" or number:
                number += 1
                if text.peek() != "{":
                    raise text.error(f"object {number:,} is not an object")
                yield text.read_object()
                if text.peek() != ",":
                    break
                text.expect(",")
            text.expect("]")
            if text.peek():
                raise text.error("text follows the list")


class _Scanner:
    """Position in the text of a JSON file, of which a few chunks are in memory."""

    def __init__(self, file: BinaryIO, where: str):
        self._file, self._where = file, where
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(object_pairs_hook=unique_keys)
        self._text, self._at, self._line, self._bytes = "", 0, 1, 0

    def peek(self) -> str:
        """Returns the next character that is not white space, "" at the end."""
        while True:
            rest = self._text[self._at : self._at + 1]
            if rest and rest not in " \t\r\n":
                return rest
            if not rest and not self._read_more():
                return ""
            self._at += len(rest)

    def expect(self, character: str) -> None:
        """Moves behind a character, which has to be the next one."""
        if self.peek() != character:
            raise self.error(f"{character!r} is missing")
        self._at += 1

    def read_object(self) -> dict[str, Any]:
        """Returns the object that begins here, and moves behind it."""
        while True:
            try:
                row, end = self._json.raw_decode(self._text, self._at)
                refuse_deep(row)
                refuse_surrogates(self._text[self._at : end], row)
            except json.JSONDecodeError as error:
                if len(self._text) - self._at > LONGEST_LINE:
                    raise self.error(f"an object has over {LONGEST_LINE:,} characters") from error
                line = self._line + error.lineno - 1
                if not self._read_more():
                    raise self.error(f"{error.msg}, in column {error.colno}", line) from error
            except RecursionError as error:
                raise self.error(TOO_DEEP) from error
            except ValueError as error:
                raise self.error(f"object cannot be read: {error}") from error
            else:
                self._at = end
                return row

    def error(self, reason: str, line: int | None = None) -> DataError:
        line = line or self._line + self._text.count("\n", 0, self._at)
        return DataError(
            f"{self._where}:{line} is not a JSON list of objects: {reason}.",
            set_in=f"{self._where}:{line}",
            valid=LIST,
        )

    def _read_more(self) -> bool:
        """Appends a chunk, as long as what is there so that retries stay linear."""
        raw = self._file.read(max(CHUNK, len(self._text) - self._at))
        if not self._bytes:
            raw = raw.removeprefix(codecs.BOM_UTF8)
        try:
            more = self._decoder.decode(raw, final=not raw)
        except UnicodeDecodeError as error:
            raise self.error(f"byte 0x{error.object[error.start]:02x} is not UTF-8") from error
        self._bytes += len(raw)
        self._line += self._text.count("\n", 0, self._at)
        self._text, self._at = self._text[self._at :] + more, 0
        return bool(raw)
