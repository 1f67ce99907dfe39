"""AdamW, the usual optimizer for fine-tuning."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

from tfft.argument_checks.validated import NON_NEGATIVE, Range, each, validated
from tfft.training.optimizers.base import Optimizer
from tfft.training.optimizers.fused_adamw import FusedAdamW


@validated(
    **each("weight_decay layer_decay learning_rate_multipliers", NON_NEGATIVE),
    global_clipnorm=Range(above=0),
)
@dataclasses.dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    Args:
      weight_decay: decoupled decay of all weights but biases and norms.
      global_clipnorm: the largest global norm of a gradient, None for no limit.
      layer_decay: the learning rate of each layer as a share of the one above it, the head's being
        the stage's (Clark et al. 2020, ELECTRA; 0.9 to 0.95 is usual for fine-tuning).
      learning_rate_multipliers: factors of the learning rate for patterns as in `Stage.freeze`, on
        top of `layer_decay`.
    """

    keras_class: ClassVar[Any] = FusedAdamW
    weight_decay: float = 0.01
    global_clipnorm: float | None = 1.0
    layer_decay: float = 1.0
    learning_rate_multipliers: Mapping[str, float] | None = None
