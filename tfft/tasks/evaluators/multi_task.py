"""Metrics and reports of several tasks on one backbone: those of each, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.examples import Examples
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator, Log, ReportedMetric
from tfft.tasks.multi_task.data import shares
from tfft.tasks.multi_task.targets import constant_loss

SHOWN = ("text", "characters_left_out", "truth", "predicted", "spans")  # what all tasks may show


class MultiTaskEvaluator(Evaluator):
    """Evaluates the outputs of several tasks, by name.

    Args:
      tasks: by name; the main metric is that of the first one.
      weights: of their losses.
    """

    def __init__(self, tasks: Mapping[str, Task], weights: Mapping[str, float]):
        self.tasks, self.weights = dict(tasks), weights
        self.parts = {name: task.build_evaluator() for name, task in tasks.items()}
        self.main = next(iter(tasks))
        self.aggregate = self.parts[self.main].aggregate
        self.metrics = tuple(
            ReportedMetric(f"{name}/{each.key}", f"{name}: {each.title}", each.greater_is_better)
            for name, part in self.parts.items()
            for each in part.metrics
        )

    def greater_is_better(self, name: str) -> bool | None:
        """Returns the direction of a task's own metric, "task_metric" or "task/metric"."""
        for part, evaluator in self.parts.items():
            if name.startswith((f"{part}_", f"{part}/")):
                own = evaluator.greater_is_better(name[len(part) + 1 :])
                if own is not None:
                    return own
        return super().greater_is_better(name)

    def evaluate(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the metrics of each task on its examples, "task/key".

        Beside them `classes` of all tasks, and all metrics under `tasks`.

        Args:
          outputs: by task; one that is left out has no metrics.
        """
        found = {
            name: self.parts[name].evaluate(share.examples, share.taken(outputs[name]))
            for name, share in shares(examples, self.tasks).items()
            if len(share.rows) and name in outputs
        }
        return collected(found, (metric.key for metric in self.metrics))

    def main_terms(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Returns the first task's terms, with `there` 0 for examples that are not its own."""
        share = shares(examples, self.tasks)[self.main]
        part, taken = self.parts[self.main], share.taken(outputs[self.main])
        return share.scattered(part.main_terms(share.examples, taken))

    def constant_loss(self, targets: Any) -> float | None:
        return constant_loss(self.tasks, self.weights, targets)

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        """Returns the first baseline of each task together, then the second ones, and so on.

        Without a baseline of the first task there is none.
        """
        known, asked = shares(train, self.tasks), shares(test, self.tasks)
        own: dict[str, list[tuple[str, Floor]]] = {}
        for name, part in asked.items():
            if len(part.rows):
                found = self.parts[name].baselines(known[name].examples, part.examples, log)
                own[name] = list(found.items())
        own = {name: pairs for name, pairs in own.items() if pairs}
        result = {}
        for number in range(max(map(len, own.values()), default=0) if self.main in own else 0):
            chosen = {name: pairs[min(number, len(pairs) - 1)] for name, pairs in own.items()}
            result[" + ".join(dict.fromkeys(key for key, _ in chosen.values()))] = Floor(
                {name: asked[name].placed(floor.outputs) for name, (_, floor) in chosen.items()},
                {f"{n}/{key}": v for n, (_, f) in chosen.items() for key, v in f.described.items()},
            )
        return result

    def data_warnings(self, examples: Examples) -> list[str]:
        parts = shares(examples, self.tasks).items()
        lines = {
            name: self.parts[name].data_warnings(each.examples)
            for name, each in parts
            if len(each.rows)
        }
        return [f"{name}: {line}" for name, each in lines.items() for line in each]

    def report_examples(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the report examples of each task, one after the other, with its name."""
        found = {
            name: self.parts[name].report_examples(share.examples, share.taken(outputs[name]))
            for name, share in shares(examples, self.tasks).items()
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
        return {"mistake_count": sum(each["mistake_count"] or 0 for each in found.values()), **rows}


def collected(found: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Returns the metrics of all tasks as those of one."""
    metrics = {}
    for path in keys:
        name, _, key = path.partition("/")
        metrics[path] = found.get(name, {}).get(key, {"value": None})
    classes: dict[str, Sequence[Any]] = {
        f"{name}/{label}": row
        for name in found
        for label, row in found[name].get("classes", {}).items()
    }
    return {**metrics, **({"classes": classes} if classes else {}), "tasks": found}
