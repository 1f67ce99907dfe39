"""Answers that are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.signatures.base import Answers, ServingSignature


class NumberSignature(ServingSignature):
    """A number for each example, `value`, float32 [b]."""

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": outputs[:, 0]}

    def parse(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["value"])[:, None]

    def format_predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        return [{"value": float(value)} for value in outputs[:, 0]]
