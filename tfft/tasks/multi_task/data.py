"""The examples of several tasks that are learned together, and what they have in common."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.errors import DataError, near
from tfft.metrics.record_aggregates import scatter
from tfft.tasks.base import Task
from tfft.tasks.targets.base import Counts

VALID = 'the answers of tasks by name: {"topic": "sport", "names": [[0, 4, "person"]]}'


@dataclasses.dataclass(frozen=True)
class Share:
    """The examples of a task among those of several.

    Attributes:
      task: with its labels.
      rows: their numbers, int [m].
      count: of all examples, n.
      examples: with their own answers, and targets.
    """

    task: Task
    rows: np.ndarray
    count: int
    examples: Examples

    def taken(self, outputs: Any) -> Any:
        """Returns the outputs of the task's examples out of those of all."""
        if isinstance(outputs, Mapping):
            return {name: self.taken(each) for name, each in outputs.items()}
        if isinstance(outputs, np.ndarray):
            return outputs[self.rows]
        return [outputs[row] for row in self.rows]

    def scattered(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the terms of the task's examples as those of all, with `there`: [n ...] each."""
        terms = {**sums, "there": np.ones(len(self.rows))}
        for key, value in terms.items():
            if np.asarray(value).dtype == object:
                terms[key] = scatter(value, self.rows, self.count)
            else:
                terms[key] = self._among_all(np.asarray(value, float))
        return terms

    def _among_all(self, values: np.ndarray) -> np.ndarray:
        """Returns values of the task's examples, [m ...], among zeros of the others, [n ...]."""
        result = np.zeros((self.count, *values.shape[1:]), values.dtype)
        result[self.rows] = values
        return result

    def placed(self, outputs: Any) -> Any:
        """Returns outputs or targets of the task's examples among those of all: empty ones."""
        if isinstance(outputs, Mapping):
            return {name: self.placed(each) for name, each in outputs.items()}
        if isinstance(outputs, Ragged):
            values = np.concatenate([outputs.values[:0], *outputs.rows()])
            offsets = np.concatenate([[0], np.cumsum(self._among_all(outputs.lengths))])
            return dataclasses.replace(outputs, values=values, offsets=offsets, chosen=None)
        if isinstance(outputs, np.ndarray):
            return self._among_all(outputs)
        by_row = dict(zip(self.rows.tolist(), outputs, strict=True))
        return [by_row.get(row) for row in range(self.count)]

    def encoded_targets(self) -> dict[str, Any]:
        """Returns the `targets` of all examples, and their `mask`, float32 [n].

        The mask is 1 for an example that has targets, of those of tokens one that is not padding,
        and 0 for the others, whose targets are zeros or padding.
        """
        own = self.examples.targets
        if not len(self.rows):  # those of no example
            own = self.task.encode_targets(Examples(tuple([] for _ in self.task.inputs), []))
            own = Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64)) if own is None else own
        mask = np.zeros(self.count, np.float32)
        mask[self.rows] = 1.0
        if isinstance(own, Ragged):
            mask[self.rows] = [(row != own.padding).any() for row in own.rows()]
        return {"targets": self.placed(own), "mask": mask}


def answers_in(answer: str, names: Iterable[str]) -> dict[str, str]:
    """Returns the answers that an object in JSON holds, by task, as a source of its own has them.

    Raises:
      DataError: it is no object, or a name is no task's.
    """
    try:
        answers = json.loads(answer)
    except json.JSONDecodeError:
        answers = None
    if not isinstance(answers, dict):
        raise DataError(f"the answer {answer[:80]!r} is no object in JSON.", valid=VALID)
    for name in answers:
        if name not in names:
            raise DataError(f"{name!r} is no task.", valid=near(name, list(names)))
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in answers.items()
        if value is not None
    }


def shares(examples: Examples, tasks: Mapping[str, Task]) -> dict[str, Share]:
    """Returns the examples of each task."""
    answers = [answers_in(answer, tasks) for answer in examples.answers or ()]
    result = {}
    for name, task in tasks.items():
        rows = np.array([row for row, own in enumerate(answers) if name in own], int)
        inputs = tuple([column[row] for row in rows] for column in examples.inputs)
        tokens = None if examples.encoded is None else examples.encoded.take(rows)
        part = Examples(inputs, [answers[row][name] for row in rows], None, tokens)
        part = part.with_targets(task.encode_targets(part)) if len(rows) else part
        result[name] = Share(task, rows, len(answers), part)
    return result


def filled_shares(examples: Examples, tasks: Mapping[str, Task]) -> dict[str, Share]:
    """Returns the examples of each task that has some."""
    return {name: each for name, each in shares(examples, tasks).items() if len(each.rows)}


def by_example(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns from lists by name an object by name for each of their elements."""
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def counts_by_task(tasks: Iterable[str], counts: Counts) -> dict[str, Counter[str]]:
    """Returns the number of examples with each answer of each task, from those of joint answers."""
    own: dict[str, Counter[str]] = {name: Counter() for name in tasks}
    for answer, count in counts.items():
        for name, each in answers_in(answer, own).items():
            own[name][each] += count
    return own


def sorted_counts(counts: Counts) -> dict[str, int]:
    """Returns counts in the order of their answers."""
    return dict(sorted(counts.items()))


def by_task(answers: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns what is called "task/name" by task and name."""
    result: dict[str, dict[str, Any]] = {name: {} for name in tasks}
    for path, value in answers.items():
        name, _, key = path.partition("/")
        result[name][key] = value
    return result
