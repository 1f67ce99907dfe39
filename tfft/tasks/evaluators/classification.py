"""Metrics and reports of classification: one class of several, or any number of labels."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.baselines.base import Floor
from tfft.baselines.frozen_features import feature_floor
from tfft.baselines.tfidf_linear import label_floors
from tfft.data.examples import Examples
from tfft.metrics.classification import class_metrics, multi_label
from tfft.metrics.classification.roc_and_pr_curves import ranking
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, reported
from tfft.tasks.report_examples import shown_examples, text_of

MOST_PAIRS = 100  # kinds of mistakes that a report keeps
Baselines = Callable[[Examples, Examples, int, Log], Floors]


class ClassificationEvaluator(Evaluator):
    """Evaluates probabilities of classes, float [n c].

    Args:
      names: of the classes.
      loss: of the training.
      limits: the probability above which each class is predicted; None predicts the likeliest.
      baselines: from training and test examples, the number of classes and a log to the outputs of
        models that need no network.
      describe: from examples and the number of one to its inputs, as a report shows them.
    """

    metrics = reported(
        {
            "accuracy": "accuracy",
            "macro_f1": "macro F1",
            "weighted_f1": "weighted F1",
            "matthews_correlation": "Matthews",
            "roc_auc": "ROC area",
            "average_precision": "PR area",
            "log_loss": "log loss",
            "brier_score": "Brier",
            "expected_calibration_error": "calibration error",
        },
        less_is_better=("log_loss", "brier_score", "expected_calibration_error"),
    )

    def __init__(
        self,
        names: Sequence[str],
        loss: Callable[[], keras.losses.Loss],
        limits: Sequence[float] | None = None,
        baselines: Baselines = lambda train, test, classes, log: {},
        describe: Callable[[Examples, int], dict[str, Any]] = text_of,
    ):
        self.names, self.limits = tuple(names), limits
        self._loss, self._baselines, self._describe = loss, baselines, describe

    def predicted_classes(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the class numbers of outputs [n c]: int [n]."""
        limits = self.limits
        return (outputs if limits is None else outputs - np.array(limits, np.float32)).argmax(-1)

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> Details:
        """Returns what `classification_metrics` does of outputs [n c]."""
        truth, predicted = examples.targets, self.predicted_classes(outputs)
        return class_metrics.classification_metrics(truth, outputs, self.names, predicted)

    def main_terms(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        """Returns whether each prediction is right, as `score`."""
        return {"score": (self.predicted_classes(outputs) == examples.targets).astype(float)}

    def constant_loss(self, targets: np.ndarray) -> float:
        """Returns the training loss of the shares of the classes for every example."""
        shares = np.bincount(targets, minlength=len(self.names)) / len(targets)
        classes = np.flatnonzero(shares)
        constant = np.tile(shares.astype(np.float32), (len(classes), 1))
        weights = shares[classes] * len(classes)  # the loss is a mean over the classes
        return float(self._loss()(classes, constant, sample_weight=weights))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        return self._baselines(train, test, len(self.names), log)

    def frozen_feature_baseline(
        self, train: np.ndarray, targets: np.ndarray, test: np.ndarray
    ) -> Floor:
        return feature_floor(train, targets, test, len(self.names))

    def slices(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by class."""
        return {"class": [self.names[number] for number in examples.targets]}

    def report_details(self, examples: Examples, outputs: np.ndarray) -> Details:
        """Returns `labels`, `ranking` (see there), and `confusions`, the most frequent first."""
        truth, names = examples.targets, self.names
        matrix = np.zeros((len(names), len(names)), int)
        np.add.at(matrix, (truth, self.predicted_classes(outputs)), 1)
        return {
            "labels": list(names),
            "ranking": ranking(truth, outputs, names),
            "confusions": class_metrics.confusions(matrix.tolist(), names)[:MOST_PAIRS],
        }

    def report_examples(self, examples: Examples, outputs: np.ndarray) -> Details:
        """Returns the mistakes of which the model was surest, and what it was least certain of.

        The latter are the examples with the smallest margin between the two likeliest classes.
        """
        truth, predicted = examples.targets, self.predicted_classes(outputs)
        wrong = np.flatnonzero(predicted != truth)
        surest = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")]
        two = np.partition(outputs, -2, axis=-1)[:, -2:]
        margins = np.abs(two[:, 1] - two[:, 0])

        def details(row: int) -> Mapping[str, Any]:
            return {
                **self._describe(examples, row),
                "truth": self.names[truth[row]],
                "predicted": self.names[predicted[row]],
                "probability": float(outputs[row, predicted[row]]),
                "probability_of_truth": float(outputs[row, truth[row]]),
                "margin": float(margins[row]),
            }

        return shown_examples(examples, surest, details, np.argsort(margins, kind="stable"))


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

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> Details:
        truth, predicted = examples.targets == 1, outputs > self.limits
        return multi_label.multi_label_metrics(truth, predicted, outputs, self.names)

    def main_terms(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return multi_label.label_sums(examples.targets == 1, outputs > self.limits)

    def constant_loss(self, targets: np.ndarray) -> float:
        return float(self._loss(targets, np.tile(targets.mean(0), (len(targets), 1))))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        return label_floors(train.inputs, train.targets, test.inputs, log)

    def report_details(self, examples: Examples, outputs: np.ndarray) -> Details:
        return {"labels": list(self.names)}

    def report_examples(self, examples: Examples, outputs: np.ndarray) -> Details:
        """Returns the examples with a wrong label, that of the surest first."""
        truth, predicted = examples.targets == 1, outputs > self.limits
        names, sides = np.array(self.names), {"truth": truth, "predicted": predicted}

        def details(row: int) -> Details:
            return {side: ", ".join(names[has[row]]) or "none" for side, has in sides.items()}

        errors = multi_label.surest_errors(truth, predicted, outputs)
        return shown_examples(examples, errors, details)
