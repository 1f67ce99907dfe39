"""A stage's optimizer and its schedule: AdamW in one pass over each weight, and any optimizer of
Keras with a rate for each weight, a pull towards the pretrained ones, and scaled losses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError, near
from tfft.training.learning_rate import WarmupDecay
from tfft.training.weight_averaging import Ema, Swa


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
        return self.factors[self._index(variable)] if self.factors else 1.0

    def _index(self, variable: Any) -> int:
        return self._get_variable_index(variable)  # type: ignore[attr-defined]


class Pulled(Rated):
    """Goes before an optimizer of Keras: weights are pulled towards where they started.

    Before each step w = w - rate * strength * (w - start), the rate being the variable's own: the
    penalty L2-SP (Li et al. 2018), decoupled from gradients and moments as weight decay is
    (Loshchilov and Hutter 2019).
    """

    strength = 0.0
    starts: tuple[Any, ...] = ()  # in the order of the trainable variables; None is not pulled

    def _apply_weight_decay(self, variables: Any) -> None:
        super()._apply_weight_decay(variables)
        _pull(self, variables, self.strength, self._factor, self._way_back)

    def _way_back(self, variable: Any) -> Any:
        start = self.starts[self._index(variable)]
        return None if start is None else variable - start


def extended(kind: type, part: type) -> type:
    """Returns an optimizer's class with one of the parts that go before it."""
    return type(kind.__name__, (part, kind), {"__doc__": kind.__doc__})


def rated(kind: type) -> type:
    """Returns an optimizer's class with `factors`, to be set once it is built."""
    return extended(kind, Rated)


def _decay(optimizer: Any, variables: Any, factor: Callable[[Any], float]) -> None:
    """Shrinks weights by the rate times the decay (decoupled: Loshchilov and Hutter 2019)."""

    def whole(variable: Any) -> Any:
        return variable if optimizer._use_weight_decay(variable) else None

    if optimizer.weight_decay:
        _pull(optimizer, variables, optimizer.weight_decay, factor, whole)


def _pull(
    optimizer: Any,
    variables: Any,
    strength: float,
    factor: Callable[[Any], float],
    distance: Callable[[Any], Any],
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


def make_optimizer(stage: Any, total_steps: int) -> Any:
    """Returns the optimizer with its schedule, and with what the stage wants of it beside.

    In mixed_float16 Keras' `LossScaleOptimizer` goes around it (Micikevicius et al. 2018): it skips
    a step whose gradients are not finite and halves the scale. `compile` would not add it, for the
    policy is the layers', not the model's.

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
    every = stage.accumulate
    steps = total_steps // every
    warmup = stage.warmup_steps(steps)
    kind = known[stage.optimizer.lower()]
    decays = issubclass(kind, keras.optimizers.AdamW)  # it takes no None
    optimizer = _kind(stage, kind)(
        learning_rate=WarmupDecay(
            stage.learning_rate, steps, warmup, stage.schedule, every, stage.cycles
        ),
        weight_decay=stage.weight_decay or (0.0 if decays else None),
        global_clipnorm=stage.clip_norm,
        gradient_accumulation_steps=every if every > 1 else None,
        use_ema=stage.average is not None,
        ema_momentum=stage.ema_momentum,
    )
    if stage.average == "swa":
        optimizer.first_step = math.floor(stage.swa_start * steps)
    if stage.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def _kind(stage: Any, kind: type) -> Any:
    """Returns an optimizer's class with what the stage needs beside it."""
    if stage.l2_sp:
        kind = extended(kind, Pulled)
    elif stage.layer_decay != 1.0 or stage.rates:
        kind = rated(kind)
    return extended(kind, {"ema": Ema, "swa": Swa}[stage.average]) if stage.average else kind


def build_optimizer(
    optimizer: Any,
    stage: Any,
    variables: Mapping[str, Any],
    start: Mapping[str, np.ndarray],
    factors: Mapping[str, float],
) -> None:
    """Builds the optimizer and tells it what it decays, what it pulls where, and at which rate.

    Args:
      optimizer: of `make_optimizer`, compiled.
      stage: the Stage.
      variables: the trained ones by name, in the model's order.
      start: the values that `l2_sp` pulls to.
      factors: of the rates; empty where all are one.
    """
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    pulled = start if stage.l2_sp else {}
    kept = [v for name, v in variables.items() if name in pulled or _undecayed(v)]
    inner.exclude_from_weight_decay(var_list=kept)
    optimizer.build(list(variables.values()))
    if factors:
        inner.factors = tuple(factors[name] for name in variables)
    if stage.l2_sp:
        inner.strength = stage.l2_sp
        inner.starts = tuple(
            tf.constant(pulled[name]) if name in pulled else None for name in variables
        )


def applied_rate(optimizer: Any) -> float:
    """Returns the learning rate of the last step; before the first step that of the first one."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = inner._learning_rate
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return float(inner.learning_rate)
    return float(schedule(max(int(inner._iterations) - 1, 0)))


def _undecayed(variable: Any) -> bool:
    """Says whether a variable is a bias or belongs to a norm."""
    return variable.name in ("bias", "gamma", "beta", "scale") or len(variable.shape) < 2
