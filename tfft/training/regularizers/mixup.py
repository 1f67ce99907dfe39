"""Mixup: features and targets of pairs of examples, mixed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfft.argument_checks.validated import POSITIVE, validated
from tfft.errors import ConfigError
from tfft.layers.instances import average_of
from tfft.training.regularizers.base import Regularizer, StepState


@validated(alpha=POSITIVE)
@dataclasses.dataclass(frozen=True)
class Mixup(Regularizer):
    """Mixes the pooled features of a batch with those of its examples in another order.

    The share is drawn once a batch from Beta(alpha, alpha) (Zhang et al. 2018); pooled features are
    mixed, as in Verma et al. (2019). The loss is the same mix of the losses for both targets.

    Args:
      alpha: of the distribution. Small numbers mix little; 0.2 to 0.4 is usual.
    """

    alpha: float = 0.2

    def check(self, stage: Any, task: Any, backbone: Any) -> None:
        average = average_of(backbone)
        if average not in ("probabilities", "each") and backbone.pools:
            return
        why = "this task reads none of whole texts."
        if average == "probabilities":
            why = 'window_average="probabilities" has none of whole texts.'
        raise ConfigError(
            f"Mixup of stage {stage.name!r} mixes the features of two texts, and {why}",
            set_in="Stage.regularizers",
            valid='window_average="features", or no Mixup',
            see="docs/long_texts.md",
        )

    def begin_step(self, step: StepState) -> None:
        # Gamma(a) / (Gamma(a) + Gamma(a)) is Beta(a, a).
        one, two = tf.unstack(tf.random.stateless_gamma([2], step.seed, self.alpha))
        size, seed = tf.shape(tf.nest.flatten(step.targets)[0])[0], step.seed + [0, 1 << 30]
        partners = tf.argsort(tf.random.stateless_uniform([size], seed))
        step.values["mixup"] = one / tf.maximum(one + two, 1e-30), partners

    def on_pooled(self, step: StepState, pooled: Any) -> Any:
        share, partners = step.values["mixup"]
        share = tf.cast(share, pooled.dtype)
        return share * pooled + (1 - share) * tf.gather(pooled, partners)

    def target_loss(self, step: StepState, loss_of: Callable[[Any], Any], targets: Any) -> Any:
        share, partners = step.values["mixup"]
        others = tf.nest.map_structure(lambda each: tf.gather(each, partners), targets)
        return share * loss_of(targets) + (1 - share) * loss_of(others)
