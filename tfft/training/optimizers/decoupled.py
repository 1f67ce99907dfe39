"""Changes of weights beside an optimizer's own step, and a learning rate for each weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

Factor = Callable[[Any], float]  # of a variable's learning rate


class Rated:
    """Goes before an optimizer of Keras: the learning rate times a factor for each variable.

    What the optimizer makes of the rate (its schedule, clipping, moments) stays as it is, and
    `learning_rate` is the rate of a variable with factor 1. Keras' `MultiOptimizer` keeps
    optimizers side by side instead, clips their gradients apart and has no `learning_rate`. A saved
    model holds the optimizer without the factors.
    """

    factors: tuple[float, ...] = ()  # in the order of the trainable variables

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable at its own rate."""
        own = learning_rate * self._factor(variable)
        super().update_step(gradient, variable, own)  # type: ignore[misc]

    def _apply_weight_decay(self, variables: Any) -> None:
        decay(self, variables, self._factor)

    def _factor(self, variable: Any) -> float:
        return self.factors[self._index(variable)] if self.factors else 1.0

    def _index(self, variable: Any) -> int:
        return self._get_variable_index(variable)  # type: ignore[attr-defined]


def extended(kind: type, part: type) -> type:
    """Returns an optimizer's class with one of the parts that go before it."""
    return type(kind.__name__, (part, kind), {"__doc__": kind.__doc__})


def rated(kind: type) -> type:
    """Returns an optimizer's class with `factors`, to be set once it is built."""
    return extended(kind, Rated)


def decay(optimizer: Any, variables: Any, factor: Factor) -> None:
    """Shrinks weights by the rate times the decay (decoupled: Loshchilov and Hutter 2019)."""

    def decayed(variable: Any) -> Any:
        return variable if optimizer._use_weight_decay(variable) else None

    if optimizer.weight_decay:
        pull_towards(optimizer, variables, optimizer.weight_decay, factor, decayed)


def pull_towards(
    optimizer: Any, variables: Any, strength: float, factor: Factor, distance: Callable[[Any], Any]
) -> None:
    """Subtracts from each weight the rate times the strength of its distance, where it has one."""
    share = tf.cast(optimizer.learning_rate, tf.float32) * strength

    def pull(variable: Any) -> None:
        away = distance(variable)
        if away is not None:
            variable.assign_sub(away * tf.cast(share * factor(variable), variable.dtype))

    def everywhere(distribution: Any, variables: Any) -> None:
        for variable in variables:
            own = variable.value if isinstance(variable, keras.Variable) else variable
            distribution.extended.update(own, pull, group=False)

    tf.__internal__.distribute.interim.maybe_merge_call(
        everywhere, optimizer._distribution_strategy, variables
    )
