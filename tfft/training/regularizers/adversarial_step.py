"""Adversarial training: a second pass where the loss is highest nearby."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, ClassVar

import tensorflow as tf

from tfft.argument_checks.validated import POSITIVE, validated
from tfft.training.regularizers.base import Gradients, Regularizer, StepState


@validated(length=POSITIVE)
@dataclasses.dataclass(frozen=True)
class AdversarialStep(Regularizer):
    """Adds the loss at a shift of what the trained part reads (FGM: Miyato et al. 2017).

    Each example is shifted in the direction that raises the loss most. A step takes twice the time.

    Args:
      length: of the shift, an example; 1 is usual.
    """

    order: ClassVar[int] = 1  # after noise: the shift starts from what is read
    length: float = 1.0

    def on_hidden(self, step: StepState, hidden: Any, padding_mask: Any) -> Any:
        shift = step.values.get("adversarial_shift")
        if shift is not None:
            return hidden + shift
        step.watch("adversarial", hidden)
        return hidden

    def gradients(self, step: StepState, compute: Callable[[], Gradients]) -> Gradients:
        first = compute()
        shift = tf.stop_gradient(_unit(first.watched["adversarial"]) * self.length)
        step.values["adversarial_shift"] = shift
        weights = list(map(_sum, first.weights, compute().weights))
        return dataclasses.replace(first, weights=weights)


def _unit(gradient: Any) -> Any:
    """Returns an example's gradient, [b ...], at length one."""
    axes = list(range(1, gradient.shape.rank))
    squares = tf.reduce_sum(tf.square(gradient), axis=axes, keepdims=True)
    return gradient * tf.math.rsqrt(tf.maximum(squares, 1e-30))


def _sum(one: Any, two: Any) -> Any:
    """Returns the sum of two gradients; None stands for zero."""
    if one is None or two is None:
        return two if one is None else one
    return tf.convert_to_tensor(one) + tf.convert_to_tensor(two)
