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
from collections.abc import Collection, Sequence
from typing import Any

from tfft.argument_checks.validated import DISTINCT, FILLED, FRACTION, each, validated
from tfft.data.formats.tables import Table, read, see_check
from tfft.data.sources.base import Source, summarize, validate
from tfft.data.sources.split_rows import source_of_rows, split_paths
from tfft.data.splits import Rows, check_shares
from tfft.errors import DataError


@validated(
    **each("data text label validation test group", FILLED),
    **each("validation_share test_share", FRACTION),
    columns=DISTINCT,
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
    names = (text,) if isinstance(text, str) else tuple(text or ())
    further = tuple(dict.fromkeys([*columns, *([group] if group and group not in names else [])]))
    try:
        paths, notes = split_paths(data, validation, test)
        options: Any = {"text": text, "label": label, "classes": classes, "columns": further}
        options["empty_labels"] = empty_labels
        tables = {split: read(path, **options) for split, path in paths.items()}
        inputs = ("text",) if isinstance(text, str | None) else names
        rows: dict[str, Rows] = {
            split: (*table.inputs, table.labels or [], *table.columns.values())
            for split, table in tables.items()
        }
        used = {split: part[: len(inputs) + 1] for split, part in rows.items()}
        validate(  # while a row still knows its line
            data,
            {split: summarize(zip(*part, strict=True)) for split, part in used.items()},
            lambda split, number: tables[split].place(tables[split].lines[number]),
            see_check(data),
            classes,
        )
        of_columns = (*(names or inputs), "", *further)  # "" stands for the answers
        source = source_of_rows(
            data,
            rows,
            [*notes, *(note for table in tables.values() for note in table.notes)],
            {"validation": validation_share, "test": test_share},
            inputs=inputs,
            classes=classes,
            columns=further,
            group=of_columns.index(group) if group else None,
            group_name=group,
            see=see_check(data),
        )
    except DataError as error:
        if error.problem.endswith(f"has no column {group!r}."):
            error.set_in = f"files.group={group!r}"
        error.set_in = error.set_in or data
        error.see = error.see or see_check(data)
        raise
    source.schema = tables["train"].schema
    source.places = functools.partial(_places, list(tables.values()))  # type: ignore[method-assign]
    return source


def _places(tables: Sequence[Table], answers: Collection[str]) -> list[str]:
    return [place for table in tables for place in table.places(answers)]


__all__ = ["Table", "files", "read"]
