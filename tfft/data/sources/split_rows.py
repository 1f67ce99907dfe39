"""The splits of sources in memory: their files, rows in several splits, and missing splits."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data.formats.open_format import table_stem
from tfft.data.sources.base import MemorySource
from tfft.data.splits import (
    OWN_FILES,
    SEE,
    SPLIT_NAMES,
    SPLITS,
    Rows,
    complete,
    take,
    without_overlap,
)
from tfft.errors import DataError
from tfft.storage.foreign_files import local_path

INDEX = "dataset_dict.json"  # the splits that a saved data set has, which are folders beside it


def split_paths(
    data: str, validation: str | None, test: str | None, skip: str | None = None, see: str = ""
) -> tuple[dict[str, str], list[str]]:
    """Returns the path of each split that has one, and notes on files that are not read.

    Args:
      data: of the training split, or of a folder with a part for each split.
      validation, test: of splits with a path of their own.
      skip: a suffix of files that are no split.
      see: the next command, for an error.

    Raises:
      DataError: several parts of the folder could be the same split.
    """
    paths: dict[str, str | None] = {"train": data, "validation": validation, "test": test}
    notes: list[str] = []
    folder = local_path(data, DataError)
    if folder.is_dir():
        inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
        parts = {split: _only(split, inside, skip, see) for split in SPLITS}
        if parts["train"]:
            paths = {split: paths[split] or part for split, part in parts.items()}
            paths["train"] = parts["train"]
            known = {*paths.values(), str(folder / INDEX)}
            rest = [path.name for path in inside if str(path) not in known]
            more = f" and {len(rest) - 8:,} more" if len(rest) > 8 else ""
            notes = [f"{data}: not read: {', '.join(rest[:8])}{more}"] if rest else []
    return {split: path for split in SPLITS if (path := paths[split])}, notes


def _only(split: str, inside: Sequence[pathlib.Path], skip: str | None, see: str) -> str | None:
    """Returns the one file or folder that is this split."""
    hits = [
        path
        for path in inside
        if (path.stem.lower() if path.is_dir() else table_stem(path)) in SPLIT_NAMES[split]
        and path.suffix.lower() != skip
    ]
    if len(hits) > 1:
        raise DataError(
            f"{len(hits)} files could be the {split} split: {', '.join(hit.name for hit in hits)}.",
            valid="one of them in this folder",
            see=see,
        )
    return str(hits[0]) if hits else None


def with_one_label(labels: Mapping[str, Sequence[str]]) -> tuple[Rows, int, int]:
    """Returns the texts whose labels agree, each once, and the numbers of rows that are left out.

    Args:
      labels: by text, those of each of its rows.

    Returns:
      Texts and labels; the number of copies, and the number of rows whose text has several labels.
    """
    agreeing = {text: own[0] for text, own in labels.items() if len(set(own)) == 1}
    copies = sum(len(labels[text]) - 1 for text in agreeing)
    contradictory = sum(map(len, labels.values())) - copies - len(agreeing)
    return (list(agreeing), list(agreeing.values())), copies, contradictory


def source_of_rows(
    name: str,
    rows: Mapping[str, Rows],
    notes: Sequence[str],
    shares: Mapping[str, float],
    *,
    inputs: Sequence[str] = ("text",),
    classes: bool = True,
    columns: Sequence[str] = (),
    group: int | None = None,
    group_name: str | None = None,
    keep_overlap: bool = False,
    own: str = OWN_FILES,
    see: str = SEE,
) -> MemorySource:
    """Returns a source of rows in memory, without the examples that are in a later split too.

    Args:
      name: of the source.
      rows: inputs, answers and further columns of the splits that there are.
      notes: lines for a person, to which those on dropped rows and on new splits are added.
      shares: of the validation and of the test split, for those that are missing.
      inputs, classes: as in `Source`.
      columns: names of the first further columns.
      group: number of the column whose equal values stay in the same split.
      group_name: name of that column.
      keep_overlap: whether examples with the same inputs may be in several splits.
      own: how splits of one's own are given, for an error.
      see: the next command.

    Raises:
      DataError: rows that cannot be split, or that no run could learn from.
    """
    count = len(inputs)
    if not keep_overlap:
        kept, dropped = without_overlap(rows, count)
        rows = {split: take(part, kept[split]) for split, part in rows.items()} if dropped else rows
        notes = [*notes, *dropped]
    settings: Any = {"inputs": count, "classes": classes, "own": own, "see": see}
    rows, made = complete(name, rows, shares, group=group, group_name=group_name or "", **settings)
    groups = None if group is None else {split: part[group] for split, part in rows.items()}
    rows = {split: part[: count + 1 + len(columns)] for split, part in rows.items()}
    return MemorySource(
        name,
        rows,
        [*notes, *made],
        see=see,
        columns=columns,
        inputs=inputs,
        classes=classes,
        groups=groups,
    )
