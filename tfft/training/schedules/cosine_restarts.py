"""Cosines in a row, each from the peak (SGDR)."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfft.argument_checks.validated import NON_NEGATIVE, Range, validated
from tfft.training.schedules.base import Schedule


@validated(cycles=Range(least=2), warmup=NON_NEGATIVE)
@dataclasses.dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Half a cosine several times, each from the peak (Loshchilov and Hutter 2017, SGDR).

    Args:
      cycles: how many cosines.
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
    """

    shape: ClassVar[str] = "restarts"
    cycles: int = 2
    warmup: int | float = 0.1

    def warnings(self, learning_rate: float, steps: int) -> list[str]:
        messages, left = super().warnings(learning_rate, steps), steps - self.warmup_steps(steps)
        if messages or self.cycles * 2 <= left:
            return messages
        return [
            f"cycles={self.cycles} has less than two steps for each cycle: {left} steps "
            "follow the warm-up, and the learning rate does not fall"
        ]
