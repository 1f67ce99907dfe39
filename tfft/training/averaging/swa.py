"""SWA: the mean of the weights at the ends of epochs."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, ClassVar

from tfft.argument_checks.validated import FRACTION, validated
from tfft.training.averaging.base import Averaging
from tfft.training.averaging.ema import MovingAverage
from tfft.training.optimizers.decoupled import extended


@validated(start=FRACTION)
@dataclasses.dataclass(frozen=True)
class SWA(Averaging):
    """Validates and keeps the mean over the ends of epochs (Izmailov et al. 2018).

    Args:
      start: the share of the steps after which epochs count.
    """

    needs_train_loop: ClassVar[bool] = True
    start: float = 0.5

    def extend_optimizer(self, optimizer_class: type) -> type:
        return extended(optimizer_class, EpochMean)

    def optimizer_arguments(self) -> dict[str, Any]:
        return {"use_ema": True}

    def configure_optimizer(self, optimizer: Any, steps: int) -> None:
        optimizer.first_step = math.floor(self.start * steps)

    def warnings(self, steps: int, epochs: int) -> list[str]:
        first = math.floor(self.start * steps)
        message = (
            f"SWA averages one epoch: start={self.start:g} leaves out those that end in the first "
            f"{first} of {steps} steps"
        )
        return [message] if first >= (epochs - 1) * steps / epochs else []


class EpochMean(MovingAverage):
    """The mean of the weights at the ends of epochs, after `first_step` (Izmailov et al. 2018)."""

    first_step = 0

    def build(self, variables: Any) -> None:
        """Makes the optimizer's variables and the number of epochs in the mean, int32 []."""
        if self.built:  # type: ignore[attr-defined]
            return
        self.count: Any = self.add_variable((), dtype="int32", name="count")  # type: ignore[attr-defined]
        super().build(variables)

    def pairs(self) -> list[tuple[Any, Any]]:
        return super().pairs() if int(self.count) else []

    def end_epoch(self) -> None:
        """Takes the weights into the mean: (n * mean + weight) / (n + 1)."""
        if int(self.iterations) <= self.first_step:  # type: ignore[attr-defined]
            return
        before = float(self.count)
        self.count.assign_add(1)
        for variable, mean in self.pairs():
            mean.assign((before * mean + variable) / (before + 1.0))

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Keras' hook for every step."""
