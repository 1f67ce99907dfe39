"""A person's own files: CSV, TSV, JSON, JSONL, Parquet, Arrow, or a folder per class.

The rule for columns, and the notes say what it found:

1. the column that TEXT= or LABEL= names;
2. else the only column with a usual name, upper or lower case: text, sentence, review, content,
   comment, message, tweet, body, document, utterance or query for the text; label, labels, class,
   category, sentiment, target, topic, intent or rating for the label;
3. else, in a file of two columns, the one that is longer on average is the text and the other one
   the label.

Anything less clear is an error that lists the columns. Labels become strings: 1 and 1.0 are "1".
"""

from __future__ import annotations

import functools
import pathlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, validated
from tfft.data.formats.open_format import table_stem
from tfft.data.formats.tables import Table, read, see_check
from tfft.data.sources.base import MemorySource, Source, summarize, validate
from tfft.data.splits import (
    SPLIT_NAMES,
    SPLITS,
    Rows,
    check_shares,
    complete,
    take,
    without_overlap,
)
from tfft.errors import DataError
from tfft.storage.foreign_files import local_path

INDEX = "dataset_dict.json"  # the splits that a saved data set has, which are folders beside it


@validated(
    data=FILLED,
    text=FILLED,
    label=FILLED,
    columns=DISTINCT,
    validation=FILLED,
    test=FILLED,
    validation_share=FRACTION,
    test_share=FRACTION,
    group=FILLED,
)
def files(
    data: str,
    *,
    text: str | Sequence[str] | None = None,
    label: str | Sequence[str] | None = None,
    columns: Sequence[str] = (),
    validation: str | None = None,
    test: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    classes: bool = True,
    group: str | None = None,
    empty_labels: bool = False,
) -> Source:
    """Returns a source of a person's own files.

    A text that is in the test split is dropped from the others, one that is in the validation
    split from the training split, when they come from files of their own. A split that has no file
    is split off from the training file: exactly, stratified by label, equal texts together.

    Args:
      data: a .csv, .tsv, .json, .jsonl, .parquet or .arrow file, text files also in .gz, .bz2, .xz
        or .zst; or a folder that `save_to_disk` of Hugging Face's `datasets` wrote; or one with a
        folder of .txt files for each class; or one with a train, validation (valid, val, dev) and
        test part of these kinds.
      text, label: the columns' names; found by the rule of this module when None. A task of several
        inputs takes the names of their columns, in its order: `("question", "context")`. Several
        labels are columns of 0 and 1, one for each label: `("music", "plot")`.
      columns: further columns, in whose values the report slices the evaluated texts.
      validation, test: files of their own.
      validation_share, test_share: of the training file, for a split that has no file of its own;
        0 for no such split.
      classes: whether the answers are labels. False takes any: numbers, and lists or objects of
        JSONL and Parquet, which a task reads as JSON.
      group: a column whose equal values stay in the same split, such as the document that an
        example is from; rows without a value are in no group. It is one of `columns` too, unless it
        is one of several that `text` names.
      empty_labels: whether an empty answer is read as no label, rather than refused; for tasks
        with any number of labels.

    Raises:
      DataError: the file cannot be read, or no run could learn from it.
    """
    check_shares(validation_share, test_share)
    own = group and group not in _named(text)
    further = tuple(dict.fromkeys([*columns, *([group] if own else [])]))
    try:
        return _files(
            *parts(str(data), validation, test),
            columns={
                "text": text,
                "label": label,
                "columns": further,
                "classes": classes,
                "empty_labels": empty_labels,
            },
            name=str(data),
            shares={"validation": validation_share, "test": test_share},
            group=group,
        )
    except DataError as error:
        if error.problem.endswith(f"has no column {group!r}."):
            error.set_in = f"files.group={group!r}"
        error.set_in = error.set_in or str(data)
        error.see = error.see or see_check(str(data))
        raise


def _files(
    paths: Mapping[str, str],
    notes: list[str],
    columns: Mapping[str, Any],
    name: str,
    shares: Mapping[str, float],
    group: str | None,
) -> Source:
    text, classes = columns["text"], columns["classes"]
    inputs = ("text",) if isinstance(text, str | None) else tuple(text)
    tables = {split: read(path, **columns) for split, path in paths.items()}
    notes = notes + [note for table in tables.values() for note in table.notes]
    rows: dict[str, Rows] = {
        split: (*table.inputs, table.labels or [], *table.columns.values())
        for split, table in tables.items()
    }
    _validate_given(name, tables, rows, len(inputs), classes)
    kept, dropped = without_overlap(rows, len(inputs))
    if dropped:
        rows = {split: take(part, kept[split]) for split, part in rows.items()}
        notes += dropped
    names = (*(_named(text) or inputs), "", *columns["columns"])  # "" stands for the answers
    number = names.index(group) if group else None
    kind: dict[str, Any] = {"inputs": len(inputs), "classes": classes}
    of_group: dict[str, Any] = {"group": number, "group_name": group or ""}
    rows, made = complete(name, rows, shares, see=see_check(name), **of_group, **kind)
    notes += made
    if number is not None:
        kind["groups"] = {split: part[number] for split, part in rows.items()}
    settings: dict[str, Any] = {**kind, "columns": columns["columns"], "inputs": inputs}
    source = MemorySource(name, rows, notes, see=see_check(name), **settings)
    source.schema = tables["train"].schema
    lines = [(table.labels or [], table.lines, table.place) for table in tables.values()]
    source.places = functools.partial(_places, lines)  # type: ignore[method-assign]
    return source


def _places(tables: Sequence[tuple[Any, ...]], answers: Collection[str]) -> list[str]:
    """Returns the lines of the files whose answer is one of these."""
    return [
        place(line)
        for labels, lines, place in tables
        for label, line in zip(labels, lines, strict=True)
        if label in answers
    ]


def _named(text: str | Sequence[str] | None) -> tuple[str, ...]:
    """Returns the columns of texts that were named."""
    return () if text is None else (text,) if isinstance(text, str) else tuple(text)


def _validate_given(
    name: str, tables: Mapping[str, Table], rows: Mapping[str, Rows], inputs: int, classes: bool
) -> None:
    """Refuses data as they were given, while a row still knows its line."""
    validate(
        name,
        {split: summarize(zip(*part[: inputs + 1], strict=True)) for split, part in rows.items()},
        lambda split, number: tables[split].place(tables[split].lines[number]),
        see_check(name),
        classes,
    )


def parts(data: str, validation: str | None, test: str | None) -> tuple[dict[str, str], list[str]]:
    """Returns the path of each split that has one, and notes on what was not taken."""
    given: dict[str, str | None] = {"train": data, "validation": validation, "test": test}
    notes: list[str] = []
    folder = local_path(data, DataError)
    if folder.is_dir():
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        found = {split: _only(split, inside) for split in SPLITS}
        if found["train"] is not None:
            given = {
                split: given[split] or (str(path) if path else None)
                for split, path in found.items()
            }
            given["train"] = str(found["train"])
            read = {*given.values(), str(folder / INDEX)}
            rest = [path.name for path in inside if str(path) not in read]
            if rest:
                notes.append(f"{data}: not read: {', '.join(rest[:8])}{_more(rest, 8)}")
    return {split: path for split in SPLITS if (path := given.get(split))}, notes


def _only(split: str, inside: Sequence[pathlib.Path]) -> pathlib.Path | None:
    """Returns the one file or folder that is this split."""
    hits = [
        path
        for path in inside
        if (path.stem.lower() if path.is_dir() else table_stem(path)) in SPLIT_NAMES[split]
    ]
    if len(hits) > 1:
        raise DataError(
            f"{len(hits)} files could be the {split} split: {', '.join(hit.name for hit in hits)}.",
            valid="one of them in this folder",
        )
    return hits[0] if hits else None


def _more(names: Sequence[str], most: int) -> str:
    return f" and {len(names) - most:,} more" if len(names) > most else ""


__all__ = ["Table", "files", "read"]
