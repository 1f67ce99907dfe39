"""Metrics and reports of multi-label classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from tfft.baselines.base import Floor
from tfft.baselines.tfidf_linear import label_floors
from tfft.data.examples import Examples
from tfft.metrics.classification import multi_label
from tfft.tasks.evaluators.base import Evaluator, Log, reported
from tfft.tasks.report_examples import shown_examples


class MultiLabelEvaluator(Evaluator):
    """Evaluates the probabilities of labels, float [n c].

    Args:
      names: of the labels.
      limits: the probability above which each is predicted, float32 [c].
      loss: of the training.
    """

    metrics = reported(
        {
            "micro_f1": "micro F1",
            "macro_f1": "macro F1",
            "average_precision": "PR area",
            "subset_accuracy": "all labels right",
            "hamming_loss": "Hamming loss",
        },
        less_is_better=("hamming_loss",),
    )
    aggregate = "f1"

    def __init__(self, names: Sequence[str], limits: np.ndarray, loss: keras.losses.Loss):
        self.names, self.limits, self._loss = tuple(names), limits, loss

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        truth, predicted = examples.targets == 1, outputs > self.limits
        return multi_label.multi_label_metrics(truth, predicted, outputs, self.names)

    def main_terms(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return multi_label.label_sums(examples.targets == 1, outputs > self.limits)

    def constant_loss(self, targets: np.ndarray) -> float:
        return float(self._loss(targets, np.tile(targets.mean(0), (len(targets), 1))))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        return label_floors(train.inputs, train.targets, test.inputs, log)

    def report_details(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        return {"labels": list(self.names)}

    def report_examples(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the examples with a wrong label, that of the surest first."""
        truth, predicted = examples.targets == 1, outputs > self.limits
        names = np.array(self.names)

        def details(row: int) -> dict[str, Any]:
            sides = {"truth": truth[row], "predicted": predicted[row]}
            return {side: ", ".join(names[has]) or "none" for side, has in sides.items()}

        errors = multi_label.surest_errors(truth, predicted, outputs)
        return shown_examples(examples, errors, details)
