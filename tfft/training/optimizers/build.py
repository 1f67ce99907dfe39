"""A stage's optimizer for Keras, with its schedule and what regularizers and averages add to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfft.training.optimizers.decoupled import rated


def make_optimizer(stage: Any, total_steps: int) -> Any:
    """Returns the optimizer with its schedule, and with what the stage adds to it.

    In mixed_float16 Keras' `LossScaleOptimizer` goes around it (Micikevicius et al. 2018): it skips
    a step whose gradients are not finite and halves the scale. `compile` would not add it, for the
    policy is the layers', not the model's.

    Args:
      stage: a Stage.
      total_steps: batches of the stage.
    """
    config, every = stage.optimizer, stage.batching.gradient_accumulation_steps
    steps = total_steps // every
    kind = config.keras_class
    decays = issubclass(kind, keras.optimizers.AdamW)  # it takes no None
    if config.layer_decay != 1.0 or config.learning_rate_multipliers:
        kind = rated(kind)
    for part in (*stage.regularizers, *stage.averaging):
        kind = part.extend_optimizer(kind)
    further = [config.arguments(), *(part.optimizer_arguments() for part in stage.averaging)]
    optimizer = kind(
        learning_rate=stage.schedule.build(stage.learning_rate, steps, every),
        weight_decay=config.weight_decay or (0.0 if decays else None),
        global_clipnorm=config.global_clipnorm,
        gradient_accumulation_steps=every if every > 1 else None,
        **{name: value for part in further for name, value in part.items()},
    )
    for part in stage.averaging:
        part.configure_optimizer(optimizer, steps)
    if stage.execution.dtype_policy == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def build_optimizer(
    optimizer: Any,
    stage: Any,
    variables: Mapping[str, Any],
    start: Mapping[str, np.ndarray],
    factors: Mapping[str, float],
) -> None:
    """Builds the optimizer and sets which weights decay, and the learning rate of each.

    Args:
      optimizer: of `make_optimizer`, compiled.
      stage: the Stage.
      variables: the trained ones by name, in the model's order.
      start: the pretrained values of the trained ones of the backbone.
      factors: of the learning rates; empty where all are one.
    """
    inner: Any = getattr(optimizer, "inner_optimizer", optimizer)
    pulled: frozenset[str] = frozenset()
    for regularizer in stage.regularizers:
        pulled |= regularizer.configure_optimizer(inner, variables, start)
    undecayed = [v for name, v in variables.items() if name in pulled or _is_undecayed(v)]
    inner.exclude_from_weight_decay(var_list=undecayed)
    optimizer.build(list(variables.values()))
    if factors:
        inner.factors = tuple(factors[name] for name in variables)


def applied_rate(optimizer: Any) -> float:
    """Returns the learning rate of the last step; before the first step that of the first one."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    schedule = inner._learning_rate
    if not isinstance(schedule, keras.optimizers.schedules.LearningRateSchedule):
        return float(inner.learning_rate)
    return float(schedule(max(int(inner._iterations) - 1, 0)))


def _is_undecayed(variable: Any) -> bool:
    """Returns True for a bias and for a variable of a norm."""
    return variable.name in ("bias", "gamma", "beta", "scale") or len(variable.shape) < 2
