"""Mixtures of pairs of examples."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Blend(keras.layers.Layer):
    """Mixes the pooled features [b d] of a batch with those of its partners in training."""

    def __init__(self, **kwargs: Any):
        super().__init__(**kwargs)
        self.share: Any = None
        self.partners: Any = None

    def call(self, pooled: Any, training: bool | None = None) -> Any:
        if not training or self.share is None:
            return pooled
        share = tf.cast(self.share, pooled.dtype)
        return share * pooled + (1 - share) * tf.gather(pooled, self.partners)
