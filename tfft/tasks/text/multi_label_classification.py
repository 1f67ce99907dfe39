"""Multi-label classification: any number of labels for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import FILLED, FRACTION, NAMED, validated
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.layers.heads import dense_head
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.base import Task, config_of
from tfft.tasks.calibrations.class_probabilities import LabelThresholds
from tfft.tasks.evaluators.classification import MultiLabelEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.class_probabilities import LabelSignature
from tfft.tasks.targets.labels import LabelSets


@validated(labels=NAMED, separator=FILLED, dropout=FRACTION)
class MultiLabelClassification(Task):
    """A sigmoid for each label on the backbone's pooled output, trained with binary cross-entropy.

    Args:
      labels: the names in the order of the outputs; None takes those of the training split, sorted.
        Answers that are lists of 0 and 1 need them, in the order of the lists.
      separator: between the labels of an answer that is a string; a list in JSON needs none. None
        detects it among `|`, `;` and `,` if all answers agree.
      dropout: share of the pooled features that is dropped in training.
      threshold: above which probability a label is predicted: chosen for each label on the
        validation split, `f1()` or `recall_at_precision(0.9)`; None takes 0.5.
    """

    name: ClassVar[str] = "multi_label_classification"
    _answer_arguments = ("separator",)
    target: LabelSets = LabelSets()
    calibration: LabelThresholds

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        separator: str | None = None,
        dropout: float = 0.1,
        threshold: Threshold | None = None,
    ):
        if separator is not None and not separator.strip(" "):
            raise ConfigError(
                f"MultiLabelClassification.separator={separator!r} is empty.",
                valid='a character that no label holds, such as "|"; None detects it',
            )
        self.target = LabelSets(None if labels is None else tuple(labels), separator)
        self.dropout, self.calibration = dropout, LabelThresholds(threshold)

    def encode_targets(self, examples: Examples) -> np.ndarray:
        """Returns 1 at the labels of each answer, float32 [n c]."""
        return self.target.indicators(examples.answers)

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        names = self.target.names or ()
        return dense_head(self.dropout, len(names), "sigmoid", activation="sigmoid")

    def build_loss(self, head: keras.layers.Layer) -> keras.losses.Loss:
        return keras.losses.BinaryCrossentropy()

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.F1Score("micro", threshold=0.5, name="micro_f1")]

    def build_evaluator(self) -> MultiLabelEvaluator:
        limits, loss = self._limits(), keras.losses.BinaryCrossentropy()
        return MultiLabelEvaluator(self.target.names or (), limits, loss)

    def build_signatures(self) -> Signatures:
        return {DEFAULT: LabelSignature(self, self._limits())}

    def _limits(self) -> np.ndarray:
        return self.calibration.limits(self.target.names or ())

    def get_config(self) -> dict[str, Any]:
        threshold = self.calibration.threshold and repr(self.calibration.threshold)
        return config_of(self, separator=self.target.separator, threshold=threshold)
