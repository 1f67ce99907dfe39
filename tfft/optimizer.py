"""A stage's optimizer and its schedule: AdamW in one pass over each weight, and any optimizer of
Keras with a rate for each weight.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tfft.errors import ConfigError, near


@keras.saving.register_keras_serializable("tfft")
class AdamW(keras.optimizers.AdamW):
    """Keras' AdamW (Loshchilov and Hutter 2019); same arguments, same variables, same numbers.

    Keras makes a dozen temporary arrays for each weight and step. A weight that the fused operation
    cannot update (half precision, AMSGrad) goes Keras' way.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Updates all variables.

        An embedding's gradient comes as rows, one for each token that was read. Keras clips by the
        norm of these rows, in which a token's second row does not add to its first; here they are
        summed before, so that the norm is the gradient's.
        """
        dense = [tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
        super().apply(dense, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable, of float32 [...], with its gradient of the same shape."""
        fused = isinstance(gradient, tf.Tensor) and not self.amsgrad
        if not fused or variable.dtype != tf.float32 or not hasattr(variable, "handle"):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.constant(self.beta_2, tf.float32), step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    def _apply_weight_decay(self, variables: Any) -> None:
        """Decays as Keras does, with one temporary array a weight instead of two."""
        _decay(self, variables, lambda variable: 1.0)

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        plain = all(isinstance(grad, tf.Tensor) for grad in grads)
        if not self.global_clipnorm or not plain or self.clipnorm:
            return super()._clip_gradients(grads)
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0]


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
        _decay(self, variables, self._factor)

    def _factor(self, variable: Any) -> float:
        return self.factors[self._get_variable_index(variable)]  # type: ignore[attr-defined]


def rated(kind: type) -> type:
    """Returns an optimizer's class with `factors`, to be set once it is built."""
    return type(kind.__name__, (Rated, kind), {"__doc__": kind.__doc__})


def _decay(optimizer: Any, variables: Any, factor: Callable[[Any], float]) -> None:
    """Shrinks weights by the rate times the decay (decoupled: Loshchilov and Hutter 2019)."""
    if optimizer.weight_decay is None:
        return
    share = tf.cast(optimizer.learning_rate, tf.float32) * optimizer.weight_decay

    def decay(variable: Any) -> None:
        if optimizer._use_weight_decay(variable):
            variable.assign_sub(variable * tf.cast(share * factor(variable), variable.dtype))

    def everywhere(distribution: Any, variables: Any) -> None:
        for variable in variables:
            own = variable.value if isinstance(variable, keras.Variable) else variable
            distribution.extended.update(own, decay, group=False)

    tf.__internal__.distribute.interim.maybe_merge_call(
        everywhere, optimizer._distribution_strategy, variables
    )


@keras.saving.register_keras_serializable("tfft")
class WarmupDecay(keras.optimizers.schedules.LearningRateSchedule):
    """A linear warm-up, then a constant rate, a line or half a cosine down to zero.

    The first step has rate `peak / warmup`, not zero, so that no step is lost.

    Args:
      peak: the highest rate.
      total, warmup: in steps of the optimizer.
      shape: "constant", "linear" or "cosine".
      every: batches a step, where gradients are accumulated; Keras counts batches.
    """

    def __init__(
        self, peak: float, total: int, warmup: int = 0, shape: str = "linear", every: int = 1
    ):
        self.peak, self.total, self.warmup, self.shape = peak, total, warmup, shape
        self.every = every

    def __call__(self, step: Any) -> Any:
        step = keras.ops.cast(step // self.every, "float32")
        rising = (step + 1.0) / max(self.warmup, 1)
        done = (step - self.warmup) / max(self.total - self.warmup, 1)
        done = keras.ops.clip(done, 0.0, 1.0)
        falling = {
            "constant": keras.ops.ones_like(done),
            "linear": 1.0 - done,
            "cosine": 0.5 * (1.0 + keras.ops.cos(math.pi * done)),
        }[self.shape]
        return self.peak * keras.ops.where(step < self.warmup, rising, falling)

    def get_config(self) -> dict[str, Any]:
        return {
            "peak": self.peak,
            "total": self.total,
            "warmup": self.warmup,
            "shape": self.shape,
            "every": self.every,
        }


def make_optimizer(stage: Any, total_steps: int) -> Any:
    """Returns the optimizer with its schedule, and with `factors` where rates differ.

    Args:
      stage: a Stage.
      total_steps: batches of the stage.

    Raises:
      ConfigError: Keras has no optimizer of that name.
    """
    known = {
        name.lower(): member
        for name, member in vars(keras.optimizers).items()
        if isinstance(member, type)
        and issubclass(member, keras.optimizers.Optimizer)
        and name not in ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
    } | {"adamw": AdamW}
    if stage.optimizer.lower() not in known:
        raise ConfigError(
            f"Stage.optimizer={stage.optimizer!r} is no optimizer of Keras.",
            valid=near(stage.optimizer, known, 5),
        )
    kind = known[stage.optimizer.lower()]
    if stage.layer_decay != 1.0 or stage.rates:
        kind = rated(kind)
    every = stage.accumulate
    steps = total_steps // every
    return kind(
        learning_rate=WarmupDecay(
            stage.learning_rate, steps, stage.warmup_steps(steps), stage.schedule, every
        ),
        weight_decay=stage.weight_decay or (0.0 if "adamw" in stage.optimizer.lower() else None),
        global_clipnorm=stage.clip_norm,
        gradient_accumulation_steps=every if every > 1 else None,
    )
