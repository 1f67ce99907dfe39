"""What validation data decide after training: temperatures and thresholds."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from tfft.data.examples import Examples
from tfft.tasks.targets.base import Target


class CalibratedTask(Protocol):
    """What a calibration needs to know of a `Task`."""

    @property
    def name(self) -> str: ...

    @property
    def target(self) -> Target: ...


class Calibration:
    """Fits values on the validation split, by which the task then answers.

    Attributes:
      values: what was fit, JSON-able; empty before.
      fits: whether there is something to fit. A calibration without it has values at most, as
        behind an export.
    """

    values: Mapping[str, Any] = {}
    fits: bool = True

    def missing(self, task: CalibratedTask, answers: Collection[str]) -> list[str]:
        """Returns the names of labels or tasks that the validation split has no example of.

        Args:
          task: with its names.
          answers: the distinct answers of the validation split.
        """
        return [] if answers else [task.name]

    def fit(self, task: CalibratedTask, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the values for validation examples and the model's outputs on them."""
        raise NotImplementedError

    def apply(self, values: Mapping[str, Any], head: Any) -> None:
        """Changes the weights of a trained head by the values, in place.

        Args:
          values: of `fit`.
          head: the task's.
        """
