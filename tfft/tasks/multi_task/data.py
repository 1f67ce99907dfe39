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
        found = {**sums, "there": np.ones(len(self.rows))}
        for key, value in found.items():
            if np.asarray(value).dtype == object:
                found[key] = scatter(value, self.rows, self.count)
                continue
            found[key] = np.zeros((self.count, *np.shape(value)[1:]))
            found[key][self.rows] = value
        return found

    def placed(self, outputs: Any) -> Any:
        """Returns outputs or targets of the task's examples among those of all: empty ones."""
        if isinstance(outputs, Mapping):
            return {name: self.placed(each) for name, each in outputs.items()}
        if isinstance(outputs, Ragged):
            lengths = np.zeros(self.count, np.int64)
            lengths[self.rows] = outputs.lengths
            values = np.concatenate([outputs.values[:0], *outputs.rows()])
            offsets = np.concatenate([[0], np.cumsum(lengths)])
            return dataclasses.replace(outputs, values=values, offsets=offsets, chosen=None)
        if isinstance(outputs, np.ndarray):
            found: Any = np.zeros((self.count, *outputs.shape[1:]), outputs.dtype)
            found[self.rows] = outputs
            return found
        found = [None] * self.count
        for row, each in zip(self.rows, outputs, strict=True):
            found[row] = each
        return found


def answers_in(answer: str, names: Iterable[str]) -> dict[str, str]:
    """Returns the answers that an object in JSON holds, by task, as a source of its own has them.

    Raises:
      DataError: it is no object, or a name is no task's.
    """
    try:
        found = json.loads(answer)
    except json.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"the answer {answer[:80]!r} is no object in JSON.", valid=VALID)
    unknown = [name for name in found if name not in names]
    if unknown:
        raise DataError(f"{unknown[0]!r} is no task.", valid=near(unknown[0], list(names)))
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in found.items()
        if value is not None
    }


def shares(examples: Examples, tasks: Mapping[str, Task]) -> dict[str, Share]:
    """Returns the examples of each task."""
    answers = [answers_in(answer, tasks) for answer in examples.answers or ()]
    found = {}
    for name, task in tasks.items():
        rows = np.array([row for row, own in enumerate(answers) if name in own], int)
        inputs = tuple([column[row] for row in rows] for column in examples.inputs)
        tokens = None if examples.encoded is None else examples.encoded.take(rows)
        part = Examples(inputs, [answers[row][name] for row in rows], None, tokens)
        part = part.with_targets(task.encode_targets(part)) if len(rows) else part
        found[name] = Share(task, rows, len(answers), part)
    return found


def by_example(found: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns from lists by name an object by name for each of their elements."""
    rows = zip(*found.values(), strict=True)
    return [dict(zip(found, row, strict=True)) for row in rows]


def counts_by_task(tasks: Iterable[str], counts: Mapping[str, int]) -> dict[str, Counter[str]]:
    """Returns the number of examples with each answer of each task, from those of joint answers."""
    own: dict[str, Counter[str]] = {name: Counter() for name in tasks}
    for answer, count in counts.items():
        for name, each in answers_in(answer, own).items():
            own[name][each] += count
    return own


def by_task(answers: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns what is called "task/name" by task and name."""
    found: dict[str, dict[str, Any]] = {name: {} for name in tasks}
    for path, value in answers.items():
        name, _, key = path.partition("/")
        found[name][key] = value
    return found
