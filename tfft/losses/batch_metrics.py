"""Keras metrics that are computed batch by batch while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras


@keras.saving.register_keras_serializable("tfft")
class TokenAccuracy(keras.metrics.Mean):
    """The share of labelled tokens, int [b t] with -1 elsewhere, with the right class."""

    _direction = "up"  # a larger value is better: as in Keras' own metrics

    def __init__(self, name: str = "accuracy", **kwargs: Any):
        super().__init__(name=name, **kwargs)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        number = keras.ops.cast(y_true, "int32")
        right = keras.ops.cast(keras.ops.argmax(y_pred, axis=-1), "int32") == number
        weight = keras.ops.cast(number >= 0, "float32")
        if sample_weight is not None:
            weight *= keras.ops.reshape(keras.ops.cast(sample_weight, "float32"), (-1, 1))
        return super().update_state(keras.ops.cast(right, "float32"), weight)


@keras.saving.register_keras_serializable("tfft")
class MacroF1(keras.metrics.F1Score):
    """The mean of the classes' F1, from class numbers [b] and probabilities [b n]."""

    def __init__(self, classes: int, name: str = "macro_f1", **kwargs: Any):
        super().__init__(average="macro", name=name, **kwargs)
        self.classes = classes

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        target = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), self.classes)
        best = keras.ops.one_hot(keras.ops.argmax(y_pred, axis=-1), self.classes)
        return super().update_state(target, best, sample_weight)

    def get_config(self) -> dict[str, Any]:
        return {"classes": self.classes, "name": self.name}


@keras.saving.register_keras_serializable("tfft")
class ChoiceAccuracy(keras.metrics.Mean):
    """How often the right row has the highest score, from scores [b r 1] and numbers [b]."""

    _direction = "up"  # a larger value is better: as in Keras' own metrics

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        best = keras.ops.argmax(y_pred[..., 0], axis=-1)
        right = keras.ops.equal(best, keras.ops.cast(y_true, best.dtype))
        return super().update_state(keras.ops.cast(right, "float32"), sample_weight)


def class_metrics(names: Sequence[str], classes: int) -> list[keras.metrics.Metric]:
    """Returns metrics of class probabilities by name: "accuracy" and "macro_f1"."""
    builders = {
        "accuracy": lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
        "macro_f1": lambda: MacroF1(classes),
    }
    return [builders[name]() for name in names]
