"""EMA: a moving average of the weights over the steps."""

from __future__ import annotations

import dataclasses
from typing import Any

import keras

from tfft.argument_checks.validated import FRACTION, validated
from tfft.training.averaging.base import Averaging
from tfft.training.optimizers.decoupled import extended


@validated(momentum=FRACTION)
@dataclasses.dataclass(frozen=True)
class EMA(Averaging):
    """Validates and keeps a moving average over the steps (Polyak and Juditsky 1992).

    Args:
      momentum: the share of the old average after a step.
    """

    momentum: float = 0.99

    def extend_optimizer(self, optimizer_class: type) -> type:
        return extended(optimizer_class, MovingAverage)

    def optimizer_arguments(self) -> dict[str, Any]:
        return {"use_ema": True, "ema_momentum": self.momentum}

    def warnings(self, steps: int, epochs: int) -> list[str]:
        left = self.momentum ** max(steps - 1, 0)
        message = (
            f"EMA keeps {left:.0%} of the weights of the first step: momentum={self.momentum:g} is "
            f"too large for {steps} steps"
        )
        return [message] if left > 0.5 else []


class MovingAverage:
    """Goes before an optimizer of Keras that is made with `use_ema=True`.

    After every step average = momentum * average + (1 - momentum) * weight, from the weights after
    the first step on (Polyak and Juditsky 1992). The averages are the optimizer's variables.
    """

    apart = False  # otherwise Keras puts the averages into the model whenever a `fit` ends

    def build(self, variables: Any) -> None:
        """Makes the optimizer's variables; each average, of a weight's shape, starts as it."""
        if self.built:  # type: ignore[attr-defined]
            return
        super().build(variables)  # type: ignore[misc]
        for variable, average in self.pairs():
            average.assign(variable)

    def pairs(self) -> list[tuple[Any, Any]]:
        """Returns each trained variable with its average; none before there is something in it."""
        own: Any = self
        averages = own._model_variables_moving_average
        return list(zip(own._trainable_variables, averages, strict=True))

    def end_epoch(self) -> None:
        """Every step was averaged: nothing is left to do."""

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Averages after a step; Keras calls it after every batch that a step accumulates."""
        own: Any = self
        update = super()._update_model_variables_moving_average  # type: ignore[misc]
        every = own.gradient_accumulation_steps or 1
        if every == 1:
            update(trainable_variables)
        else:
            last = (own._iterations + 1) % every == 0
            keras.ops.cond(last, lambda: update(trainable_variables), lambda: None)

    def finalize_variable_values(self, var_list: Any) -> None:
        if not self.apart:
            super().finalize_variable_values(var_list)  # type: ignore[misc]
