"""The calibrations of several tasks on one backbone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tfft.errors import DataError
from tfft.tasks.base import needs_fit
from tfft.tasks.calibrations.base import Calibration
from tfft.tasks.multi_task.data import answers_in, shares

if TYPE_CHECKING:
    from tfft.data.examples import Examples
    from tfft.tasks.base import Task


class JointCalibration(Calibration):
    """Fits the values of each task on its own validation examples.

    Args:
      tasks: by name.
    """

    def __init__(self, tasks: Mapping[str, Task]):
        self.tasks = dict(tasks)
        self.fits = any(map(needs_fit, tasks.values()))

    def missing(self, task: Any, answers: Collection[str]) -> list[str]:
        """Returns the tasks without validation examples, and "task/label" of the others."""
        own: dict[str, set[str]] = {name: set() for name in task.tasks}
        for answer in answers:
            for name, value in answers_in(answer, own).items():
                own[name].add(value)
        found = []
        for name, part in task.tasks.items():
            if needs_fit(part):
                missing = part.calibration.missing(part, own[name])
                found += [f"{name}/{each}" if own[name] else name for each in missing]
        return found

    def fit(self, task: Any, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of each task that has some to fit.

        Raises:
          DataError: such a task has no validation example.
        """
        parts = shares(examples, task.tasks)
        fitted = {name: share for name, share in parts.items() if needs_fit(share.task)}
        empty = [name for name, share in fitted.items() if not len(share.rows)]
        if empty:
            raise DataError(
                f"the validation split has no example of {empty[0]!r}, to settle its probabilities "
                "or thresholds on; the training is kept.",
                valid=f"validation examples of {empty[0]!r}, or that task without calibrate and "
                "threshold",
            )
        found = {}
        for name, share in fitted.items():
            assert share.task.calibration is not None
            taken = share.taken(outputs[name])
            found[name] = share.task.calibration.fit(share.task, share.examples, taken)
        return found

    def apply(self, values: Mapping[str, Any], head: Any) -> None:
        for name, task in self.tasks.items():
            if task.calibration is not None:
                task.calibration.apply(values.get(name, {}), head.parts[name])
