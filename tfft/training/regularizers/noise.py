"""Noise in what the trained part reads."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class Entrance(keras.layers.Layer):
    """What the trained part of a model reads: [b t d], [b d] or [b ...], shifted in training.

    Args:
      noise: alpha of NEFTune.
    """

    def __init__(self, noise: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.noise = noise
        self.seed: Any = None  # int32 [2], while a step is traced
        self.tape: Any = None
        self.seen: Any = None
        self.shift: Any = None

    def call(self, hidden: Any, padding_mask: Any = None, training: bool | None = None) -> Any:
        if not training or self.seed is None:
            return hidden
        if self.noise:
            hidden = hidden + self._uniform(hidden, padding_mask)
        if self.tape is not None:
            self.tape.watch(hidden)
            self.seen = hidden
        return hidden if self.shift is None else hidden + self.shift

    def _uniform(self, hidden: Any, padding_mask: Any) -> Any:
        """Returns noise between -1 and 1 times alpha / sqrt(tokens * features).

        Without a mask it is over the root of all values of an example.
        """
        noise = tf.random.stateless_uniform(tf.shape(hidden), self.seed, -1.0, 1.0)
        size = tf.cast(tf.shape(hidden)[-1], tf.float32)
        if padding_mask is None:
            size = tf.cast(tf.reduce_prod(tf.shape(hidden)[1:]), tf.float32)
            return tf.cast(noise * self.noise * tf.math.rsqrt(size), hidden.dtype)
        tokens = tf.reduce_sum(tf.cast(padding_mask > 0, tf.float32), axis=1)[:, None, None]
        tokens = tf.maximum(tokens, 1.0)  # a window that is padding has none
        return tf.cast(noise * self.noise * tf.math.rsqrt(tokens * size), hidden.dtype)
