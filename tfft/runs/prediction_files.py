"""Files that `predict` and `evaluate` read: their columns, rows that cannot be read, and output."""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data import examples
from tfft.data.formats.base import Format
from tfft.data.formats.column_choice import LABEL, LABEL_NAMES, TEXT_NAMES, chosen_before
from tfft.data.formats.csv import Separated
from tfft.data.formats.open_format import SUFFIXES, format_suffix
from tfft.data.formats.text_files import ClassFolders, Lines
from tfft.data.inputs import names_of
from tfft.data.sources import conll
from tfft.data.sources.files import Table, read
from tfft.data.sources.images import IMAGE_NAMES, read_images, refuse_outside
from tfft.errors import ConfigError, DataError, WorkdirError
from tfft.evaluation import finite_checks
from tfft.reports.printable import CONTROL
from tfft.reports.report import named
from tfft.reports.terminal import show_report
from tfft.runs import run_files
from tfft.storage.atomic_write import write_atomic
from tfft.storage.foreign_files import local_path
from tfft.storage.workdir import Workdir
from tfft.tasks.base import modality_of

MAX_SKIPPED_SHOWN = 20  # rows that are listed
ON_ERROR = ("fail", "skip")
Requested = str | Sequence[str] | Mapping[str, str] | None  # columns of the inputs


def read_input(
    task: Any,
    path: str,
    trained: Mapping[str, Any] | None,
    text: Requested = None,
    label: str | None = None,
    *,
    say: Any,
    labelled: bool = True,
    trust_data: bool = False,
    **settings: Any,
) -> Table:
    """Returns a file's examples as a task reads them, and logs which columns they are from.

    Args:
      task: reads the inputs.
      path: of the file or folder, "-" for standard input.
      trained: the columns of the training file, see `Table.schema`; None if they are not known.
      text, label: columns that the user named.
      say: the console.
      labelled: whether answers are read.
      trust_data: whether a table may name images and sounds outside of its folder.
      settings: further ones of `tfft.data.sources.files.read`.

    Raises:
      DataError: the file cannot be read, or it lacks a column.
    """
    names, modality = names_of(task.inputs), modality_of(task)
    requested = requested_columns(names, text, label)
    labels = (trained or {}).get(LABEL) if labelled and LABEL not in requested else None
    indicators = labels if isinstance(labels, list) else None  # a column of 0 and 1 for each label
    kinds = [*names, *([LABEL] if labelled and not indicators else [])]
    usual: dict[str, Sequence[str]] = dict.fromkeys(kinds, ())
    if len(names) == 1:
        usual[kinds[0]] = IMAGE_NAMES if modality == "image" else TEXT_NAMES
    usual[LABEL] = LABEL_NAMES
    known = dict(zip(names, (trained or {}).get("inputs", ()), strict=False))
    if trained and isinstance(trained.get(LABEL), str):
        known[LABEL] = trained[LABEL]
    chooser = chosen_before(kinds, usual, known, requested)
    settings = {
        "labelled": labelled,
        "classes": task.target.are_classes,
        "chooser": chooser,
        **settings,
    }
    if not requested and _is_conll(path, trained, labelled):
        table = conll.table(path, trained or {}, labelled)
    elif modality == "image" and len(names) == 1:
        table = read_images(path, trust_data=trust_data, **settings)
    else:
        settings |= {"label": indicators, "empty_labels": task.target.allows_empty}
        table = read(path, **settings)
        folders = [pathlib.Path(), *([local_path(path, DataError).parent] if path != "-" else [])]
        for each, values in zip(task.inputs, table.inputs, strict=True):
            if each.holds_files and not trust_data:
                refuse_outside(folders, values, table)
    if requested and table.schema is None:
        raise DataError(
            f"{path} names no columns, so none of them can be chosen.", set_in="--columns"
        )
    for note in table.notes:
        say.info(note)
    return table


def _is_conll(path: str, trained: Mapping[str, Any] | None, labelled: bool) -> bool:
    """Returns True for a file of words with tags, if the training read such files.

    Other files of such a run have a text in each row; a .txt file has one in each line unless
    answers are read.
    """
    if (trained or {}).get("format") != conll.FORMAT or path == "-" or os.path.isdir(path):
        return False
    suffix = format_suffix(path)[0]
    return suffix not in SUFFIXES or (labelled and suffix == ".txt")


def requested_columns(inputs: Sequence[str], text: Requested, label: str | None) -> dict[str, str]:
    """Returns the columns that the user named, by input and "label".

    Args:
      inputs: names of the task's inputs.
      text: a column by input; or the columns of the inputs in their order. Of more columns than
        inputs, as if a task of pairs answers for one text, the first.
    """
    if not isinstance(text, Mapping):
        names = () if text is None else (text,) if isinstance(text, str) else tuple(text)
        text = dict(zip(inputs, names, strict=False))
    return {**text, **({LABEL: label} if label is not None else {})}


@dataclasses.dataclass(frozen=True)
class Rows:
    """The rows of an input file that are predicted.

    Attributes:
      table: all that could be read.
      kept: places of the predicted ones in the table.
      skipped: the number of each row that is left out, and why.
      include_input: whether output rows hold the columns of the input.
    """

    table: Table
    kept: Sequence[int]
    skipped: Sequence[tuple[int, str]]
    include_input: bool
    line_name: str = ""  # the name of a text file's only column

    @property
    def inputs(self) -> tuple[list[str], ...]:
        return tuple([column[place] for place in self.kept] for column in self.table.inputs)

    def joined(self, predictions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Returns predictions with `row`, from 1, and `input` if it is included."""
        rows = []
        for place, prediction in zip(self.kept, predictions, strict=True):
            row: dict[str, Any] = {"row": int(self.table.rows[place])}
            if self.include_input:
                row["input"] = self._input(place)
            rows.append({**row, **prediction})
        return rows

    def _input(self, place: int) -> dict[str, str]:
        if self.table.schema is not None:
            return {name: values[place] for name, values in self.table.columns.items()}
        if self.line_name:
            return {self.line_name: self.table.inputs[0][place]}
        return {"file": self.table.place(self.table.lines[place])}


def read_rows(
    task: Any,
    path: str,
    trained: Mapping[str, Any] | None,
    text: Requested,
    *,
    on_error: str = "fail",
    include_input: bool | None = None,
    trust_data: bool = False,
    say: Any,
) -> Rows:
    """Returns the rows of a file to predict.

    Args:
      on_error: "fail" refuses a file with a row that cannot be read, "skip" leaves the row out.
      include_input: whether output rows hold the input's columns; None includes those of a CSV or
        TSV file and the names of a folder's files.
      trust_data: whether a table may name images outside of its folder.
    """
    if on_error not in ON_ERROR:
        raise ConfigError(
            f"on_error={on_error!r} is unknown.", set_in="--on_error", valid=", ".join(ON_ERROR)
        )
    formats: list[Format] = []  # empty for a folder of images

    def columns(file: Format) -> Sequence[str]:
        formats.append(file)
        return file.names if file.has_header and _included(include_input, formats) else ()

    settings: dict[str, Any] = {"columns": columns, "skip_errors": on_error == "skip"}
    settings |= {"trust_data": trust_data, "labelled": False}
    try:
        table = read_input(task, path, trained, text, say=say, **settings)
    except DataError as error:
        error.see = "docs/predict.md"
        if error.skippable:
            error.valid = f"{error.valid or 'a row that can be read'}; or --on_error=skip"
        raise
    wanted = _included(include_input, formats)
    line_name = task.inputs[0].name if any(isinstance(file, Lines) for file in formats) else ""
    return Rows(table, range(len(table.rows)), table.skipped, wanted, line_name)


def _included(requested: bool | None, formats: Sequence[Format]) -> bool:
    """Returns True if output rows hold the columns of an input of this format."""
    if requested is not None:
        return requested
    return all(isinstance(file, Separated | ClassFolders) for file in formats)


def without_unreadable(rows: Rows, preprocessor: Any) -> Rows:
    """Returns the rows without those that the preprocessor cannot read."""
    kept, problems = examples.readable(preprocessor, rows.inputs)
    return without(rows, kept, problems)


def without(rows: Rows, kept: Sequence[int], problems: Mapping[int, str]) -> Rows:
    """Returns the rows at some places alone.

    Args:
      kept: places among the rows that are predicted.
      problems: by place, the reason that each other row is left out.
    """
    skipped = [(int(rows.table.rows[rows.kept[place]]), why) for place, why in problems.items()]
    return dataclasses.replace(
        rows,
        kept=[rows.kept[place] for place in kept],
        skipped=sorted([*rows.skipped, *skipped]),
    )


def write_predictions(
    rows: Rows, predictions: Sequence[Mapping[str, Any]], output: str, say: Any
) -> None:
    """Writes one JSON object for each predicted row and logs the counts.

    Raises:
      WorkdirError: a number is not finite: nothing is written.
    """
    lines = []
    for row in rows.joined(predictions):
        try:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False)
            lines.append(CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")
        except ValueError:
            raise WorkdirError(
                f"the prediction of row {row['row']:,} is not finite; nothing is written.",
                valid=finite_checks.VALID,
            ) from None
    if output == "-":
        sys.stdout.write("".join(lines))
    else:
        write_atomic(output, "".join(lines))
    for number, problem in rows.skipped[:MAX_SKIPPED_SHOWN]:
        say.warn(f"row {number:,} skipped: {problem}")
    more = len(rows.skipped) - MAX_SKIPPED_SHOWN
    if more > 0:
        say.warn(f"{more:,} more rows skipped")
    total = len(lines) + len(rows.skipped)
    skipped = f", {len(rows.skipped):,} skipped" if rows.skipped else ""
    where = "" if output == "-" else f" in {output}"
    say.info(f"{total:,} rows read{skipped}: {len(lines):,} predictions{where}")


def columns_of_run(files: Workdir) -> Mapping[str, Any] | None:
    return run_files.columns_of(run_files.read_run(files).get("data") or {})


def show_metrics(
    task: Any, metrics: dict[str, Any], described: dict[str, Any], say: Any, **more: Any
) -> dict[str, Any]:
    content = {**named(task), **described, "metrics": metrics, "floors": {}, **more}
    show_report(content, say)
    return content
