"""Logistic regression on the outputs of a frozen backbone."""

from __future__ import annotations

import numpy as np
from sklearn.preprocessing import StandardScaler

from tfft.baselines.base import Floor
from tfft.baselines.linear_models import fitted_rows, logistic_regression


def feature_floor(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, classes: int
) -> Floor:
    """Returns a logistic regression on a pretrained body's pooled outputs, its weights frozen.

    The features are scaled to mean 0 and variance 1 on the training split.

    Args:
      train, test: float [n d].
      train_labels: class numbers, int [n].
      classes: how many there are.
    """
    rows = fitted_rows(len(train))
    scaler = StandardScaler().fit(train[rows])
    fitted, tested = scaler.transform(train[rows]), scaler.transform(test)
    outputs = logistic_regression(fitted, train_labels[rows], tested, classes, 1.0)
    return Floor(outputs, {"fitted_on": len(rows), "training_texts": len(train)})
