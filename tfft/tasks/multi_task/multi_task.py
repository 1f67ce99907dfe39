"""Several tasks on one body, each with a head of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.argument_checks.validated import NON_NEGATIVE, validated
from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.tasks.base import Answers, Task, config_of
from tfft.tasks.multi_task import data
from tfft.tasks.multi_task import model as together


@validated(weights=NON_NEGATIVE)
class MultiTask(Task):
    """Heads side by side on the body's pooled and tokens' outputs, trained together.

    An answer is an object in JSON with the answer of each task that the example is for, such as
    `{"topic": "sport", "names": [[0, 4, "person"]]}`; a text may have one of them or several.
    `mixture(sources, tasks=...)` makes such a source out of one for each task. Multi-task learning:
    Caruana, 1997; of texts with one pretrained body: Liu et al., 2019.

    Args:
      tasks: by name. They read the same inputs, a row an example; the first one's main figure is
        that of the whole.
      weights: of the tasks' losses; 1 for those that are left out.
    """

    name = "multi_task"
    reads = "both"

    def __init__(self, tasks: Mapping[str, Task], weights: Mapping[str, float] | None = None):
        data.check(tasks, weights or {})
        self.tasks = dict(tasks)
        self.weights = {name: float((weights or {}).get(name, 1.0)) for name in tasks}
        self.main = next(iter(tasks))
        self.inputs = tasks[self.main].inputs  # type: ignore[misc]
        self.measure = tasks[self.main].measure  # type: ignore[misc]
        self.figures, self.lower = data.figures_of(tasks)  # type: ignore[misc]

    @property
    def labels(self) -> tuple[str, ...] | None:  # type: ignore[override]
        """The labels of all tasks, "task/label"; None where those of one are not known."""
        return data.labels_of(self.tasks)

    @labels.setter
    def labels(self, found: tuple[str, ...] | None) -> None:
        self.tasks = data.relabelled(self.tasks, found or ())

    def of(self, tasks: Mapping[str, Task]) -> MultiTask:
        """Returns the same with other tasks of the same names."""
        task = copy.copy(self)
        task.tasks = dict(tasks)
        return task

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        return self.of(data.labelled(self.tasks, found, counts))

    def check_answers(self, counts: Mapping[str, int]) -> None:
        for name, own in data.counts_by_task(self.tasks, counts).items():
            self.tasks[name].check_answers(own)

    def label_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Returns the counts of each task, as "task/label"."""
        return {
            f"{name}/{label}": count
            for name, own in data.counts_by_task(self.tasks, counts).items()
            for label, count in self.tasks[name].label_counts(own).items()
        }

    def data_notes(self) -> list[str]:
        return [
            f"{name}: {note}" for name, task in self.tasks.items() for note in task.data_notes()
        ]

    def preprocessor(self, own: Any) -> Any:
        return data.preprocessor([task.preprocessor(own) for task in self.tasks.values()], own)

    def targets(self, examples: Examples) -> Any:
        """Returns the columns of all tasks, float32 [t c] an example, see
        `tfft.tasks.multi_task.model`.
        """
        return together.targets_of(data.shares(examples, self.tasks), examples.encoded)

    def warnings(self, examples: Examples) -> list[str]:
        return data.warnings(data.shares(examples, self.tasks))

    def config(self) -> dict[str, Any]:
        return config_of(self, tasks={name: task.config() for name, task in self.tasks.items()})

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> MultiTask:
        from tfft.tasks import of_card

        tasks = {name: of_card(each, name) for name, each in card["tasks"].items()}
        return cls(tasks, card["weights"])

    def head_on(self, body: Any) -> together.Heads:
        self._heads = together.heads_on(body, self.tasks)
        return self._heads

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        """Returns a function to the outputs of each task by name."""
        return together.split(model)

    def loss_on(self, head: Any) -> keras.losses.Loss:
        return together.SummedLoss(head, self.tasks, self.weights)

    def metrics(self) -> list[Any]:
        return together.metrics_of(self.tasks, lambda: self._heads)

    def lower_is_better(self, name: str) -> bool | None:
        """Returns the direction that a task declares for its own metric, "task_metric"."""
        for part, task in self.tasks.items():
            if name.startswith((f"{part}_", f"{part}/")):
                own = task.lower_is_better(name[len(part) + 1 :])
                if own is not None:
                    return own
        return super().lower_is_better(name)

    def constant_loss(self, targets: Any) -> float | None:
        return together.constant_loss(self.tasks, self.weights, targets)

    @property
    def undecided(self) -> bool:
        return any(task.undecided for task in self.tasks.values())

    def undecidable(self, answers: Collection[str]) -> list[str]:
        """Returns the tasks without validation examples, and "task/label" of the others."""
        return data.undecidable(self.tasks, answers)

    def decide(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return data.decided(data.shares(examples, self.tasks), outputs)

    def decided(self, found: Mapping[str, Any], head: Any) -> Any:
        parts = {name: head and head.parts[name] for name in self.tasks}
        tasks = self.tasks.items()
        return self.of({n: task.decided(found.get(n, {}), parts[n]) for n, task in tasks})

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns the answers of all tasks to each example, by name."""
        found = {n: task.predictions(examples, outputs[n]) for n, task in self.tasks.items()}
        return data.by_example(found)

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what each task serves, as "task/name"."""
        served = {name: task.serve(outputs[name], read) for name, task in self.tasks.items()}
        return {f"{name}/{key}": value for name in served for key, value in served[name].items()}

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        own, tasks = data.by_task(answers, self.tasks), self.tasks.items()
        return data.by_example({n: task.answered(own[n], examples) for n, task in tasks})

    def evaluate_answers(self, examples: Examples, answers: Answers) -> Any:
        own = data.by_task(answers, self.tasks)
        return data.evaluated_answers(data.shares(examples, self.tasks), own, self.figures), {}

    def evaluate(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the figures of each task on its examples, see `data.evaluated`."""
        return data.evaluated(data.shares(examples, self.tasks), outputs, self.figures)

    def sums(self, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
        """Returns the first task's sums, with `there` 0 for examples that are not its own."""
        share = data.shares(examples, self.tasks)[self.main]
        return share.scattered(share.task.sums(share.examples, share.taken(outputs[self.main])))

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the first floors of all tasks as one, then the second ones, and so on."""
        return data.floors(train, test, self.tasks, say)

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns what each task shows, one behind the other."""
        return data.shown(data.shares(examples, self.tasks), outputs)
