"""Answers that are values under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class ValueSignature(ServingSignature):
    """A value for each example, under the name of the task.

    Args:
      task: whose outputs are an array [n ...], or a dict of them.
      decode: from outputs, [n ...], to the values, numbers [n ...], by operations of Keras, which
        also work on NumPy arrays; None for outputs that are the values.
      name: of the values in a prediction and in an export; None takes that of the task. Values that
        are a dict have their own names.

    Example:
      `ValueSignature(task, lambda outputs: outputs[:, 0], "price")` predicts `{"price": 12.5}`.
    """

    def __init__(
        self,
        task: ServedTask,
        decode: Callable[[Any], Any] | None = None,
        name: str | None = None,
    ):
        super().__init__(task)
        self.decode, self.name = decode, name or task.name

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        values = outputs if self.decode is None else self.decode(outputs)
        return dict(values) if isinstance(values, Mapping) else {self.name: values}

    def format_predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        return self.format_answers(self.serving_outputs(outputs, {}), examples)

    def format_answers(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        columns = [np.asarray(values).tolist() for values in answers.values()]
        return [dict(zip(answers, row, strict=True)) for row in zip(*columns, strict=True)]
