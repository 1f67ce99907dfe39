"""Answers that are sets of labels with probabilities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class LabelSignature(ServingSignature):
    """The labels of each example, and the probability of every label.

    Args:
      task: with its names.
      limits: the probability above which each label is predicted, float32 [c].
    """

    def __init__(self, task: ServedTask, limits: np.ndarray):
        super().__init__(task)
        self.names, self.limits = task.target.names or (), limits

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `probabilities` and, as 0 and 1, which labels are predicted, [b c] both."""
        predicted = keras.ops.cast(outputs > self.limits, "int32")
        return {"probabilities": outputs, "given": predicted}

    def parse(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def format_predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        names = np.array(self.names)
        rows = zip(outputs > self.limits, outputs.tolist(), strict=True)
        return [
            {
                "labels": names[predicted].tolist(),
                "probabilities": dict(zip(self.names, row, strict=True)),
            }
            for predicted, row in rows
        ]
