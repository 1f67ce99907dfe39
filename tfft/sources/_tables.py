"""Texts and answers out of a file's columns."""

from __future__ import annotations

import array
import collections
import dataclasses
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfft.errors import DataError, near
from tfft.sources._columns import (
    LABEL_NAMES,
    TEXT_NAMES,
    Chooser,
    Found,
    find_by_length,
    find_usual,
    see_check,
    unclear,
)
from tfft.sources._formats import LONGEST_LINE, MISSING, Format
from tfft.sources._open import open_format

_SURROGATE = re.compile("[\ud800-\udfff]")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")


@dataclasses.dataclass(frozen=True)
class Table:
    """Examples of a file in its order.

    Attributes:
      inputs: the texts of each input; none is empty.
      labels: the answer of each example, or None.
      notes: lines for a person.
      lines: the number of the line (row, file) of each text.
      place: from such a number to where it is, for a person.
      columns: further ones by name, a value for each text, "" where there is none.
      schema: the columns that were read, JSON-able: `inputs`, `label` (None without labels); None
        for a file or folder that names no columns.
      rows: the number of each text's row among all rows, from 1.
      skipped: the number of each row that was left out, and why.
    """

    inputs: tuple[list[str], ...]
    labels: list[str] | None
    notes: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    place: Callable[[int], str] = str
    columns: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)
    schema: Mapping[str, Any] | None = None
    rows: Sequence[int] = ()
    skipped: tuple[tuple[int, str], ...] = ()

    @property
    def texts(self) -> list[str]:
        """The texts of the first input."""
        return self.inputs[0]


def read(
    path: str,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    labelled: bool = True,
    columns: Sequence[str] | Callable[[Format], Sequence[str]] = (),
    needed: bool = True,
    classes: bool = True,
    chooser: Chooser | None = None,
    skip_errors: bool = False,
) -> Table:
    """Returns the texts of a file, and its answers unless `labelled` is False.

    Args:
      path: a file or a folder per class; "-" is standard input: JSONL when it begins with "{",
        CSV otherwise.
      text, label: the columns' names, several texts for a task of several inputs; found by the
        rule of `tfft.sources.files` when None.
      columns: names of further columns, or a function from the file to them.
      needed: refuses a file that lacks one of them; otherwise it is left out.
      classes: whether the answers are labels; else lists and objects count too, as JSON.
      chooser: chooses the columns of the inputs and the answer in place of that rule; `text` and
        `label` are not looked at then.
      skip_errors: leaves rows out that cannot be read, see `Table.skipped`.

    Raises:
      DataError: what is wrong, in which line, and what would be right.
    """
    try:
        file = open_format(path)
        columns = columns(file) if callable(columns) else columns
        if not needed:
            columns = [name for name in columns if file.has_header and name in file.names]
        texts = text if isinstance(text, str | None) else tuple(text)
        if chooser is None:
            chooser = lambda file: _choose(file, texts, label, labelled, classes)  # noqa: E731
        return _read(file, chooser, labelled, columns, classes, skip_errors)
    except DataError as error:
        error.set_in = error.set_in or ("standard input" if path == "-" else path)
        error.see = error.see or see_check(path)
        raise


def _choose(
    file: Format,
    text: str | tuple[str, ...] | None,
    label: str | None,
    labelled: bool,
    classes: bool,
) -> tuple[list[str], list[str]]:
    if isinstance(text, tuple):
        return named(file, text, label, labelled, classes)
    return choose(file, text, label, labelled, classes)


def _read(
    file: Format,
    chooser: Chooser,
    labelled: bool,
    more: Sequence[str],
    classes: bool,
    skip_errors: bool,
) -> Table:
    columns, how = chooser(file)
    _refuse_unknown(file, more)
    bad: dict[int, str] = {}  # by the number of a line
    if skip_errors:
        file.on_bad_row = lambda number, error: bad.update({number: error.problem})
    reader = _Reader(file, columns, len(columns) - labelled, classes)
    others: list[list[str]] = [[] for _ in more]
    for number, values in file.rows([*columns, *more]):
        try:
            reader.add(number, values[: len(columns)], skip_errors)
        except DataError as error:
            file.bad_row(number, error)
            continue
        for other, value in zip(others, values[len(columns) :], strict=True):
            other.append(_told(value))
    if reader.lines or not bad:
        reader.finish()
    found = ", ".join(
        f"{kind} in column {name!r} ({reason})"
        for kind, name, reason in zip(reader.kinds, columns, how, strict=True)
    )
    notes = [f"{file.where}: {len(reader.inputs[0]):,} rows, {found}", *reader.notes()]
    labels = reader.labels if labelled else None
    further = dict(zip(more, others, strict=True))
    schema = None
    if file.has_header:
        inputs = columns[: len(columns) - labelled]
        schema = {"inputs": inputs, "label": columns[-1] if labelled else None}
    places = {line: row for row, line in enumerate(sorted({*reader.lines, *bad}), 1)}
    return Table(
        tuple(reader.inputs),
        labels,
        tuple(notes),
        reader.lines,
        file.place,
        further,
        schema,
        tuple(places[line] for line in reader.lines),
        tuple((places[line], problem) for line, problem in bad.items()),
    )


def _refuse_unknown(file: Format, columns: Sequence[str]) -> None:
    for name in columns:
        if name not in file.names or not file.has_header:
            raise DataError(
                f"{file.where} has no column {name!r}.",
                set_in=f"files.columns={list(columns)}",
                valid=near(name, file.names, 12) if file.has_header else "none: it has no columns",
            )


def _told(value: Any) -> str:
    """Returns a value of a further column as text; "" where there is none."""
    if value is None or value is MISSING or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else str(value)


class _Reader:
    """Collects the texts and answers of a file, and the rows in which one is missing.

    Args:
      file: with `place`.
      columns: of the inputs, then of the answer where answers are read.
      inputs: how many inputs there are.
      classes: whether the answers are labels.
    """

    def __init__(self, file: Format, columns: Sequence[str], inputs: int, classes: bool):
        self.file, self.columns, self.classes = file, columns, classes
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
        found = [self._text(number, place, values[place]) for place in range(len(self.inputs))]
        missing = [place for place, text in enumerate(found) if not text or text.isspace()]
        if len(values) > len(self.inputs):
            found.append(self._label(number, values[-1]))
            if not found[-1] or found[-1].lower() == "nan":
                missing.append(len(found) - 1)
        for place in missing:
            if complete:
                name = self.columns[place]
                raise DataError(f"{self.file.place(number)}: {name!r} is empty.")
            self._missing[place].append(number)
        for texts, value in zip([*self.inputs, self.labels], found, strict=False):
            texts.append(value)
        self.lines.append(number)

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
                raise DataError(
                    f"{len(numbers):,} of {rows:,} rows of {self.file.where} have "
                    f"{lack} in column {name!r}{' (empty or NaN)' if kind == 'label' else ''}.",
                    set_in=places + more,
                    valid=f"a {kind} in every row; take out the rows that have none",
                )

    def notes(self) -> list[str]:
        """Returns what was skipped or read otherwise than it is written, with counts."""
        found = [f"{count:,} labels {how}" for how, count in self._changed.items()]
        if self.file.skipped:
            found.insert(0, self.file.skipped)
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
        if isinstance(value, (list, dict, bytes)):
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


def named(
    file: Format, texts: Sequence[str], label: str | None, labelled: bool, classes: bool = True
) -> tuple[list[str], list[str]]:
    """Does what `choose` does where the columns of several inputs are named.

    An answer that is no label may be one of the inputs, such as the text that a pair leads to.

    Raises:
      DataError: the file has no column of a name, or a name stands twice.
    """
    wanted = [*texts]
    how = ["as set"] * len(wanted)
    if labelled and label is None:
        found: Found = {name: (name, "") for name in texts}
        find_usual(file, found, "label", LABEL_NAMES, True)
        if "label" not in found:
            raise unclear(file, "label", f"{file.where} has no column that is surely the label.")
        wanted, how = [*wanted, found["label"][0]], [*how, found["label"][1]]
    elif labelled:
        wanted, how = [*wanted, str(label)], [*how, "as set"]
    for name in wanted:
        if name not in file.names or not file.has_header:
            raise DataError(
                f"{file.where} has no column {name!r}.",
                set_in=f"files.text={tuple(texts)}, files.label={label}",
                valid=near(name, file.names, 12) if file.has_header else "none: it has no columns",
            )
    if len(set(texts)) < len(texts) or (classes and len(set(wanted)) < len(wanted)):
        raise DataError(
            f"the columns {wanted} are not all different.",
            set_in=f"files.text={tuple(texts)}, files.label={label}",
            valid=f"different ones of {', '.join(map(repr, file.names))}",
        )
    return wanted, how


def choose(
    file: Format, text: str | None, label: str | None, labelled: bool, classes: bool = True
) -> tuple[list[str], list[str]]:
    """Returns the names of the text column and the label column, and how each was found.

    Raises:
      DataError: a name that no column has, or no column or several that it could be.
    """
    given = {"text": text, "label": label if labelled else None}
    if not file.has_header:  # what it holds is known; names are meant for the run's other files
        given = {"text": None, "label": None}
    for kind, name in given.items():
        if name is not None and name not in file.names:
            raise DataError(
                f"{file.where} has no column {name!r}.",
                set_in=f"--gin.{kind.upper()}={name}",
                valid=near(name, file.names, 12),
            )
    if classes and text is not None and text == given["label"]:
        raise DataError(
            f"column {text!r} cannot be both text and label.",
            set_in=f"--gin.TEXT={text} --gin.LABEL={text}",
            valid=f"two of {', '.join(map(repr, file.names))}",
        )
    found = {kind: (name, "as set") for kind, name in given.items() if name is not None}
    for kind, usual in (("text", TEXT_NAMES), ("label", LABEL_NAMES)):
        if kind not in found:
            find_usual(file, found, kind, usual, kind == "text" or labelled)
    wanted = ["text", "label"] if labelled else ["text"]
    if any(kind not in found for kind in wanted) and len(file.names) <= 2:
        find_by_length(file, found)
    for kind in wanted:
        if kind not in found:
            raise unclear(file, kind, f"{file.where} has no column that is surely the {kind}.")
    return [found[kind][0] for kind in wanted], [found[kind][1] for kind in wanted]
