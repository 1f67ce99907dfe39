"""Calibration: how far probabilities are from the shares of right predictions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tfft.metrics.confidence_intervals import share_interval

BINS = 15


def reliability(truth: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> dict[str, Any]:
    """Returns the expected calibration error and the bins of a reliability plot.

    Guo, Pleiss, Sun and Weinberger, 2017: the predictions are sorted into bins of equal width by
    the probability of the predicted class (the confidence); the error is the mean distance between
    a bin's accuracy and its mean confidence, weighted by the number of examples in it.

    A finite number of examples gives an error above zero even when every probability is right.
    `error_by_chance` says how much: the mean and the 95th percentile of what a perfectly
    calibrated model with these very probabilities would show, by the normal approximation of the
    number of hits in each bin.

    Args:
      truth: class numbers, int [n].
      probabilities: float [n c].
      bins: of equal width from 0 to 1.

    Returns:
      `error`; `error_by_chance` with `mean` and `high`; mean `confidence` and `accuracy`;
      `bins`: those that are not empty, with `low` and `high` (exclusive and inclusive bounds),
      `texts`, mean `confidence` and `accuracy` with its Wilson interval.
    """
    confidence = probabilities.max(-1).astype(float)
    right = probabilities.argmax(-1) == truth
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    hits = np.bincount(place, right, bins)
    sure = np.bincount(place, confidence, bins)
    variance = np.bincount(place, confidence * (1 - confidence), bins)
    # The distance of a bin is then |N(0, v)|, with mean sqrt(2 v / pi), variance v (1 - 2 / pi).
    mean = math.sqrt(2 / math.pi) * np.sqrt(variance).sum() / len(truth)
    spread = math.sqrt(variance.sum() * (1 - 2 / math.pi)) / len(truth)
    return {
        "error": float(np.abs(hits - sure).sum() / len(truth)),
        "error_by_chance": {"mean": float(mean), "high": float(mean + 1.645 * spread)},
        "confidence": float(confidence.mean()),
        "accuracy": float(right.mean()),
        "bins": [
            {
                "low": number / bins,
                "high": (number + 1) / bins,
                "texts": int(counts[number]),
                "confidence": float(sure[number] / counts[number]),
                "accuracy": share_interval(int(hits[number]), int(counts[number])),
            }
            for number in np.flatnonzero(counts)
        ],
    }


def told(calibration: dict[str, Any]) -> str:
    """Returns a summary of the calibration in one sentence."""
    error, chance = calibration["error"], calibration["error_by_chance"]["high"]
    figures = f"expected calibration error {error:.3f}"
    by_chance = f"chance alone gives up to {chance:.3f} on as many texts"
    if error <= chance:
        return f"Probabilities can be taken at their word: {figures}, and {by_chance}."
    gap = calibration["confidence"] - calibration["accuracy"]
    if abs(gap) < error / 2:
        return f"Probabilities are off, in both directions: {figures}; {by_chance}."
    kind = "too sure" if gap > 0 else "not sure enough"
    return (
        f"The model is {kind}: its mean probability is {calibration['confidence']:.3f} and its "
        f"accuracy {calibration['accuracy']:.3f}; {figures}, {by_chance}."
    )
