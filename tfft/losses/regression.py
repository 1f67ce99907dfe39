"""The loss of numbers."""

from __future__ import annotations

from typing import Any

import keras

from tfft.layers.serialization import Configured


@keras.saving.register_keras_serializable("tfft")
class StandardizedError(Configured, keras.losses.Loss):
    """The error of numbers [b 1] in standard deviations: squared, or Huber's.

    Args:
      kind: "mse" or "huber" (Huber, 1964).
      delta: the deviations above which Huber's counts an error linearly.
      scale: the standard deviation.
    """

    settings = ("kind", "delta", "scale")

    def __init__(self, kind: str, delta: float, scale: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.kind, self.delta, self.scale = kind, delta, scale

    def call(self, y_true: Any, y_pred: Any) -> Any:
        values = (keras.ops.cast(y, "float32") / self.scale for y in (y_true, y_pred))
        if self.kind == "huber":
            return keras.losses.huber(*values, delta=self.delta)
        return keras.losses.mean_squared_error(*values)
