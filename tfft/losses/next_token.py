"""The loss of the next token."""

from __future__ import annotations

from typing import Any

import keras

from tfft.layers.serialization import Configured


@keras.saving.register_keras_serializable("tfft")
class NextTokenLoss(Configured, keras.losses.Loss):
    """Cross-entropy of the next tokens, int [b t], -1 where there is none, from logits [b t v].

    As in `TokenCrossentropy` the mean over the examples is the one over the tokens.

    Args:
      smoothing: share of the target that is spread evenly over the vocabulary.
    """

    settings = ("smoothing",)

    def __init__(self, smoothing: float = 0.0, **kwargs: Any):
        super().__init__(**kwargs)
        self.smoothing = smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        number = ops.cast(y_true, "int32")
        there = ops.cast(number >= 0, "float32")
        total = ops.logsumexp(y_pred, axis=-1)
        right = ops.take_along_axis(y_pred, ops.maximum(number, 0)[..., None], axis=-1)[..., 0]
        loss = total - right
        if self.smoothing:
            spread = total - ops.mean(y_pred, axis=-1)
            loss = (1 - self.smoothing) * loss + self.smoothing * spread
        examples = ops.cast(ops.shape(there)[0], "float32")
        return ops.sum(loss * there, axis=-1) * (examples / ops.maximum(ops.sum(there), 1.0))
