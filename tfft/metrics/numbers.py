"""Numbers as answers: how they read, and figures of those that a model gives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata

from tfft.errors import DataError


def read(answers: Sequence[str]) -> np.ndarray:
    """Returns answers as float32 [n].

    Raises:
      DataError: one is no number, or none that is finite.
    """
    try:
        values = np.array([float(answer) for answer in answers], np.float32)
    except ValueError as error:
        wrong = str(error).rpartition(": ")[2]
        raise DataError(f"the answer {wrong} is no number.", valid="a number") from error
    if not np.isfinite(values).all():
        wrong = answers[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise DataError(f"the answer {wrong!r} is no finite number.", valid="a number")
    return values


def correlations(truth: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Returns the measure and the sums of Pearson's and Spearman's correlation.

    Args:
      truth, found: float [n] each, by any scale.
    """
    plain = {"x": truth.astype(float), "y": found.astype(float)}
    ranks = {"x": rankdata(truth), "y": rankdata(found)}
    return {"pearson": ("pearson", plain), "spearman": ("pearson", ranks)}


def measures(truth: np.ndarray, found: np.ndarray) -> dict[str, Any]:
    """Returns what `correlations` does, and the same of the mean errors, absolute and squared."""
    error = found - truth
    return {
        **correlations(truth, found),
        "mae": ("mean", {"score": np.abs(error)}),
        "rmse": ("root_mean", {"score": error**2}),
    }
