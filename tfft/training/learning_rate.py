"""The learning rate of each step: warm-up, then decay."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import keras


@keras.saving.register_keras_serializable("tfft")
@dataclasses.dataclass(eq=False)
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant rate, a line or half a cosine down to zero.

    The first step has rate `peak / warmup`, not zero, so that no step is lost. "restarts" is half a
    cosine `cycles` times, each from the peak (Loshchilov and Hutter 2017, SGDR, with T_mult = 1).

    Args:
      peak: the highest rate.
      total, warmup: in steps of the optimizer.
      shape: "constant", "linear", "cosine" or "restarts".
      every: batches a step, where gradients are accumulated; Keras counts batches.
      cycles: how many for "restarts"; else 1.
    """

    peak: float
    total: int
    warmup: int = 0
    shape: str = "linear"
    every: int = 1
    cycles: int = 1

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step // self.every, "float32")
        rising = (step + 1.0) / max(self.warmup, 1)
        # Multiplied first: the quotient is a whole number exactly where a cycle begins.
        done = (step - self.warmup) * self.cycles / max(self.total - self.warmup, 1)
        done = keras.ops.clip(done, 0.0, float(self.cycles))
        if self.cycles > 1:
            done = done - keras.ops.minimum(keras.ops.floor(done), self.cycles - 1.0)
        cosine = 0.5 * (1.0 + keras.ops.cos(math.pi * done))
        falling = {
            "constant": keras.ops.ones_like(done),
            "linear": 1.0 - done,
            "cosine": cosine,
            "restarts": cosine,
        }[self.shape]
        return self.peak * keras.ops.where(step < self.warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return dataclasses.asdict(self)
