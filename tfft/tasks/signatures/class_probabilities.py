"""Answers that are class names with probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class ClassSignature(ServingSignature):
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
        super().__init__(task)
        self.names, self.limits, self.threshold = task.target.names or (), limits, threshold

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
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

    def parse(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def format_predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        """Returns the label and each probability, for outputs [n c]."""
        limits, found = self.limits, self.threshold
        numbers = (outputs if limits is None else outputs - np.array(limits, "f4")).argmax(-1)
        more = {"threshold": {found["label"]: found["value"]}} if found else {}
        return [
            {
                "label": self.names[number],
                "probabilities": {n: float(p) for n, p in zip(self.names, row, strict=True)},
                **more,
            }
            for number, row in zip(numbers, outputs, strict=True)
        ]
