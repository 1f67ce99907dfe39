"""Heads: Dense layers on a backbone's outputs, and the units of numbers."""

from __future__ import annotations

from typing import Any

import keras


def dense_head(
    dropout: float, units: int, name: str, *more: keras.layers.Layer, activation: str | None = None
) -> keras.Sequential:
    """Returns a head: Dropout, a Dense, and further layers.

    The Dense is in float32 whatever the body's precision: a softmax in half precision loses digits.

    Args:
      dropout: share of the features that is dropped in training.
      units: of the Dense.
      name: of the Dense.
      more: further layers.
      activation: of the Dense.
    """
    drop = keras.layers.Dropout(dropout, name="dropout")
    dense = keras.layers.Dense(units, activation=activation, dtype="float32", name=name)
    return keras.Sequential([drop, dense, *more], name="head")


@keras.saving.register_keras_serializable("tfft")
class Units(keras.layers.Layer):
    """From numbers at mean 0 and deviation 1 to those of the data; both are weights that stay.

    Args:
      center: the mean.
      scale: the standard deviation.
    """

    def __init__(self, center: float, scale: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.first = (center, scale)

    def get_config(self) -> dict[str, Any]:
        center, scale = map(float, self.first)
        return {**super().get_config(), "center": center, "scale": scale}

    def build(self, input_shape: Any) -> None:
        self.center, self.scale = (
            self.add_weight((), keras.initializers.Constant(value), trainable=False, name=name)
            for name, value in zip(("center", "scale"), self.first, strict=True)
        )

    def call(self, inputs: Any) -> Any:
        return inputs * self.scale + self.center
