"""The examples of several tasks that are learned together, and what is said of them."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.errors import ConfigError, DataError, near
from tfft.tasks.base import Task

VALID = 'the answers of tasks by name: {"topic": "sport", "names": [[0, 4, "person"]]}'
SHOWN = ("text", "characters_left_out", "truth", "predicted", "spans")  # what all tasks may show


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
        if isinstance(outputs, np.ndarray):
            return outputs[self.rows]
        return [outputs[row] for row in self.rows]

    def scattered(self, sums: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns the sums of the task's examples as those of all, with `there`: [n ...] each."""
        found = {**sums, "there": np.ones(len(self.rows))}
        for key, value in found.items():
            found[key] = np.zeros((self.count, *np.shape(value)[1:]))
            found[key][self.rows] = value
        return found

    def placed(self, outputs: Any) -> Any:
        """Returns outputs of the task's examples among those of all, which stay empty."""
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
        part = part.with_targets(task.targets(part)) if len(rows) else part
        found[name] = Share(task, rows, len(answers), part)
    return found


def undecidable(tasks: Mapping[str, Task], answers: Iterable[str]) -> list[str]:
    """Returns what validation data lack for the decisions of tasks, see `Task.undecidable`."""
    own: dict[str, set[str]] = {name: set() for name in tasks}
    for answer in answers:
        for name, value in answers_in(answer, tasks).items():
            own[name].add(value)
    found = []
    for name, task in tasks.items():
        found += [f"{name}/{each}" if own[name] else name for each in task.undecidable(own[name])]
    return found


def decided(shares: Mapping[str, Share], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what each task leaves open, settled on its validation examples: `Task.decide`.

    Raises:
      DataError: such a task has none.
    """
    asked = {name: share for name, share in shares.items() if share.task.undecided}
    empty = [name for name, share in asked.items() if not len(share.rows)]
    if empty:
        raise DataError(
            f"the validation split has no example of {empty[0]!r}, to settle its probabilities or "
            "thresholds on; the training is kept.",
            valid=f"validation examples of {empty[0]!r}, or that task without calibrate and "
            "threshold",
        )
    return {n: each.task.decide(each.examples, each.taken(outputs[n])) for n, each in asked.items()}


def warnings(shares: Mapping[str, Share]) -> list[str]:
    """Returns what a person has to know of the examples of each task, a line each."""
    told = {n: each.task.warnings(each.examples) for n, each in shares.items() if len(each.rows)}
    return [f"{name}: {line}" for name, lines in told.items() for line in lines]


def evaluated(
    shares: Mapping[str, Share], outputs: Mapping[str, Any], keys: Iterable[str]
) -> dict[str, Any]:
    """Returns the figures of `keys`, "task/key"; `classes` of all tasks; and all under `tasks`.

    Args:
      shares: the examples of each task.
      outputs: by task; one that is left out has no figures.
    """
    found = {
        name: share.task.evaluate(share.examples, share.taken(outputs[name]))
        for name, share in shares.items()
        if len(share.rows) and name in outputs
    }
    return _collected(found, keys)


def evaluated_answers(
    shares: Mapping[str, Share], answers: Mapping[str, Mapping[str, Any]], keys: Iterable[str]
) -> dict[str, Any]:
    """Returns what `evaluated` does, of an export's answers by task and name."""
    found = {
        name: share.task.evaluate_answers(
            share.examples, {key: share.taken(values) for key, values in answers[name].items()}
        )[0]
        for name, share in shares.items()
        if len(share.rows)
    }
    return _collected(found, keys)


def _collected(found: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Returns the metrics of all tasks as those of one."""
    figures = {}
    for path in keys:
        name, _, key = path.partition("/")
        figures[path] = found.get(name, {}).get(key, {"value": None})
    classes = {
        f"{name}/{label}": row
        for name in found
        for label, row in found[name].get("classes", {}).items()
    }
    return {**figures, **({"classes": classes} if classes else {}), "tasks": found}


def by_example(found: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """Returns from lists by name an object by name for each of their elements."""
    rows = zip(*found.values(), strict=True)
    return [dict(zip(found, row, strict=True)) for row in rows]


def floors(
    train: Examples, test: Examples, tasks: Mapping[str, Task], say: Say
) -> dict[str, Floor]:
    """Returns the first floor of each task together, then the second ones, and so on.

    Args:
      train, test: the examples of all tasks.
      tasks: by name; without a floor of the first one there is none.
      say: as in `Task.floors`.
    """
    known, asked, main = shares(train, tasks), shares(test, tasks), next(iter(tasks))
    own: dict[str, list[tuple[str, Floor]]] = {}
    for name, part in asked.items():
        if len(part.rows):
            found = part.task.floors(known[name].examples, part.examples, say)
            own[name] = list(found.items())
    own = {name: found for name, found in own.items() if found}
    result = {}
    for number in range(max(map(len, own.values()), default=0) if main in own else 0):
        chosen = {name: found[min(number, len(found) - 1)] for name, found in own.items()}
        result[" + ".join(dict.fromkeys(key for key, _ in chosen.values()))] = Floor(
            {name: asked[name].placed(floor.outputs) for name, (_, floor) in chosen.items()},
            {f"{n}/{key}": v for n, (_, f) in chosen.items() for key, v in f.described.items()},
        )
    return result


def shown(shares: Mapping[str, Share], outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what several tasks show, see `Task.shown`; each example with its task's name."""
    found = {
        name: share.task.shown(share.examples, share.taken(outputs[name]))
        for name, share in shares.items()
        if len(share.rows)
    }
    rows = {
        kind: [
            {"task": name, **{key: row[key] for key in SHOWN if key in row}}
            for name, each in found.items()
            for row in each[kind]
        ]
        for kind in ("mistakes", "least_certain")
    }
    return {"mistake_count": sum(each["mistake_count"] for each in found.values()), **rows}


def check(tasks: Mapping[str, Task], weights: Mapping[str, float]) -> None:
    """Refuses tasks that cannot be learned together.

    Raises:
      ConfigError: there are less than two, or one reads or learns in a way of its own.
    """
    if len(tasks) < 2 or any(not name or "/" in name for name in tasks):
        raise ConfigError(
            f"MultiTask has the tasks {', '.join(map(repr, tasks)) or 'none'}.",
            set_in="MultiTask.tasks",
            valid='two tasks or more by name, without "/": {"topic": @TextClassification(), ...}',
        )
    for name, task in tasks.items():
        own = task.rows or task.random_inputs or task.served is not task
        own = own or type(task).outputs_of is not Task.outputs_of
        if own or task.reads not in ("pooled", "tokens") or task.modality != "text":
            raise ConfigError(
                f"{task.name} reads or answers in a way of its own: it cannot stand beside others.",
                set_in=f"MultiTask.tasks, {name!r}",
                valid="tasks that read a row an example: classification, of pairs too, several "
                "labels, regression, tagging",
            )
    kinds = {task.inputs for task in tasks.values()}
    if len(kinds) > 1:
        told = "; ".join(f"{name}: {', '.join(task.inputs)}" for name, task in tasks.items())
        raise ConfigError(
            f"the tasks have different inputs ({told}).",
            set_in="MultiTask.tasks",
            valid="tasks of the same inputs",
        )
    wrong = [name for name in weights if name not in tasks or not weights[name] >= 0]
    if wrong:
        raise ConfigError(
            f"MultiTask.weights has {weights[wrong[0]]} for {wrong[0]!r}.",
            set_in="MultiTask.weights",
            valid=f"0 or more, for {', '.join(tasks)}",
        )


def preprocessor(made: Sequence[Any], own: Any) -> Any:
    """Returns the preprocessor that serves all tasks: the body's, or one that gives more.

    Args:
      made: what each task makes of the body's.
      own: the body's.

    Raises:
      ConfigError: two tasks read texts in different ways.
    """
    more = [each for each in made if each is not own]
    if len({each.fingerprint() for each in more}) > 1:
        raise ConfigError(
            "the tasks read their texts in different ways.",
            set_in="MultiTask.tasks",
            valid="tasks that make the same of a text",
        )
    return more[0] if more else own


def figures_of(tasks: Mapping[str, Task]) -> tuple[dict[str, str], frozenset[str]]:
    """Returns the figures of all tasks, "task/key", as a person reads them; and `Task.lower`."""
    told = {
        f"{name}/{key}": f"{name}: {words}"
        for name, task in tasks.items()
        for key, words in task.figures.items()
    }
    return told, frozenset(f"{name}/{key}" for name in tasks for key in tasks[name].lower)


def labels_of(tasks: Mapping[str, Task]) -> tuple[str, ...] | None:
    """Returns the labels of all tasks, "task/label"; None where those of one are not known."""
    found = {name: task.labels for name, task in tasks.items()}
    if None in found.values():
        return None
    return tuple(f"{name}/{label}" for name in found for label in found[name] or ())


def counts_by_task(tasks: Iterable[str], counts: Mapping[str, int]) -> dict[str, Counter[str]]:
    """Returns the number of examples with each answer of each task, from those of joint answers."""
    own: dict[str, Counter[str]] = {name: Counter() for name in tasks}
    for answer, count in counts.items():
        for name, each in answers_in(answer, own).items():
            own[name][each] += count
    return own


def labelled(tasks: Mapping[str, Task], found: Sequence[str], counts: Any) -> dict[str, Any]:
    """Returns the tasks for the answers that the training split holds, see `Task.with_labels`.

    Raises:
      DataError: there is none for one of them.
    """
    own = counts_by_task(tasks, counts or dict.fromkeys(found, 1))
    empty = [name for name in tasks if found and not own[name]]
    if empty:
        raise DataError(f"no training example has an answer for {empty[0]!r}.", valid=VALID)
    return {
        name: task.with_labels(sorted(own[name]), own[name] if counts else None)
        for name, task in tasks.items()
    }


def relabelled(tasks: Mapping[str, Task], labels: Sequence[str]) -> dict[str, Task]:
    """Returns the tasks with labels that are called "task/label"."""
    found = {name: copy.copy(task) for name, task in tasks.items()}
    for name, task in found.items():
        own = (label.partition("/") for label in labels)
        task.labels = tuple(label for of, _, label in own if of == name)
    return found


def by_task(answers: Mapping[str, Any], tasks: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Returns what is called "task/name" by task and name."""
    found: dict[str, dict[str, Any]] = {name: {} for name in tasks}
    for path, value in answers.items():
        name, _, key = path.partition("/")
        found[name][key] = value
    return found
