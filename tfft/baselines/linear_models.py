"""Linear models of scikit-learn, fitted within limits of rows and weights."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

MOST_TEXTS = 100_000
MOST_WEIGHTS = 4_000_000  # of the logistic regression: features times classes


def fitted_rows(count: int, most: int | None = None) -> np.ndarray:
    """Returns the rows to fit on: all, or `most` at random, ascending."""
    most = MOST_TEXTS if most is None else most
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


def logistic_regression(
    train: Any, labels: np.ndarray, test: Any, classes: int, inverse_penalty: float
) -> np.ndarray:
    """Returns a fitted model's probabilities of the test rows, float [n c]."""
    present = np.unique(labels)
    probabilities = np.zeros((test.shape[0], classes))
    if len(present) == 1:  # one class alone: the baseline is the majority
        probabilities[:, present] = 1.0
    else:
        model = LogisticRegression(C=inverse_penalty, max_iter=1000).fit(train, labels)
        probabilities[:, model.classes_] = model.predict_proba(test)
    return probabilities
