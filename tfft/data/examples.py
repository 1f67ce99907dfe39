"""From a source's columns to what a task and a model read: inputs, answers, tokens, targets."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from tfft.data.encoded_split import encode
from tfft.errors import ConfigError, DataError
from tfft.tasks.base import Examples, Task

Columns = tuple[Sequence[str], ...]
SHOWN_PLACES = 3  # in an error


def check(task: Task, source: Any) -> None:
    """Refuses a source that has not what a task reads.

    Raises:
      ConfigError: something else than the task reads, another number of inputs, or answers that are
        no labels where labels are needed.
    """
    if source.modality != task.modality:
        raise ConfigError(
            f"{task.name} reads {task.modality}s, and {source.name} holds {source.modality}s.",
            set_in="train.source",
            valid=f"a source of {task.modality}s",
            see="tfft list",
        )
    if len(source.inputs) != len(task.inputs):
        names = ", ".join(task.inputs)
        raise ConfigError(
            f"{task.name} reads {len(task.inputs)} inputs ({names}), and {source.name} has "
            f"{len(source.inputs)} ({', '.join(source.inputs)}).",
            set_in="files.text",
            valid="the columns of " + names + f", such as files.text = {tuple(task.inputs)!r}",
        )
    if task.classes not in (None, source.classes):
        what = "labels" if task.classes else "any answers, numbers or JSON"
        raise ConfigError(
            f"{task.name} learns {what}, and {source.name} was opened with "
            f"classes={source.classes}.",
            set_in="files.classes",
            valid=f"files.classes = {task.classes}",
        )


def with_labels(task: Task, source: Any) -> Any:
    """Returns the task for a source's training answers, after a check of all splits.

    Raises:
      DataError: The task cannot read an answer; the error names its rows.
    """
    counts: Counter[str] = Counter()
    for split in source.splits:
        counts.update(source.label_counts(split))
    with located(source.places):
        task.check_answers(counts)
        task = task.with_labels(source.labels, source.label_counts("train"))
        task.check_answers(counts)
    return task


@contextlib.contextmanager
def located(places: Callable[[Collection[str]], list[str]]) -> Iterator[None]:
    """Adds the rows of wrong answers to an error.

    Args:
      places: From answers to the places of the examples that have them.
    """
    try:
        yield
    except DataError as error:
        if error.answers and not error.set_in:
            rows = places(error.answers)
            more = f" and {len(rows) - SHOWN_PLACES:,} more" if len(rows) > SHOWN_PLACES else ""
            error.set_in = ", ".join(rows[:SHOWN_PLACES]) + more
        raise


def batches(source: Any, split: str, size: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yields the inputs of some examples at a time, bytes [b], one array an input."""
    for batch in source.dataset(split).batch(size).as_numpy_iterator():
        yield tuple(batch[name] for name in source.inputs)


def read(source: Any, split: str) -> tuple[Columns, list[str]]:
    """Returns a list of texts for each input of a split, and its answers, in one pass."""
    *inputs, answers = map(list, zip(*source.rows(split), strict=True))
    return tuple(inputs), answers


def columns(source: Any, split: str) -> Columns:
    """Returns a list of texts for each input of a split."""
    return read(source, split)[0]


def encoded(
    task: Task,
    preprocessor: Any,
    inputs: Columns,
    given: Sequence[str] | None = None,
) -> Examples:
    """Returns examples in memory with their tokens, and their targets where answers are given.

    Raises:
      DataError: there are none, or an answer is none of the task's.
    """
    if not len(inputs[0]):
        raise DataError(f"there are no {task.modality}s.", valid=f"one {task.modality} or more")
    size = preprocessor.batch
    starts = range(0, len(inputs[0]), size)
    parts = (tuple(list(column[i : i + size]) for column in inputs) for i in starts)
    found = Examples(inputs, given, None, encode(parts, preprocessor))
    return found if given is None else task.taught(found, preprocessor)


def readable(preprocessor: Any, inputs: Columns) -> tuple[list[int], dict[int, str]]:
    """Returns the numbers of the examples that a preprocessor can read, and why not the others."""
    kept: list[int] = []
    problems: dict[int, str] = {}
    for start in range(0, len(inputs[0]), preprocessor.batch):
        rows = list(range(start, min(start + preprocessor.batch, len(inputs[0]))))
        while rows:
            try:
                encode([tuple([column[row] for row in rows] for column in inputs)], preprocessor)
                break
            except DataError as error:
                if error.row is None:
                    raise
                problem = error.problem.removeprefix(f"example {error.row + 1:,}: ")
                problems[rows.pop(error.row)] = problem
        kept += rows
    return kept, problems


def of_split(source: Any, split: str, tokens: Any) -> Examples:
    """Returns a split of a source whose tokens are there already, with their targets if any."""
    return Examples(*read(source, split), tokens.targets, tokens)
