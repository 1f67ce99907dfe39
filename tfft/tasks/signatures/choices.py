"""Answers that are one of an example's own choices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.evaluators.multiple_choice import predicted
from tfft.tasks.signatures.base import Answers, ServingSignature


class ChoiceSignature(ServingSignature):
    """The number of the likeliest choice, and the probability of each."""

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `number`, int32 [b], and `probabilities`, [b r], 0 where there is no choice."""
        scores = outputs[..., 0]
        number = keras.ops.cast(keras.ops.argmax(scores, axis=-1), "int32")
        return {"number": number, "probabilities": keras.ops.softmax(scores, axis=-1)}

    def parse(self, answers: Answers) -> list[np.ndarray]:
        return [np.log(np.maximum(each, 1e-30))[:, None] for each in answers["probabilities"]]

    def format_predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        return predicted(examples, outputs)
