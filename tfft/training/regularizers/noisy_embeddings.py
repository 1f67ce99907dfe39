"""NEFTune: noise in the inputs of the trained part."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfft.argument_checks.validated import POSITIVE, validated
from tfft.training.regularizers.base import Regularizer, StepState


@validated(alpha=POSITIVE)
@dataclasses.dataclass(frozen=True)
class NoisyEmbeddings(Regularizer):
    """Adds uniform noise to what the trained part reads (NEFTune: Jain et al. 2024).

    The noise is between -1 and 1 times alpha / sqrt(tokens * features). Inputs without a padding
    mask have it over the root of all values of an example.

    Args:
      alpha: 5 to 15 is usual.
    """

    alpha: float = 5.0

    def on_hidden(self, step: StepState, hidden: Any, padding_mask: Any) -> Any:
        noise = tf.random.stateless_uniform(tf.shape(hidden), step.seed, -1.0, 1.0)
        if padding_mask is None:
            size = tf.cast(tf.reduce_prod(tf.shape(hidden)[1:]), tf.float32)
        else:
            tokens = tf.reduce_sum(tf.cast(padding_mask > 0, tf.float32), axis=1)[:, None, None]
            tokens = tf.maximum(tokens, 1.0)  # a window that is padding has none
            size = tokens * tf.cast(tf.shape(hidden)[-1], tf.float32)
        return hidden + tf.cast(noise * self.alpha * tf.math.rsqrt(size), hidden.dtype)
