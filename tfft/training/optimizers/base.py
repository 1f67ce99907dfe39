"""What every optimizer of a stage has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

LARGE_RATE = 0.1  # above this learning rate most trainings diverge


class Optimizer:
    """Which optimizer of Keras a stage uses, and the learning rate of each layer.

    Attributes:
      keras_class: the class of Keras.
      weight_decay: decoupled decay of all weights but biases and norms.
      global_clipnorm: the largest global norm of a gradient, None for no limit.
      layer_decay: the learning rate of each layer as a share of the one above it.
      learning_rate_multipliers: factors of the learning rate by pattern, on top of `layer_decay`.
      large_rate: a learning rate above this one gets a warning.
    """

    keras_class: ClassVar[Any]
    weight_decay: float
    global_clipnorm: float | None
    layer_decay: float
    learning_rate_multipliers: Mapping[str, float] | None
    large_rate: float = LARGE_RATE

    @property
    def title(self) -> str:
        """The optimizer's name in messages."""
        return type(self).__name__

    def arguments(self) -> dict[str, Any]:
        """Returns the class's further arguments."""
        return {}
