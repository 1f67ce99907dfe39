"""The loss of masked tokens."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfft.layers.vocabulary_head import VocabularyHead


class HiddenCrossentropy(keras.losses.Loss):
    """Cross-entropy of hidden tokens.

    The targets are int32 [b t 2], of which the first number is the hidden token's id, -1 where
    nothing is hidden. An example's loss is the sum over its hidden tokens, times examples over
    hidden tokens in the batch, so that the mean over the examples is the one over the tokens.

    Args:
      head: a `VocabularyHead`, which gave the vectors [b t e].
    """

    def __init__(self, head: VocabularyHead, **kwargs: Any):
        super().__init__(**kwargs)
        self.head = head

    def call(self, y_true: Any, y_pred: Any) -> Any:
        truth = tf.cast(y_true, tf.int32)[:, :, 0]
        places = tf.where(truth >= 0)
        scores = self.head.scores(tf.gather_nd(y_pred, places))
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.gather_nd(truth, places), scores)
        examples = tf.shape(truth)[0]
        scale = tf.cast(examples, tf.float32) / tf.maximum(tf.cast(tf.size(loss), tf.float32), 1.0)
        return tf.math.unsorted_segment_sum(loss, places[:, 0], examples) * scale
