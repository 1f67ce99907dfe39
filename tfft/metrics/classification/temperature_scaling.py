"""Calibration by one number: the temperature that all logits are divided by."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from tfft.metrics.classification.reliability import reliability

LIMITS = (0.05, 20.0)  # beyond them, log loss hardly changes
SMALLEST = 1e-30  # a probability of zero in float32 has no logarithm


def fit_temperature(truth: np.ndarray, probabilities: np.ndarray) -> float:
    """Returns the temperature with the lowest log loss (Guo et al., 2017).

    Log loss is convex in its inverse, so there is one best value; it is sought between 0.05 and 20.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
    """
    logits, rows = _logits(probabilities), np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=-1)[rows, truth].mean()

    best = minimize_scalar(loss, bounds=np.log(LIMITS), method="bounded", options={"xatol": 1e-6})
    return float(np.exp(best.x))


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the probabilities of the logits divided by `temperature`: float64 [n c]."""
    return softmax(_logits(probabilities) / temperature, axis=-1)


def calibration_figures(truth: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Returns `log_loss` and the `expected_calibration_error` of probabilities [n c].

    See `reliability` for the error.
    """
    return {
        "log_loss": float(-_logits(probabilities)[np.arange(len(truth)), truth].mean()),
        "expected_calibration_error": reliability(truth, probabilities)["error"],
    }


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Returns logarithms, which are logits but for a constant in each row: float64 [n c]."""
    exact = np.maximum(np.asarray(probabilities, np.float64), SMALLEST)
    return np.log(exact / exact.sum(-1, keepdims=True))
