"""The temperature and the thresholds of probabilities of classes and labels."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.metrics.classification.temperature_scaling import fit_temperature, with_temperature
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.calibrations.base import CalibratedTask, Calibration


class ClassProbabilities(Calibration):
    """Divides logits by a temperature, and chooses the threshold of one of two classes.

    Args:
      temperature: whether one is fit (Guo et al., 2017).
      threshold: what the threshold of a class is chosen for; None chooses none.
    """

    def __init__(self, temperature: bool, threshold: Threshold | None):
        self.temperature, self.threshold = temperature, threshold
        self.fits = bool(temperature or threshold)

    def missing(self, task: CalibratedTask, answers: Collection[str]) -> list[str]:
        """Returns the label whose threshold is chosen if no validation example has it."""
        if self.threshold and answers:
            label = self.threshold.label_of(task.target.names or ())
            return [] if label in answers else [label]
        return super().missing(task, answers)

    def fit(self, task: CalibratedTask, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns `temperature` and `threshold` for validation data.

        Args:
          task: with its names.
          examples: with their targets.
          outputs: probabilities, float [n c].
        """
        values: dict[str, Any] = {}
        truth = examples.targets
        if self.temperature:
            values["temperature"] = fit_temperature(truth, outputs)
            outputs = with_temperature(outputs, values["temperature"])
        if self.threshold:
            values["threshold"] = self.threshold.settle(truth, outputs, task.target.names or ())
        return values

    def apply(self, values: Mapping[str, Any], head: Any) -> None:
        """Divides the logits by the temperature, in the weights of the head's Dense."""
        if temperature := values.get("temperature"):
            for variable in head.layers[-1].weights:
                variable.assign(variable / temperature)

    def limits(self, names: Sequence[str]) -> tuple[float, ...] | None:
        """Returns the probability above which each class is predicted; None without a threshold."""
        chosen = self.values.get("threshold")
        if not chosen:
            return None
        value = chosen["value"]
        return tuple(value if name == chosen["label"] else 1 - value for name in names)


class LabelThresholds(Calibration):
    """Chooses the probability above which each label of a multi-label task is predicted.

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
        chosen = [self.threshold.choose(truth, scores) for truth, scores in columns]
        return {"thresholds": dict(zip(task.target.names or (), chosen, strict=True))}

    def limits(self, names: Sequence[str]) -> np.ndarray:
        """Returns the probability above which each label is predicted, float32 [c]."""
        chosen = self.values.get("thresholds", {})
        return np.array([chosen.get(name, {"value": 0.5})["value"] for name in names], "f4")
