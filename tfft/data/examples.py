"""The examples of a source as tasks and models read them: inputs, answers, tokens, targets."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any

import numpy as np

from tfft.data.encoded_towers import encode
from tfft.data.splits import sample_rows
from tfft.errors import DataError

Columns = tuple[Sequence[str], ...]
SHOWN_PLACES = 3  # in an error
MAX_SAMPLE = 20_000  # examples of a streamed split whose texts are in memory


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


def readable(preprocessor: Any, inputs: Columns) -> tuple[list[int], dict[int, str]]:
    """Returns the numbers of the examples that a preprocessor can read, and the others' errors."""
    numbers: list[int] = []
    problems: dict[int, str] = {}
    for start in range(0, len(inputs[0]), preprocessor.batch):
        rows = [*range(len(inputs[0]))[start : start + preprocessor.batch]]
        while rows:
            try:
                encode([tuple([column[row] for row in rows] for column in inputs)], preprocessor)
                break
            except DataError as error:
                if error.row is None:
                    raise
                problem = error.problem.removeprefix(f"example {error.row + 1:,}: ")
                problems[rows.pop(error.row)] = problem
        numbers += rows
    return numbers, problems


def evaluated_split(source: Any) -> str:
    """Returns the split that a run evaluates: "test", or the last one where there is none."""
    return "test" if "test" in source.splits else source.splits[-1]


def of_split(source: Any, split: str, tokens: Any) -> Examples:
    """Returns a split of a source whose tokens are there already, with their targets if any.

    Of a training split that may be larger than memory, these are `MAX_SAMPLE` examples at random.
    """
    if source.streamed:
        rows = sample_rows(tokens.size, MAX_SAMPLE if split == "train" else tokens.size)
        return lazy_examples(source, split, rows, tokens.take(rows))
    return Examples(*read(source, split), tokens.targets, tokens)


@dataclasses.dataclass(frozen=True)
class Examples:
    """Some examples of a source, as a task reads them.

    Attributes:
      inputs: a sequence of n values for each of the task's inputs.
      answers: the right answer of each in the source, n strings; None where unknown.
      targets: the targets of the head, see `Task.encode_targets`; None where unknown.
      encoded: their tokens; None where there is no preprocessor, as behind an export.
    """

    inputs: tuple[Sequence[str], ...]
    answers: Sequence[str] | None = None
    targets: Any = None
    encoded: Any = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def with_targets(self, targets: Any) -> Examples:
        """Returns the same examples with targets."""
        tokens = self.encoded and dataclasses.replace(self.encoded, targets=targets)
        return dataclasses.replace(self, targets=targets, encoded=tokens)


class LazyColumn(Sequence[str]):
    """A column of examples that are read when a value is first used.

    Args:
      read: Returns all columns; called by the first column that is used.
      place: Number of the column.
      size: Number of examples.
    """

    def __init__(self, read: Callable[[], Sequence[Sequence[str]]], place: int, size: int):
        self._read, self._place, self._size = read, place, size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, number: Any) -> Any:
        return self._read()[self._place][number]


def lazy_examples(source: Any, split: str, rows: np.ndarray, tokens: Any) -> Examples:
    """Returns some examples of a source whose texts are read only if something uses them.

    Args:
      rows: Numbers of the examples, ascending, int [n].
      tokens: Of these examples, with targets if any.
    """

    @functools.cache
    def read() -> Sequence[Sequence[str]]:
        return source.read(split, rows)

    inputs = tuple(LazyColumn(read, place, len(rows)) for place in range(len(source.inputs)))
    answers: Sequence[str] = LazyColumn(read, len(source.inputs), len(rows))
    if source.classes:
        summary = source.summaries[split]
        names = list(summary.labels)
        answers = [names[code] for code in summary.codes[rows].tolist()]
    return Examples(inputs, answers, tokens.targets, tokens)
