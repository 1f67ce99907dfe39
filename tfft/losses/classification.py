"""Losses of classes: of examples, of tokens and of choices."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import keras

from tfft.errors import ConfigError, near
from tfft.layers.serialization import Configured


def class_weights(
    wanted: Literal["balanced"] | Mapping[str, float] | None,
    labels: Sequence[str],
    counts: Mapping[str, int] | None,
    where: str = "TextClassification.class_weights",
) -> tuple[float, ...] | None:
    """Returns the weight of an example of each class, in the order of the labels.

    Args:
      wanted: "balanced", which needs counts, or weights by label; 1 for a label that is not there.
      labels: of the classes.
      counts: examples of each.
      where: the setting, for an error.

    Raises:
      ConfigError: a name is none of the labels.
    """
    if wanted is None or (wanted == "balanced" and counts is None):
        return None
    if isinstance(wanted, str):
        examples = [(counts or {}).get(name, 0) for name in labels]
        total = sum(examples)
        # A class without examples has no weight that would matter.
        return tuple(total / (len(labels) * max(count, 1)) for count in examples)
    for name in wanted:
        if name not in labels:
            problem = f"class_weights has the label {name!r}, which is none of the task's."
            raise ConfigError(problem, set_in=where, valid=near(name, labels))
    return tuple(float(wanted.get(name, 1.0)) for name in labels)


@keras.saving.register_keras_serializable("tfft")
class Crossentropy(Configured, keras.losses.Loss):
    """Cross-entropy of class numbers with label smoothing, focus and class weights.

    Args:
      classes: how many there are.
      smoothing: share of the target spread evenly.
      gamma: of the focal loss.
      weights: weight of an example of each class; the mean is over the examples, as Keras'
        `class_weight` has it.
    """

    settings = ("classes", "smoothing", "gamma", "weights")

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
        loss: Any = keras.losses.categorical_crossentropy
        if self.gamma:
            focal = keras.losses.categorical_focal_crossentropy
            loss = functools.partial(focal, alpha=1.0, gamma=self.gamma)
        losses = loss(target, y_pred, label_smoothing=self.smoothing)
        if self.weights is None:
            return losses
        return losses * keras.ops.take(keras.ops.convert_to_tensor(self.weights), number)


@keras.saving.register_keras_serializable("tfft")
class TokenCrossentropy(Crossentropy):
    """Cross-entropy of tokens' class numbers, int [b t], -1 where there is none.

    An example's loss is the sum over its labelled tokens, times examples over labelled tokens in
    the batch, so that the mean over the examples is the one over the tokens.

    Args:
      classes, smoothing, gamma: as in `Crossentropy`.
      weights: weight of a token of each class; the mean is over the tokens.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        number = keras.ops.cast(y_true, "int32")
        labelled = keras.ops.cast(number >= 0, y_pred.dtype)
        loss = super().call(keras.ops.maximum(number, 0), y_pred)
        count = keras.ops.maximum(keras.ops.sum(labelled), 1.0)
        examples = keras.ops.cast(keras.ops.shape(labelled)[0], y_pred.dtype)
        return keras.ops.sum(loss * labelled, axis=-1) * (examples / count)


@keras.saving.register_keras_serializable("tfft")
class ChoiceCrossentropy(keras.losses.Loss):
    """Cross-entropy of a softmax over the rows of an example, from scores [b r 1] and numbers [b].

    A row that is absent has a score so low that its probability is zero.
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        number = keras.ops.cast(y_true, "int32")
        scores = keras.ops.cast(y_pred[..., 0], "float32")
        return keras.ops.sparse_categorical_crossentropy(number, scores, from_logits=True)
