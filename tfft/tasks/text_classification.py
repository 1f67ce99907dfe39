"""Text classification: one label out of several for each text."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import keras
import numpy as np

from tfft.errors import ConfigError, DataError, near
from tfft.losses import Crossentropy, MacroF1, class_weights
from tfft.metrics.classification import classification_metrics
from tfft.metrics.floors import text_floors


class TextClassification:
    """A softmax Dense on the body's pooled output, trained with cross-entropy.

    Args:
      labels: the class names in the order of the outputs; None takes those of the training
        split, sorted.
      dropout: share of the pooled features that is dropped in training.
      label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016).
      focal_gamma: how much less an example counts the surer the model is of its class; 0 counts
        all alike, 2 is usual (focal loss: Lin et al., 2017).
      class_weights: what an example counts by its class's name; "balanced" gives each class the
        same sum, n / (classes * examples of the class).
      metrics: shown after each epoch, and what `Stage.monitor` can watch.
    """

    name = "text_classification"

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Literal["balanced"] | Mapping[str, float] | None = None,
        metrics: Sequence[Literal["accuracy", "macro_f1"]] = ("accuracy",),
    ):
        self.labels = None if labels is None else tuple(str(label) for label in labels)
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = class_weights
        self.shown = tuple(metrics)
        self.weights: tuple[float, ...] | None = None

    def with_labels(
        self, found: Sequence[str], counts: Mapping[str, int] | None = None
    ) -> TextClassification:
        """Returns the task for the labels that the training split holds.

        Args:
          found: the labels.
          counts: how many training examples have each, for "balanced".

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
        task = copy.copy(self)
        task.labels = labels
        task.weights = class_weights(self.class_weights, labels, counts)
        return task

    def config(self) -> dict[str, Any]:
        """Returns what makes two tasks the same, JSON-able."""
        return {
            "task": self.name,
            "labels": list(self.labels or ()),
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "focal_gamma": self.focal_gamma,
            "class_weights": self.class_weights,
            "metrics": list(self.shown),
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
        if self.class_weights == "balanced" and self.weights is None:
            raise ConfigError(
                'class_weights="balanced" needs to know how frequent the classes are.',
                valid="tfft.train, or a number for each class",
            )
        if self.label_smoothing or self.focal_gamma or self.weights:
            classes = len(self.labels or ())
            return Crossentropy(classes, self.label_smoothing, self.focal_gamma, self.weights)
        return keras.losses.SparseCategoricalCrossentropy()

    def metrics(self) -> list[Any]:
        makers = {
            "accuracy": lambda: keras.metrics.SparseCategoricalAccuracy(name="accuracy"),
            "macro_f1": lambda: MacroF1(len(self.labels or ())),
        }
        unknown = [name for name in self.shown if name not in makers]
        if unknown:
            raise ConfigError(
                f"{unknown[0]!r} is no metric of {self.name}.", valid=near(unknown[0], makers)
            )
        return [makers[name]() for name in self.shown]

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


def _constant(names: Sequence[str]) -> Any:
    import tensorflow as tf

    return tf.constant(list(names))


def _take(names: Any, number: Any) -> Any:
    import tensorflow as tf

    return tf.gather(names, number)
