"""The calibrations of several tasks on one backbone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from tfft.errors import DataError
from tfft.tasks.base import needs_fit
from tfft.tasks.calibrations.base import Calibration
from tfft.tasks.multi_task.data import counts_by_task, shares

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
        own = counts_by_task(task.tasks, dict.fromkeys(answers, 1))
        return [
            f"{name}/{missing}" if own[name] else name
            for name, part in task.tasks.items()
            if needs_fit(part)
            for missing in part.calibration.missing(part, own[name])
        ]

    def fit(self, task: Any, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the values of each task that has some to fit.

        Raises:
          DataError: such a task has no validation example.
        """
        values = {}
        for name, share in shares(examples, task.tasks).items():
            if not needs_fit(share.task):
                continue
            if not len(share.rows):
                raise DataError(
                    f"the validation split has no example of {name!r}, to settle its probabilities "
                    "or thresholds on; the training is kept.",
                    valid=f"validation examples of {name!r}, or that task without calibrate and "
                    "threshold",
                )
            own, calibration = share.taken(outputs[name]), share.task.calibration
            assert calibration is not None
            values[name] = calibration.fit(share.task, share.examples, own)
        return values

    def apply(self, values: Mapping[str, Any], head: Any) -> None:
        for name, task in self.tasks.items():
            if task.calibration is not None:
                task.calibration.apply(values.get(name, {}), head.parts[name])
