"""Metrics and reports of regression: a number for each example."""

from __future__ import annotations

import keras
import numpy as np

from tfft.baselines.tfidf_linear import ridge_floors
from tfft.data.examples import Examples
from tfft.metrics import regression
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples


class RegressionEvaluator(Evaluator):
    """Evaluates numbers, float [n 1].

    Args:
      loss: of the training.
      center: the mean of the training answers.
    """

    metrics = reported(
        {
            "pearson": "Pearson",
            "spearman": "Spearman",
            "mae": "mean absolute error",
            "rmse": "root mean squared error",
        },
        less_is_better=("mae", "rmse"),
    )
    aggregate = "pearson"

    def __init__(self, loss: keras.losses.Loss, center: float):
        self._loss, self.center = loss, center

    def terms(self, examples: Examples, outputs: np.ndarray) -> Terms:
        return regression.measures(examples.targets[:, 0], outputs[:, 0])

    def constant_loss(self, targets: np.ndarray) -> float:
        return float(self._loss(targets, np.full_like(targets, self.center)))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the mean of the training answers, and ridge regression on TF-IDF."""
        return ridge_floors(train.inputs, train.targets, test.inputs, log)

    def report_examples(self, examples: Examples, outputs: np.ndarray) -> Details:
        """Returns the examples with the largest errors."""
        truth, predicted = examples.targets[:, 0], outputs[:, 0]
        worst = np.argsort(-np.abs(predicted - truth), kind="stable")

        def details(row: int) -> Details:
            return {"truth": f"{truth[row]:.4g}", "predicted": f"{predicted[row]:.4g}"}

        return shown_examples(examples, worst, details)
