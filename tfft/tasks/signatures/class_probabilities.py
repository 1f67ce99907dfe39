"""Answers that are classes, sets of labels or choices, with probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.evaluators.multiple_choice import predicted
from tfft.tasks.signatures.base import Answers, Predictions, ServedTask, ServingSignature, Tensors


class LabelSignature(ServingSignature):
    """The labels of each example, and the probability of every label.

    Args:
      task: with its names.
      limits: the probability above which each label is predicted, float32 [c].
    """

    def __init__(self, task: ServedTask, limits: Any):
        super().__init__(task)
        self.names, self.limits = task.target.names or (), limits

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns `probabilities` and, as 0 and 1, which labels are predicted, [b c] both."""
        predicted = keras.ops.cast(outputs > self.limits, "int32")
        return {"probabilities": outputs, "given": predicted}

    def parse(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def format_predictions(self, examples: Examples, outputs: np.ndarray) -> Predictions:
        names = np.array(self.names)
        rows = zip(outputs > self.limits, self._probabilities(outputs), strict=True)
        return [{"labels": names[labels].tolist(), "probabilities": each} for labels, each in rows]

    def _probabilities(self, outputs: np.ndarray) -> list[dict[str, float]]:
        """Returns the probabilities [n c] of each example by name."""
        return [dict(zip(self.names, row, strict=True)) for row in outputs.tolist()]


class ClassSignature(LabelSignature):
    """The class of each example, and the probability of every class.

    Args:
      task: with its class names.
      limits: the probability above which each class is predicted; None predicts the likeliest.
      threshold: of one class, as predictions state it; None for none.
    """

    def __init__(
        self,
        task: ServedTask,
        limits: Sequence[float] | None = None,
        threshold: Mapping[str, Any] | None = None,
    ):
        super().__init__(task, limits)
        self.threshold = threshold

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns answers for outputs [b n]: `probabilities`, `label_id`, `label`.

        With a threshold they state it: `threshold`, the probability above which each class is
        predicted, [b n].
        """
        import tensorflow as tf

        limits = self.limits
        number = keras.ops.argmax(outputs if limits is None else outputs - limits, axis=-1)
        label = tf.gather(tf.constant(list(self.names)), number)
        answers = {"probabilities": outputs, "label_id": number, "label": label}
        if limits is not None:
            answers["threshold"] = keras.ops.ones_like(outputs) * limits
        return answers

    def format_predictions(self, examples: Examples, outputs: np.ndarray) -> Predictions:
        """Returns the label and each probability, for outputs [n c]."""
        limits, chosen = self.limits, self.threshold
        numbers = (outputs if limits is None else outputs - np.array(limits, "f4")).argmax(-1)
        threshold = {"threshold": {chosen["label"]: chosen["value"]}} if chosen else {}
        return [
            {"label": self.names[number], "probabilities": probabilities, **threshold}
            for number, probabilities in zip(numbers, self._probabilities(outputs), strict=True)
        ]


class ChoiceSignature(ServingSignature):
    """The number of the likeliest of an example's own choices, and the probability of each."""

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns `number`, int32 [b], and `probabilities`, [b r], 0 where there is no choice."""
        scores = outputs[..., 0]
        number = keras.ops.cast(keras.ops.argmax(scores, axis=-1), "int32")
        return {"number": number, "probabilities": keras.ops.softmax(scores, axis=-1)}

    def parse(self, answers: Answers) -> list[np.ndarray]:
        return [np.log(np.maximum(each, 1e-30))[:, None] for each in answers["probabilities"]]

    def format_predictions(self, examples: Examples, outputs: Any) -> Predictions:
        return predicted(examples, outputs)
