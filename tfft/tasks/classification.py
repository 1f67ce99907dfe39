"""One label out of several for each example, whatever an example is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Self

import keras
import numpy as np

from tfft.argument_checks.validated import DISTINCT, FRACTION, NAMED, NON_NEGATIVE, validated
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.layers.heads import dense_head
from tfft.losses.batch_metrics import class_metrics
from tfft.losses.classification import Crossentropy, class_weights
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.base import Task, config_of
from tfft.tasks.calibrations.class_probabilities import ClassProbabilities
from tfft.tasks.evaluators.base import Floors, Log
from tfft.tasks.evaluators.classification import ClassificationEvaluator
from tfft.tasks.report_examples import text_of
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.class_probabilities import ClassSignature
from tfft.tasks.targets.base import Counts
from tfft.tasks.targets.labels import ClassLabels


@validated(
    labels=NAMED,
    dropout=FRACTION,
    label_smoothing=FRACTION,
    focal_gamma=NON_NEGATIVE,
    class_weights=NON_NEGATIVE,
    metrics=DISTINCT,
)
class Classification(Task):
    """A softmax Dense on the backbone's pooled output, trained with cross-entropy.

    Args:
      labels: the class names in the order of the outputs; None takes those of the training
        split, sorted.
      dropout: share of the pooled features that is dropped in training.
      label_smoothing: share of the target spread evenly over all classes (Szegedy et al., 2016).
      focal_gamma: how much less an example counts the surer the model is of its class; 0 counts
        all alike, 2 is usual (focal loss: Lin et al., 2017).
      class_weights: what an example counts by its class's name; "balanced" gives each class the
        same sum, n / (classes * examples of the class).
      metrics: computed after each epoch, and what `EarlyStopping.monitor` can watch.
      calibrate: divides the logits by a temperature that is fitted on the validation split, in the
        model and in its exports (Guo et al., 2017).
      threshold: of two classes, chosen on the validation split: `f1()`, `recall_at_precision(0.9)`;
        None gives the more probable class.
    """

    target: ClassLabels = ClassLabels()
    calibration: ClassProbabilities

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        class_weights: Literal["balanced"] | Mapping[str, float] | None = None,
        metrics: Sequence[Literal["accuracy", "macro_f1"]] = ("accuracy",),
        calibrate: bool = False,
        threshold: Threshold | None = None,
    ):
        self.target = ClassLabels(None if labels is None else tuple(map(str, labels)))
        self.dropout = dropout
        self.label_smoothing = label_smoothing
        self.focal_gamma = focal_gamma
        self.class_weights = class_weights
        self.metric_names = tuple(metrics)
        self.weights: tuple[float, ...] | None = None
        self.calibration = ClassProbabilities(calibrate, threshold)

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the task for the classes of the training split, with the weight of each.

        Raises:
          DataError: the data have a label that `labels` lacks, or one class only.
        """
        task = super().with_training_answers(counts)
        names = task.target.names or ()
        if self.calibration.threshold:
            self.calibration.threshold.check(names)
        task.weights = class_weights(self.class_weights, names, counts)
        return task

    def encode_targets(self, examples: Examples) -> np.ndarray:
        """Returns class numbers, int32 [n]."""
        return self.target.numbers(examples.answers or ())

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        """Returns the layers from pooled features [b d] to probabilities [b n]."""
        return dense_head(
            self.dropout, len(self.target.names or ()), "softmax", activation="softmax"
        )

    def build_loss(self, head: keras.layers.Layer | None = None) -> keras.losses.Loss:
        if self.class_weights == "balanced" and self.weights is None:
            raise ConfigError(
                'class_weights="balanced" needs to know how frequent the classes are.',
                valid="tfft.train, or a number for each class",
            )
        if self.label_smoothing or self.focal_gamma or self.weights:
            classes = len(self.target.names or ())
            return Crossentropy(classes, self.label_smoothing, self.focal_gamma, self.weights)
        return keras.losses.SparseCategoricalCrossentropy()

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return class_metrics(self.metric_names, len(self.target.names or ()))

    def build_evaluator(self) -> ClassificationEvaluator:
        names = self.target.names or ()
        limits = self.calibration.limits(names)
        return ClassificationEvaluator(
            names, self.build_loss, limits, self._baselines, self._describe
        )

    def build_signatures(self) -> Signatures:
        limits = self.calibration.limits(self.target.names or ())
        threshold = self.calibration.values.get("threshold")
        return {DEFAULT: ClassSignature(self, limits, threshold)}

    def get_config(self) -> dict[str, Any]:
        threshold = self.calibration.threshold
        config = config_of(
            self,
            labels=list(self.target.names or ()),
            metrics=list(self.metric_names),
            calibrate=self.calibration.temperature,
            threshold=threshold and dataclasses.asdict(threshold),
        )
        return {k: v for k, v in config.items() if v or k not in ("calibrate", "threshold")}

    def _baselines(self, train: Examples, test: Examples, classes: int, log: Log) -> Floors:
        """Returns the outputs of models that need no network."""
        return {}

    def _describe(self, examples: Examples, row: int) -> dict[str, Any]:
        """Returns an example's inputs as a report shows them."""
        return text_of(examples, row)
