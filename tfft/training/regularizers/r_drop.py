"""R-Drop: two passes with different dropout that must agree."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tfft.argument_checks.validated import POSITIVE, validated
from tfft.errors import ConfigError
from tfft.training.regularizers.base import Forward, Regularizer, StepState


@validated(alpha=POSITIVE)
@dataclasses.dataclass(frozen=True)
class RDrop(Regularizer):
    """The mean loss of two passes, plus a penalty for different outputs (Liang et al. 2021).

    Each pass has dropout of its own. A step takes twice the time.

    Args:
      alpha: of the penalty, the symmetric Kullback-Leibler divergence of the outputs. 1 to 5 is
        usual.
    """

    alpha: float = 1.0

    def check(self, stage: Any, task: Any, backbone: Any) -> None:
        if not task.target.is_distribution:
            raise _unfit(
                f"RDrop of stage {stage.name!r} needs outputs that are a distribution over "
                f"classes, and {task.name} has none."
            )

    def loss(self, step: StepState, forward: Forward) -> tuple[Any, Any]:
        loss, outputs = forward()
        if isinstance(outputs, dict):
            names = ", ".join(outputs)
            raise _unfit(f"RDrop compares one output, and the model has several: {names}.")
        other, again = forward()
        loss = (loss + other) / 2
        return loss + self.alpha * divergence(outputs, again), outputs


def _unfit(problem: str) -> ConfigError:
    valid = "Stage.regularizers without @RDrop()"
    return ConfigError(problem, set_in="Stage.regularizers", valid=valid)


def divergence(p: Any, q: Any) -> Any:
    """Returns half of KL(p, q) + KL(q, p), the mean over all but the last axis, [... n]."""
    low = keras.config.epsilon()
    logs = keras.ops.log(keras.ops.maximum(p, low)) - keras.ops.log(keras.ops.maximum(q, low))
    return keras.ops.mean(keras.ops.sum((p - q) * logs, axis=-1)) / 2
