"""Collects the texts and answers of a file's rows, and refuses missing or broken ones."""

from __future__ import annotations

import array
import collections
import json
import math
import re
from collections.abc import Sequence
from typing import Any

from tfft.data.formats.base import LONGEST_LINE, MISSING, Format
from tfft.errors import DataError

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_EMPTY = "; files.empty_labels = True where a text may have no label"
_INDICATORS = {"0": 0, "1": 1, "0.0": 0, "1.0": 1, "false": 0, "true": 1}


def indicator_answer(
    file: Format, number: int, labels: Sequence[str], values: Sequence[Any]
) -> str:
    """Returns a row's labels as a JSON object of 0 and 1, from one column for each label.

    Raises:
      DataError: A value is neither 0 nor 1.
    """
    row = {}
    for label, value in zip(labels, values, strict=True):
        known = _INDICATORS.get(str(value).strip().lower())
        if known is None:
            shown = "missing" if value is MISSING or value is None else repr(value)[:40]
            raise DataError(
                f"{file.place(number)}: {label!r} is {shown}, not 0 or 1.",
                set_in=file.place(number),
                valid="0, 1, true or false in every column of a label",
            )
        row[label] = known
    return json.dumps(row, ensure_ascii=False)


class RowReader:
    """Collects the texts and answers of a file, and the rows in which one is missing.

    Args:
      file: with `place`.
      columns: of the inputs, then of the answer where answers are read.
      inputs: how many inputs there are.
      classes: whether the answers are labels.
      empty_labels: Whether an answer may be empty.
    """

    def __init__(
        self,
        file: Format,
        columns: Sequence[str],
        inputs: int,
        classes: bool,
        empty_labels: bool = False,
    ):
        self.file, self.columns, self.classes = file, columns, classes
        self.empty_labels = empty_labels
        self.kinds = ["text"] * inputs + ["label"] * (len(columns) - inputs)
        self.inputs: list[list[str]] = [[] for _ in range(inputs)]
        self.labels: list[str] = []
        self.lines = array.array("q")
        self._missing: list[list[int]] = [[] for _ in columns]
        self._known: dict[str, str] = {}  # one object for each label, however often it stands
        self._changed: collections.Counter[str] = collections.Counter()

    def add(self, number: int, values: Sequence[Any], complete: bool = False) -> None:
        """Takes one row: the texts, and an answer when answers are read.

        Args:
          complete: refuses a row in which one is missing at once, and not in `finish`.
        """
        row = [self._text(number, place, values[place]) for place in range(len(self.inputs))]
        missing = [place for place, text in enumerate(row) if not text or text.isspace()]
        if len(values) > len(self.inputs):
            label = self._label(number, values[-1])
            if not label or label.isspace() or label.lower() == "nan":
                if self.empty_labels:
                    label = ""
                else:
                    missing.append(len(row))
            row.append(label)
        for place in missing:
            if complete:
                name = self.columns[place]
                raise DataError(f"{self.file.place(number)}: {name!r} is empty.")
            self._missing[place].append(number)
        for values_of, value in zip([*self.inputs, self.labels], row, strict=False):
            values_of.append(value)
        self.lines.append(number)

    def row(self, number: int, values: Sequence[Any]) -> tuple[str, ...]:
        """Returns the texts and the answer of one row, without keeping them.

        Raises:
          DataError: One of them is missing or cannot be read.
        """
        self.add(number, values, complete=True)
        self.lines.pop()
        return (*(texts.pop() for texts in self.inputs), self.labels.pop())

    def finish(self) -> None:
        """Refuses what was collected when there is nothing, or something is missing in it."""
        rows = len(self.lines)
        if not rows:
            raise DataError(f"{self.file.where} has a header, but no rows.", valid="a row a text")
        for numbers, kind, name in zip(self._missing, self.kinds, self.columns, strict=True):
            if numbers:
                lack = "an empty text" if kind == "text" else "no label"
                places = ", ".join(self.file.place(number) for number in numbers[:3])
                more = f" and {len(numbers) - 3:,} more" if len(numbers) > 3 else ""
                error = DataError(
                    f"{len(numbers):,} of {rows:,} rows of {self.file.where} have "
                    f"{lack} in column {name!r}{' (empty or NaN)' if kind == 'label' else ''}.",
                    set_in=places + more,
                    valid=f"a {kind} in every row; take out the rows that have none"
                    + (_EMPTY if kind == "label" and not self.classes else ""),
                )
                error.skippable = True
                raise error

    def notes(self) -> list[str]:
        """Returns what was skipped or read otherwise than it is written, with counts."""
        found = [f"{count:,} labels {how}" for how, count in self._changed.items()]
        if self.file.skipped:
            found.insert(0, self.file.skipped)
        found[:0] = self.file.notes
        return [f"{self.file.where}: {note}" for note in found]

    def _text(self, number: int, place: int, value: Any) -> str:
        if value is None or value is MISSING or value != value:  # NaN is not equal to itself
            return ""
        if isinstance(value, list | dict) and not self.classes:
            return json.dumps(value, ensure_ascii=False)
        if not isinstance(value, str):
            raise self._error(number, place, value, "not a string")
        if len(value) > LONGEST_LINE:
            long = f"more than {LONGEST_LINE:,} characters long"
            raise self._error(number, place, value[:20], long)
        if not value.isascii() and _SURROGATE.search(value):
            raise self._error(number, place, value[:40], "not Unicode: half of a surrogate pair")
        return value

    def _label(self, number: int, value: Any) -> str:
        """Returns a label as a string, "" when there is none."""
        if not self.classes and isinstance(value, str | list | dict):
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        if isinstance(value, str):
            if value not in self._known:
                self._known[value] = self._tidy(value)
            label = self._known[value]
            if label != value:
                self._count_change(value, label)
            return label
        if value is None or value is MISSING or value != value:
            return ""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, float) and value.is_integer():
            return str(int(value))
        infinite = isinstance(value, float) and math.isinf(value)
        if infinite or isinstance(value, (list, dict, bytes)):
            raise self._error(number, -1, value, "not one string or number")
        return str(value)

    def _tidy(self, value: str) -> str:
        label = value.strip()
        whole = _WHOLE.fullmatch(label)
        return whole[1] if whole else label

    def _count_change(self, value: str, label: str) -> None:
        if value.strip() != value:
            self._changed["had spaces around them, which were taken away"] += 1
        if value.strip() != label:
            self._changed[f"are written like {value.strip()!r} and read as {label!r}"] += 1

    def _error(self, number: int, column: int, value: Any, problem: str) -> DataError:
        shown = repr(value)
        shown = shown if len(shown) <= 40 else shown[:40] + "..."
        return DataError(
            f"{self.file.place(number)}: {self.columns[column]!r} is {shown}, {problem}.",
            set_in=self.file.place(number),
            valid=("a string" if column >= 0 else "a string or a number") + " in every row",
        )
