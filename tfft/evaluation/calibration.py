"""From a model's outputs to answers: temperature and threshold, settled on validation data.

What was settled lies beside the best weights; `tfft.runs.restore` gives it to the task and the
head.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfft.errors import ConfigError
from tfft.metrics.classification.temperature_scaling import calibration_figures, with_temperature
from tfft.tasks.base import needs_fit


def check(task: Any, source: Any) -> None:
    """Refuses a decision that has no data to be made on.

    Raises:
      ConfigError: there is no validation split, or it has no example of a task or a label that the
        decision needs.
    """
    if not needs_fit(task):
        return
    known = "validation" in source.splits
    missing = task.calibration.missing(task, source.label_counts("validation") if known else ())
    names = ", ".join(map(repr, missing))
    if not known:
        raise ConfigError(
            f"calibrate and threshold of {names} are settled on validation data, and there is no "
            "such split.",
            valid="a validation split, such as files.validation_share = 0.1",
            see="tfft show --gin_file=FILE",
        )
    if missing:
        raise ConfigError(
            f"the validation split has no example of {names}, on which a temperature or a "
            "threshold is settled.",
            set_in="calibrate, threshold or null_threshold of the task",
            valid=f"validation examples of {names}, or a task without these arguments",
            see="tfft show --gin_file=FILE",
        )


def described(found: dict[str, Any] | None, truth: np.ndarray, outputs: np.ndarray) -> Any:
    """Returns what the report says of a decision: `temperature` and `threshold`, where there are.

    Args:
      found: the decision.
      truth: class numbers of the held-out split, int [n].
      outputs: of the calibrated model, float [n c].
    """
    content: dict[str, Any] = {}
    if found and "temperature" in found:
        before = with_temperature(outputs, 1 / found["temperature"])
        content["temperature"] = {
            "value": found["temperature"],
            "before": calibration_figures(truth, before),
            "after": calibration_figures(truth, outputs),
        }
    if found and "threshold" in found:
        content["threshold"] = found["threshold"]
    return content
