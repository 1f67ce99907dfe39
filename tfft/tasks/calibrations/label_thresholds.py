"""A threshold for each label of a multi-label task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.calibrations.base import CalibratedTask, Calibration


class LabelThresholds(Calibration):
    """Chooses the probability above which each label is predicted.

    Args:
      threshold: what it is chosen for; None takes 0.5.
    """

    def __init__(self, threshold: Threshold | None):
        self.threshold = threshold
        self.fits = threshold is not None

    def fit(self, task: CalibratedTask, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the threshold of each label, in their order.

        Args:
          task: with its names.
          examples: with their targets, [n c].
          outputs: probabilities, float [n c].
        """
        assert self.threshold is not None
        columns = zip(examples.targets.T == 1, outputs.T, strict=True)
        found = [self.threshold.choose(truth, scores) for truth, scores in columns]
        return {"thresholds": dict(zip(task.target.names or (), found, strict=True))}

    def limits(self, names: Sequence[str]) -> np.ndarray:
        """Returns the probability above which each label is predicted, float32 [c]."""
        chosen = self.values.get("thresholds", {})
        return np.array([chosen.get(name, {"value": 0.5})["value"] for name in names], "f4")
