"""Texts and answers out of a file's columns."""

from __future__ import annotations

import dataclasses
import itertools
import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfft.errors import DataError, near
from tfft.sources._formats import MISSING, Format, Separated
from tfft.sources._open import open_format
from tfft.sources._row_reader import RowReader, indicator_answer

TEXT_NAMES = (
    *("text", "sentence", "review", "content", "comment", "message", "tweet", "body"),
    *("document", "utterance", "query"),
)
LABEL_NAMES = (
    *("label", "labels", "class", "category", "sentiment", "target", "topic", "intent"),
    "rating",
)
SAMPLE = 1000  # rows on which the longer of two columns is found


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
    """

    inputs: tuple[list[str], ...]
    labels: list[str] | None
    notes: tuple[str, ...] = ()
    lines: Sequence[int] = ()
    place: Callable[[int], str] = str
    columns: Mapping[str, list[str]] = dataclasses.field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """The texts of the first input."""
        return self.inputs[0]


def see_check(path: str) -> str:
    """Returns the command that checks a file."""
    data = "FILE" if path == "-" else shlex.quote(path)
    return f"tfft check --gin_file=quick/text.gin --gin.DATA={data}"


def read(
    path: str,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    labelled: bool = True,
    columns: Sequence[str] = (),
    needed: bool = True,
    classes: bool = True,
    empty_labels: bool = False,
) -> Table:
    """Returns the texts of a file, and its answers unless `labelled` is False.

    Args:
      path: a file or a folder per class; "-" is standard input: JSONL when it begins with "{", a
        JSON list when it begins with "[", CSV otherwise; compressed or not.
      text, label: the columns' names, several texts for a task of several inputs; found by the
        rule of `tfft.sources.files` when None. Several labels are columns of 0 and 1.
      columns: names of further columns.
      needed: refuses a file that lacks one of them; otherwise it is left out.
      classes: whether the answers are labels; else lists and objects count too, as JSON.
      empty_labels: Whether an empty answer is read as no label, "", rather than refused.

    Raises:
      DataError: what is wrong, in which line, and what would be right.
    """
    try:
        file = open_format(path)
        if not needed:
            columns = [name for name in columns if file.has_header and name in file.names]
        texts = text if isinstance(text, str | None) else tuple(text)
        if isinstance(label, str | None):
            return _read(file, texts, label, labelled, columns, classes, empty_labels)
        return _read_indicators(file, texts, tuple(label), labelled, columns, classes)
    except DataError as error:
        error.set_in = error.set_in or ("standard input" if path == "-" else path)
        error.see = error.see or see_check(path)
        raise


def _read(
    file: Format,
    text: str | tuple[str, ...] | None,
    label: str | None,
    labelled: bool,
    more: Sequence[str],
    classes: bool,
    empty_labels: bool = False,
) -> Table:
    if isinstance(text, tuple):
        columns, how = named(file, text, label, labelled, classes)
    else:
        columns, how = choose(file, text, label, labelled, classes)
    _refuse_unknown(file, more)
    reader = RowReader(file, columns, len(columns) - labelled, classes, empty_labels)
    others: list[list[str]] = [[] for _ in more]
    for number, values in file.rows([*columns, *more]):
        reader.add(number, values[: len(columns)])
        for other, value in zip(others, values[len(columns) :], strict=True):
            other.append(_told(value))
    reader.finish()
    found = ", ".join(
        f"{kind} in column {name!r} ({reason})"
        for kind, name, reason in zip(reader.kinds, columns, how, strict=True)
    )
    notes = [f"{file.where}: {len(reader.inputs[0]):,} rows, {found}", *reader.notes()]
    labels = reader.labels if labelled else None
    further = dict(zip(more, others, strict=True))
    return Table(tuple(reader.inputs), labels, tuple(notes), reader.lines, file.place, further)


def _read_indicators(
    file: Format,
    text: str | tuple[str, ...] | None,
    labels: tuple[str, ...],
    labelled: bool,
    more: Sequence[str],
    classes: bool,
) -> Table:
    """Returns examples whose labels have one column each, of 0 and 1."""
    if not labelled:
        return _read(file, text, None, False, more, classes)
    _refuse_unknown(file, labels, "files.label")
    if classes or len(set(labels)) < len(labels):
        raise DataError(
            f"the columns {list(labels)} are to be labels of their own.",
            set_in="files.label",
            valid="different columns, and files.classes = False: a text may have several labels",
        )
    table = _read(file, text, None, False, more, classes)
    answers = [
        indicator_answer(file, number, labels, values) for number, values in file.rows(labels)
    ]
    note = f"{file.where}: labels in columns {', '.join(map(repr, labels))}"
    return dataclasses.replace(table, labels=answers, notes=(*table.notes, note))


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
        _find_usual(file, found, "label", LABEL_NAMES, True)
        if "label" not in found:
            raise _unclear(file, "label", f"{file.where} has no column that is surely the label.")
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
            _find_usual(file, found, kind, usual, kind == "text" or labelled)
    wanted = ["text", "label"] if labelled else ["text"]
    if any(kind not in found for kind in wanted) and len(file.names) <= 2:
        _find_by_length(file, found)
    for kind in wanted:
        if kind not in found:
            raise _unclear(file, kind, f"{file.where} has no column that is surely the {kind}.")
    return [found[kind][0] for kind in wanted], [found[kind][1] for kind in wanted]


Found = dict[str, tuple[str, str]]  # by kind: the column's name, and how it was found


def _find_usual(file: Format, found: Found, kind: str, usual: Sequence[str], wanted: bool) -> None:
    """Takes the only column with a usual name; several are an error when one is wanted."""
    taken = {name for name, _ in found.values()}
    hits = [name for name in file.names if name.strip().lower() in usual and name not in taken]
    if len(hits) == 1:
        found[kind] = (hits[0], "by its name")
    elif hits and wanted:
        several = f"{file.where} has {len(hits)} columns that could be the {kind}."
        raise _unclear(file, kind, several)


def _find_by_length(file: Format, found: Found) -> None:
    """In a file of one or two columns: the longer one is the text, the other one the label."""
    taken = {name for name, _ in found.values()}
    rest = [name for name in file.names if name not in taken]
    if "text" not in found and len(rest) == 2:
        rest = _longer_first(file, rest)
    if "text" not in found and rest:
        found["text"] = (rest.pop(0), "the longer one" if rest else "the only one left")
    if "label" not in found and rest:
        found["label"] = (rest.pop(0), "the other one")
        _refuse_no_header(file, found["label"][0])


def _longer_first(file: Format, names: list[str]) -> list[str]:
    sample = [row for _, row in itertools.islice(file.rows(names), SAMPLE)]
    means = [
        math.fsum(len(row[place]) for row in sample if isinstance(row[place], str))
        for place in range(2)
    ]
    if means[0] == means[1]:
        raise _unclear(file, "text", f"the two columns of {file.where} are equally long.")
    return names if means[0] > means[1] else names[::-1]


def _refuse_no_header(file: Format, label: str) -> None:
    """A guessed column whose name is also one of its values: the first line is no header."""
    sample = itertools.islice(file.rows([label]), SAMPLE)
    if isinstance(file, Separated) and any(row[0] == label for _, row in sample):
        raise DataError(
            f"{file.where} seems to have no header: its first line names a column {label!r}, "
            "which also stands in the rows below.",
            set_in=file.place(1),
            valid="a first line with the columns' names, for example text,label",
        )


def _unclear(file: Format, kind: str, problem: str) -> DataError:
    return DataError(
        f"{problem} Its columns: {', '.join(map(repr, file.names))}.",
        set_in=file.where,
        valid=f"--gin.{kind.upper()}=COLUMN with one of them",
        see=f"{see_check(file.path)} --gin.{kind.upper()}=COLUMN",
    )
