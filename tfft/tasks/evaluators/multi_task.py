"""Metrics and reports of several tasks on one backbone: those of each, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, ReportedMetric
from tfft.tasks.multi_task.data import filled_shares, shares

Outputs = Mapping[str, Any]  # of each task, by name
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

    def evaluate(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns the metrics of each task on its examples, "task/key".

        Beside them `classes` of all tasks, and all metrics under `tasks`.

        Args:
          outputs: by task; one that is left out has no metrics.
        """
        metrics = {
            name: self.parts[name].evaluate(share.examples, share.taken(outputs[name]))
            for name, share in filled_shares(examples, self.tasks).items()
            if name in outputs
        }
        return collected(metrics, (metric.key for metric in self.metrics))

    def main_terms(self, examples: Examples, outputs: Outputs) -> dict[str, np.ndarray]:
        """Returns the first task's terms, with `there` 0 for examples that are not its own."""
        share = shares(examples, self.tasks)[self.main]
        part, taken = self.parts[self.main], share.taken(outputs[self.main])
        return share.scattered(part.main_terms(share.examples, taken))

    def constant_loss(self, targets: Any) -> float | None:
        """Returns the loss of each task's best constant answer; None where one has none."""
        total = 0.0
        for name, part in self.parts.items():
            own, mask = targets[name]["targets"], targets[name]["mask"]
            rows = np.flatnonzero(mask)
            own = own.take(rows) if isinstance(own, Ragged) else own[rows]
            loss = part.constant_loss(own) if len(rows) else 0.0
            if loss is None:
                return None
            total += self.weights[name] * loss * len(rows) / len(mask)
        return total

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the first baseline of each task together, then the second ones, and so on.

        Without a baseline of the first task there is none.
        """
        training, tested = shares(train, self.tasks), filled_shares(test, self.tasks)
        own: dict[str, list[tuple[str, Floor]]] = {}
        for name, share in tested.items():
            part = self.parts[name].baselines(training[name].examples, share.examples, log)
            if part:
                own[name] = list(part.items())
        result = {}
        for number in range(max(map(len, own.values())) if self.main in own else 0):
            chosen = {name: pairs[min(number, len(pairs) - 1)] for name, pairs in own.items()}
            result[" + ".join(dict.fromkeys(key for key, _ in chosen.values()))] = Floor(
                {name: tested[name].placed(floor.outputs) for name, (_, floor) in chosen.items()},
                {f"{n}/{key}": v for n, (_, f) in chosen.items() for key, v in f.described.items()},
            )
        return result

    def data_warnings(self, examples: Examples) -> list[str]:
        return [
            f"{name}: {line}"
            for name, share in filled_shares(examples, self.tasks).items()
            for line in self.parts[name].data_warnings(share.examples)
        ]

    def report_examples(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns the report examples of each task, one after the other, with its name."""
        result: dict[str, Any] = {"mistake_count": 0, "mistakes": [], "least_certain": []}
        for name, share in filled_shares(examples, self.tasks).items():
            part = self.parts[name].report_examples(share.examples, share.taken(outputs[name]))
            result["mistake_count"] += part["mistake_count"] or 0
            for kind in ("mistakes", "least_certain"):
                rows = ({key: row[key] for key in SHOWN if key in row} for row in part[kind])
                result[kind] += [{"task": name, **row} for row in rows]
        return result


def collected(tasks: Mapping[str, Any], keys: Iterable[str]) -> Details:
    """Returns the metrics of all tasks as those of one."""
    metrics = {}
    for path in keys:
        name, _, key = path.partition("/")
        metrics[path] = tasks.get(name, {}).get(key, {"value": None})
    classes = {
        f"{name}/{label}": row
        for name, own in tasks.items()
        for label, row in own.get("classes", {}).items()
    }
    return {**metrics, **({"classes": classes} if classes else {}), "tasks": tasks}
