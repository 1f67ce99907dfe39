"""JSON Lines: one object for each line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

from tfft.data.formats.base import MISSING, Format, Open, Row, lines
from tfft.errors import DataError
from tfft.storage.foreign_files import parse_json

_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
MOST_CONTAINERS = 500_000  # lists and objects of a row
_OBJECT = 'one object a line: {"text": "...", "label": "..."}'


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
            row = parse_json(line, MOST_CONTAINERS, object_pairs_hook=unique_keys)
            refuse_surrogates(line, row)
        except json.JSONDecodeError as error:
            reason = f"is not JSON: {error.msg}, in column {error.colno}"
        except ValueError as error:
            reason = f"cannot be read: {error}"
        else:
            if isinstance(row, dict):
                return row
            reason = "is JSON, but not an object"
        raise DataError(f"{self.place(number)} {reason}.", set_in=self.place(number), valid=_OBJECT)
