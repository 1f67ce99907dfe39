"""Losses, metrics and small layers of tasks' heads, while a model trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras

from tfft.errors import ConfigError, near


def class_weights(
    wanted: Literal["balanced"] | Mapping[str, float] | None,
    labels: Sequence[str],
    counts: Mapping[str, int] | None,
    where: str = "TextClassification.class_weights",
) -> tuple[float, ...] | None:
    """Returns what an example of each class counts, in the order of the labels.

    Args:
      wanted: "balanced", which needs counts, or weights by label; 1 for a label that is not there.
      labels: of the classes.
      counts: examples of each.
      where: the setting, for an error.

    Raises:
      ConfigError: a name is none of the labels, or a weight is negative.
    """
    if wanted is None or (wanted == "balanced" and counts is None):
        return None
    if isinstance(wanted, str):
        known = counts or {}
        if wanted != "balanced":
            raise ConfigError(f"class_weights={wanted!r} is unknown.", valid='"balanced"')
        total = sum(known.get(name, 0) for name in labels)
        # A class without examples has no weight that would matter.
        return tuple(total / (len(labels) * max(known.get(name, 0), 1)) for name in labels)
    unknown = [name for name in wanted if name not in labels]
    if unknown:
        raise ConfigError(
            f"class_weights has the label {unknown[0]!r}, which is none of the task's.",
            set_in=where,
            valid=near(unknown[0], labels),
        )
    low = [name for name in wanted if wanted[name] < 0]
    if low:
        raise ConfigError(
            f"class_weights has {wanted[low[0]]} for {low[0]!r}.",
            set_in=where,
            valid="0 or more",
        )
    return tuple(float(wanted.get(name, 1.0)) for name in labels)


@keras.saving.register_keras_serializable("tfft")
class Crossentropy(keras.losses.Loss):
    """Cross-entropy of class numbers with label smoothing, focus and class weights.

    Args:
      classes: how many there are.
      smoothing: share of the target spread evenly.
      gamma: of the focal loss.
      weights: what an example of each class counts; the mean is over the examples, as Keras'
        `class_weight` has it.
    """

    def __init__(
        self,
        classes: int,
        smoothing: float = 0.0,
        gamma: float = 0.0,
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.classes, self.smoothing, self.gamma = classes, smoothing, gamma
        self.weights = None if weights is None else list(weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        number = keras.ops.cast(y_true, "int32")
        target = keras.ops.one_hot(number, self.classes)
        if self.gamma:
            found = keras.losses.categorical_focal_crossentropy(
                target, y_pred, alpha=1.0, gamma=self.gamma, label_smoothing=self.smoothing
            )
        else:
            found = keras.losses.categorical_crossentropy(
                target, y_pred, label_smoothing=self.smoothing
            )
        if self.weights is None:
            return found
        return found * keras.ops.take(keras.ops.convert_to_tensor(self.weights), number)

    def get_config(self) -> dict[str, Any]:
        own = {
            "classes": self.classes,
            "smoothing": self.smoothing,
            "gamma": self.gamma,
            "weights": self.weights,
        }
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfft")
class TokenCrossentropy(keras.losses.Loss):
    """Cross-entropy of tokens' class numbers, int [b t], -1 where there is none.

    An example's loss is the sum over its labelled tokens, times examples over labelled tokens in
    the batch, so that the mean over the examples is the one over the tokens.

    Args:
      classes: how many there are.
      smoothing: share of the target spread evenly.
      weights: what a token of each class counts; the mean is over the tokens.
    """

    def __init__(
        self,
        classes: int,
        smoothing: float = 0.0,
        weights: Sequence[float] | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        self.classes, self.smoothing = classes, smoothing
        self.weights = None if weights is None else list(weights)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        number = keras.ops.cast(y_true, "int32")
        labelled = keras.ops.cast(number >= 0, y_pred.dtype)
        number = keras.ops.maximum(number, 0)
        target = keras.ops.one_hot(number, self.classes)
        found = keras.losses.categorical_crossentropy(
            target, y_pred, label_smoothing=self.smoothing
        )
        if self.weights is not None:
            found *= keras.ops.take(keras.ops.convert_to_tensor(self.weights), number)
        count = keras.ops.maximum(keras.ops.sum(labelled), 1.0)
        examples = keras.ops.cast(keras.ops.shape(labelled)[0], y_pred.dtype)
        return keras.ops.sum(found * labelled, axis=-1) * (examples / count)

    def get_config(self) -> dict[str, Any]:
        own = {"classes": self.classes, "smoothing": self.smoothing, "weights": self.weights}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable("tfft")
class ChoiceCrossentropy(keras.losses.Loss):
    """Cross-entropy of a softmax over the rows of an example, from scores [b r 1] and numbers [b].

    A row that is absent has a score so low that its probability is zero.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        number = keras.ops.cast(y_true, "int32")
        scores = keras.ops.cast(y_pred[..., 0], "float32")
        return keras.ops.sparse_categorical_crossentropy(number, scores, from_logits=True)
