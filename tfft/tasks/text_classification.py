"""Text classification: one label out of several for each text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import DataError, near
from tfft.metrics.classification import classification_metrics
from tfft.metrics.floors import text_floors


class TextClassification:
    """A softmax Dense on the body's pooled output, trained with cross-entropy.

    Args:
      labels: the class names in the order of the outputs; None takes those of the training
        split, sorted.
      dropout: share of the pooled features that is dropped in training.
      label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016).
    """

    name = "text_classification"

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
    ):
        self.labels = None if labels is None else tuple(str(label) for label in labels)
        self.dropout = dropout
        self.label_smoothing = label_smoothing

    def with_labels(self, found: Sequence[str]) -> TextClassification:
        """Returns the task for the labels that the training split holds.

        Raises:
          DataError: the data hold a label that `labels` lacks, or one class only.
        """
        labels = self.labels or tuple(sorted(found))
        unknown = sorted(set(found) - set(labels))
        if unknown:
            raise DataError(
                f"the training split has the label {unknown[0]!r}, which is none of the task's.",
                valid=near(unknown[0], labels),
                see="tfft show --gin_file=FILE",
            )
        if len(labels) < 2:
            raise DataError(
                f"there is one class only: {', '.join(labels)}.", valid="two classes or more"
            )
        return type(self)(labels, self.dropout, self.label_smoothing)

    def config(self) -> dict[str, Any]:
        """Returns what makes two tasks the same, JSON-able."""
        return {
            "task": self.name,
            "labels": list(self.labels or ()),
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
        }

    def targets(self, labels: Sequence[str]) -> np.ndarray:
        """Returns the class numbers of label names: int32 [n].

        Raises:
          DataError: a name is none of the task's labels.
        """
        numbers = {name: number for number, name in enumerate(self.labels or ())}
        unknown = [label for label in labels if label not in numbers]
        if unknown:
            raise DataError(
                f"the label {unknown[0]!r} was not in the training data.",
                valid=near(unknown[0], numbers),
            )
        return np.array([numbers[label] for label in labels], np.int32)

    def head(self) -> keras.layers.Layer:
        """Returns the layers from pooled features [b d] to probabilities [b n]."""
        return keras.Sequential(
            [
                keras.layers.Dropout(self.dropout, name="dropout"),
                # float32 whatever the body's precision: a softmax in half precision loses digits.
                keras.layers.Dense(
                    len(self.labels or ()), activation="softmax", dtype="float32", name="softmax"
                ),
            ],
            name="head",
        )

    def loss(self) -> keras.losses.Loss:
        if self.label_smoothing:
            return SmoothedCrossentropy(len(self.labels or ()), self.label_smoothing)
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[Any]:
        return [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]

    def prediction(self, output: np.ndarray) -> dict[str, Any]:
        """Returns what a person reads of one output [n]: the label and each probability."""
        labels = self.labels or ()
        return {
            "label": labels[int(output.argmax())],
            "probabilities": {name: float(p) for name, p in zip(labels, output, strict=True)},
        }

    def serve(self, outputs: Any) -> dict[str, Any]:
        """Returns a served model's answers for outputs [b n], as tensors."""
        number = keras.ops.argmax(outputs, axis=-1)
        names = _constant(self.labels or ())
        return {"probabilities": outputs, "label_id": number, "label": _take(names, number)}

    def evaluate(self, truth: np.ndarray, outputs: np.ndarray) -> dict[str, Any]:
        """Returns all metrics of outputs [n c] against class numbers [n]."""
        return classification_metrics(truth, outputs, self.labels or ())

    def floors(
        self,
        train: tuple[Sequence[str], np.ndarray],
        test: tuple[Sequence[str], np.ndarray],
        say: Callable[[str], None] | None = None,
    ) -> Mapping[str, Any]:
        """Returns the same metrics for models that need no network."""
        return text_floors(*train, *test, self.labels or (), say)


@keras.saving.register_keras_serializable("tfft")
class SmoothedCrossentropy(keras.losses.Loss):
    """Cross-entropy of class numbers with label smoothing."""

    def __init__(self, classes: int, smoothing: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.classes, self.smoothing = classes, smoothing

    def call(self, y_true: Any, y_pred: Any) -> Any:
        target = keras.ops.one_hot(keras.ops.cast(y_true, "int32"), self.classes)
        return keras.losses.categorical_crossentropy(target, y_pred, label_smoothing=self.smoothing)

    def get_config(self) -> dict[str, Any]:
        own = {"classes": self.classes, "smoothing": self.smoothing}
        return {**super().get_config(), **own}


def _constant(names: Sequence[str]) -> Any:
    import tensorflow as tf

    return tf.constant(list(names))


def _take(names: Any, number: Any) -> Any:
    import tensorflow as tf

    return tf.gather(names, number)
