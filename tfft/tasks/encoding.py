"""From a source's columns to what a task and its preprocessor make of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from tfft.data.decoded_rows import on_demand
from tfft.data.encoded_towers import encode
from tfft.data.examples import Columns, Examples, located
from tfft.data.inputs import names_of
from tfft.errors import ConfigError, DataError
from tfft.tasks.base import Task, encode_training_examples, modality_of
from tfft.tasks.definition_checks import check_definition


def check(task: Task, source: Any) -> None:
    """Refuses a source without the inputs and answers that a task reads.

    Raises:
      ConfigError: something else than the task reads, another number of inputs, or answers that are
        no labels where labels are needed.
    """
    modality, inputs = modality_of(task), names_of(task.inputs)
    if source.modality != modality and modality != "example":
        raise ConfigError(
            f"{task.name} reads {modality}s, and {source.name} holds {source.modality}s.",
            set_in="train.source",
            valid=f"a source of {modality}s",
            see="tfft list",
        )
    if len(source.inputs) != len(inputs):
        names = ", ".join(inputs)
        raise ConfigError(
            f"{task.name} reads {len(inputs)} inputs ({names}), and {source.name} has "
            f"{len(source.inputs)} ({', '.join(source.inputs)}).",
            set_in="files.text",
            valid="the columns of " + names + f", such as files.text = {inputs!r}",
        )
    classes = task.target.are_classes
    if classes not in (None, source.classes):
        what = "labels" if classes else "any answers, numbers or JSON"
        raise ConfigError(
            f"{task.name} learns {what}, and {source.name} was opened with "
            f"classes={source.classes}.",
            set_in="files.classes",
            valid=f"files.classes = {classes}",
        )


def encoded(
    task: Task, preprocessor: Any, inputs: Columns, given: Sequence[str] | None = None
) -> Examples:
    """Returns examples in memory with their tokens, and their targets where answers are given.

    Raises:
      DataError: there are none, or an answer is none of the task's.
    """
    if not len(inputs[0]):
        what = modality_of(task)
        raise DataError(f"there are no {what}s.", valid=f"one {what} or more")
    size = preprocessor.batch
    starts = range(0, len(inputs[0]), size)
    parts = (tuple(list(column[i : i + size]) for column in inputs) for i in starts)
    known = on_demand(len(inputs[0]), lambda: inputs, preprocessor, "auto", "", lambda line: None)
    examples = Examples(inputs, given, None, encode(parts, preprocessor, known=known))
    return examples if given is None else encode_training_examples(task, examples, preprocessor)


def with_training_answers(task: Task, source: Any) -> Any:
    """Returns the task for a source's training answers, after a check of all splits.

    Raises:
      DataError: The task cannot read an answer; the error names its rows.
    """
    counts: Counter[str] = Counter()
    for split in source.splits:
        counts.update(source.label_counts(split))
    with located(source.places):
        task.target.check(counts)
        task = task.with_training_answers(source.label_counts("train"))
        task.target.check(counts)
    check_definition(task)
    return task
