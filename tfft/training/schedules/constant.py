"""A constant learning rate after the warm-up."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import keras

from tfft.argument_checks.validated import NON_NEGATIVE, validated
from tfft.training.schedules.base import Schedule


@validated(warmup=NON_NEGATIVE)
@dataclasses.dataclass(frozen=True)
class Constant(Schedule):
    """The learning rate stays at its peak.

    Args:
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
    """

    shape: ClassVar[str] = "constant"
    warmup: int | float = 0.1

    def build(
        self, learning_rate: float, steps: int, batches_per_step: int
    ) -> keras.optimizers.schedules.LearningRateSchedule | float:
        """Returns a number where there is no warm-up, so that a callback can change it."""
        if not self.warmup:
            return learning_rate
        return super().build(learning_rate, steps, batches_per_step)
