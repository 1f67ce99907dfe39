"""What all schedules share: the warm-up, and the place of the peak."""

from __future__ import annotations

from typing import ClassVar

import keras

from tfft.errors import ConfigError
from tfft.training.learning_rate import WarmupDecay


class Schedule:
    """The learning rate of each step, from the stage's `learning_rate`, its peak.

    Attributes:
      shape: what `WarmupDecay` does after the warm-up.
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
      cycles: how often it falls from the peak.
    """

    shape: ClassVar[str] = "constant"
    warmup: int | float = 0
    cycles: int = 1

    def __post_init__(self) -> None:
        if isinstance(self.warmup, float) and self.warmup >= 1:
            name = type(self).__name__
            raise ConfigError(
                f"{name}.warmup must be a number of steps (int) or a share of the steps (float "
                f"below 1). Received: warmup={self.warmup}.",
                set_in=f"{name}.warmup",
                valid=f"{round(self.warmup)} for steps, or 0.1 for a tenth of the steps",
            )

    def warmup_steps(self, steps: int) -> int:
        """Returns how many of a stage's optimizer steps belong to the warm-up."""
        return self.warmup if isinstance(self.warmup, int) else round(self.warmup * steps)

    def build(
        self, learning_rate: float, steps: int, batches_per_step: int
    ) -> keras.optimizers.schedules.LearningRateSchedule | float:
        """Returns the schedule for Keras.

        Args:
          learning_rate: the peak.
          steps: of the optimizer, in the whole stage.
          batches_per_step: batches whose gradients make one step; Keras counts batches.
        """
        warmup = self.warmup_steps(steps)
        return WarmupDecay(learning_rate, steps, warmup, self.shape, batches_per_step, self.cycles)

    def warnings(self, learning_rate: float, steps: int) -> list[str]:
        """Returns a message for each setting that has no effect in a stage of `steps` steps."""
        warmup = self.warmup_steps(steps)
        if warmup < steps or (warmup, steps) == (1, 1):
            return []
        return [
            f"the warm-up of {warmup:,} steps does not end before the last of {steps:,} steps: the "
            f"learning rate reaches {learning_rate * steps / warmup:.3g} of {learning_rate:.3g}"
        ]
