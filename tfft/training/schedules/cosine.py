"""A learning rate that falls along half a cosine."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from tfft.argument_checks.validated import NON_NEGATIVE, validated
from tfft.training.schedules.base import Schedule


@validated(warmup=NON_NEGATIVE)
@dataclasses.dataclass(frozen=True)
class Cosine(Schedule):
    """The learning rate falls along half a cosine to zero at the end of the stage.

    Args:
      warmup: steps (int) or share of all steps (float below 1) in which the rate rises from zero.
    """

    shape: ClassVar[str] = "cosine"
    warmup: int | float = 0.1
