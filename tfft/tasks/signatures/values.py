"""Answers that are values, numbers or vectors under a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tfft.data.examples import Columns, Examples
from tfft.tasks.signatures.base import Answers, Predictions, ServedTask, ServingSignature, Tensors


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
        self, task: ServedTask, decode: Callable[[Any], Any] | None = None, name: str | None = None
    ):
        super().__init__(task)
        self.decode, self.name = decode, name or task.name

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        values = outputs if self.decode is None else self.decode(outputs)
        return dict(values) if isinstance(values, Mapping) else {self.name: values}

    def format_predictions(self, examples: Examples, outputs: Any) -> Predictions:
        return self.format_answers(self.serving_outputs(outputs, {}), examples)

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        columns = [np.asarray(values).tolist() for values in answers.values()]
        return [dict(zip(answers, row, strict=True)) for row in zip(*columns, strict=True)]


class NumberSignature(ValueSignature):
    """A number for each example, `value`, float32 [b]."""

    def __init__(self, task: ServedTask):
        super().__init__(task, lambda outputs: outputs[:, 0], "value")

    def parse(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["value"])[:, None]


class VectorSignature(ValueSignature):
    """The vector of each text, `embedding`, float32 [b d].

    Args:
      task: that reads one text.
      count: texts of a training example.
    """

    def __init__(self, task: ServedTask, count: int):
        super().__init__(task, lambda outputs: outputs[:, 0], "embedding")
        self.count = count

    def split_inputs(self, inputs: Columns) -> Columns:
        """Returns all texts of the examples in a row."""
        return ([text for example in zip(*inputs, strict=True) for text in example],)

    def parse(self, answers: Answers) -> np.ndarray:
        """Returns the vectors of examples, [n r d], out of those of single texts."""
        vectors = np.stack(answers["embedding"])
        return vectors.reshape(-1, self.count, vectors.shape[-1])

    def format_predictions(self, examples: Examples, outputs: Any) -> Predictions:
        return [{self.name: vectors[0].tolist()} for vectors in outputs]
