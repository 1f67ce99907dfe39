"""Texts and answers out of a file's columns."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tfft.data.formats.base import MISSING, Format, listed
from tfft.data.formats.column_choice import (
    LABEL_NAMES,
    TEXT_NAMES,
    Chooser,
    Found,
    find_by_length,
    find_usual,
    see_check,
    unclear,
)
from tfft.data.formats.open_format import open_format
from tfft.data.formats.row_reader import RowReader, indicator_answer
from tfft.errors import DataError, near


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

    def places(self, answers: Collection[str]) -> list[str]:
        """Returns the places of the examples whose answer is one of these."""
        rows = zip(self.labels or (), self.lines, strict=True)
        return [self.place(line) for label, line in rows if label in answers]

    @property
    def texts(self) -> list[str]:
        """The texts of the first input."""
        return self.inputs[0]


@dataclasses.dataclass(frozen=True)
class _Settings:
    """How rows are read.

    Attributes:
      labelled: whether answers are read.
      classes: whether the answers are labels.
      empty_labels: whether an empty answer is no label, rather than refused.
      skip_errors: whether rows that cannot be read are left out.
      indicators: columns of 0 and 1, one for each label, in place of a column of answers.
    """

    labelled: bool
    classes: bool
    empty_labels: bool
    skip_errors: bool
    indicators: tuple[str, ...] = ()


def read(
    path: str,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    labelled: bool = True,
    columns: Sequence[str] | Callable[[Format], Sequence[str]] = (),
    needed: bool = True,
    classes: bool = True,
    empty_labels: bool = False,
    chooser: Chooser | None = None,
    skip_errors: bool = False,
) -> Table:
    """Returns the texts of a file, and its answers unless `labelled` is False.

    Args:
      path: a file or a folder per class; "-" is standard input: JSONL when it begins with "{", a
        JSON list when it begins with "[", CSV otherwise; compressed or not.
      text, label: the columns' names, several texts for a task of several inputs; found by the
        rule of `tfft.data.sources.files` when None. Several labels are columns of 0 and 1.
      columns: names of further columns, or a function from the file to them.
      needed: refuses a file that lacks one of them; otherwise it is left out.
      classes: whether the answers are labels; else lists and objects count too, as JSON.
      empty_labels: whether an empty answer is read as no label, "", rather than refused.
      chooser: chooses the columns of the inputs, and of the answer unless there are several, in
        place of that rule; `text` is not looked at then.
      skip_errors: leaves rows out that cannot be read, see `Table.skipped`.

    Raises:
      DataError: what is wrong, in which line, and what would be right.
    """
    try:
        file = open_format(path)
        columns = columns(file) if callable(columns) else columns
        if not needed:
            columns = [name for name in columns if file.has_header and name in file.names]
        indicators = () if isinstance(label, str | None) or not labelled else tuple(label)
        _check_indicators(file, indicators, classes)
        settings = _Settings(labelled, classes, empty_labels, skip_errors, indicators)
        if chooser is None:
            chooser = functools.partial(_choose, text=text, label=label, settings=settings)
        return _read(file, chooser, columns, settings)
    except DataError as error:
        error.set_in = error.set_in or ("standard input" if path == "-" else path)
        error.see = error.see or see_check(path)
        raise


def _choose(
    file: Format,
    text: str | Sequence[str] | None,
    label: str | Sequence[str] | None,
    settings: _Settings,
) -> tuple[list[str], list[str]]:
    one = label if isinstance(label, str) else None
    labelled = settings.labelled and not settings.indicators
    if isinstance(text, str | None):
        return choose(file, text, one, labelled, settings.classes)
    return named(file, tuple(text), one, labelled, settings.classes)


def _read(file: Format, chooser: Chooser, more: Sequence[str], settings: _Settings) -> Table:
    columns, how = chooser(file)
    indicators = settings.indicators
    _refuse_unknown(file, more)
    bad: dict[int, str] = {}  # by the number of a line
    if settings.skip_errors:
        file.on_bad_row = lambda number, error: bad.update({number: error.problem})
    read = [*columns, *indicators]
    names = [*columns, ", ".join(indicators)] if indicators else columns
    how = [*how, "as set"] if indicators else how
    inputs = len(names) - settings.labelled
    reader = RowReader(file, names, inputs, settings.classes, settings.empty_labels)
    others: list[list[str]] = [[] for _ in more]
    for number, values in file.rows([*read, *more]):
        try:
            own = values[: len(columns)]
            if indicators:
                own = [
                    *own,
                    indicator_answer(file, number, indicators, values[len(own) : len(read)]),
                ]
            reader.add(number, own, settings.skip_errors)
        except DataError as error:
            file.bad_row(number, error)
            continue
        for other, value in zip(others, values[len(read) :], strict=True):
            other.append(_told(value))
    if reader.lines or not bad:
        reader.finish()
    found = ", ".join(
        f"{kind} in column{'s' * (name not in file.names)} {name!r} ({reason})"
        for kind, name, reason in zip(reader.kinds, names, how, strict=True)
    )
    schema = None
    if file.has_header:
        label: Any = list(indicators) or names[-1]
        schema = {"inputs": columns[:inputs], "label": label if settings.labelled else None}
    rows, skipped = _row_numbers(reader.lines, bad)
    return Table(
        tuple(reader.inputs),
        reader.labels if settings.labelled else None,
        (f"{file.where}: {len(reader.inputs[0]):,} rows, {found}", *reader.notes()),
        reader.lines,
        file.place,
        dict(zip(more, others, strict=True)),
        schema,
        rows,
        skipped,
    )


def _row_numbers(
    lines: Sequence[int], bad: Mapping[int, str]
) -> tuple[Sequence[int], tuple[tuple[int, str], ...]]:
    """Returns the number of each row that was read, and of those left out with their problems."""
    if not bad:
        return range(1, len(lines) + 1), ()
    places = {line: row for row, line in enumerate(sorted({*lines, *bad}), 1)}
    return [places[line] for line in lines], tuple((places[n], bad[n]) for n in bad)


def _check_indicators(file: Format, labels: Sequence[str], classes: bool) -> None:
    """Refuses columns of 0 and 1 that the file lacks, or where a text has one label."""
    _refuse_unknown(file, labels, "files.label")
    if labels and (classes or len(set(labels)) < len(labels)):
        raise DataError(
            f"the columns {list(labels)} are to be labels of their own.",
            set_in="files.label",
            valid="different columns, and files.classes = False: a text may have several labels",
        )


def _refuse_unknown(file: Format, columns: Sequence[str], where: str = "files.columns") -> None:
    for name in columns:
        if name not in file.names or not file.has_header:
            raise DataError(
                f"{file.where} has no column {name!r}.",
                set_in=f"{where}={list(columns)}",
                valid=near(name, file.names, 12) if file.has_header else "none: it has no columns",
            )


def _told(value: Any) -> str:
    """Returns a value of a further column as text; "" where there is none."""
    if value is None or value is MISSING or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return value.strip() if isinstance(value, str) else str(value)


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
            valid=f"different ones of {listed(file.names)}",
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
            valid=f"two of {listed(file.names)}",
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
