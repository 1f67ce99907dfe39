"""Answers of several tasks to one example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfft.data.examples import Examples
from tfft.tasks.base import Task, serving_signature
from tfft.tasks.evaluators.multi_task import collected
from tfft.tasks.multi_task.data import by_example, by_task, filled_shares
from tfft.tasks.signatures.base import (
    Answers,
    Predictions,
    Results,
    ServedTask,
    ServingSignature,
    Tensors,
)


class MultiTaskSignature(ServingSignature):
    """The answers of each task, as "task/name".

    Args:
      task: a MultiTask.
      tasks: its tasks by name, with their names and calibrations.
    """

    def __init__(self, task: ServedTask, tasks: Mapping[str, Task]):
        super().__init__(task)
        self.tasks = dict(tasks)
        self.parts = {name: serving_signature(each) for name, each in tasks.items()}

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        return {
            f"{name}/{key}": value
            for name, part in self.parts.items()
            for key, value in part.serving_outputs(outputs[name], features).items()
        }

    def format_predictions(self, examples: Examples, outputs: Mapping[str, Any]) -> Predictions:
        """Returns the predictions of all tasks for each example, by name."""
        parts = self.parts.items()
        return by_example({n: part.format_predictions(examples, outputs[n]) for n, part in parts})

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        own, parts = by_task(answers, self.parts), self.parts.items()
        return by_example({n: part.format_answers(own[n], examples) for n, part in parts})

    def evaluate_answers(self, task: ServedTask, examples: Examples, answers: Answers) -> Results:
        own, metrics = by_task(answers, self.parts), {}
        for name, share in filled_shares(examples, self.tasks).items():
            answers = {key: share.taken(values) for key, values in own[name].items()}
            part = self.parts[name]
            metrics[name] = part.evaluate_answers(share.task, share.examples, answers)[0]
        return collected(metrics, (metric.key for metric in task.build_evaluator().metrics)), {}
