"""What half precision changes in stored features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np


def change(exact: np.ndarray, rounded: np.ndarray) -> dict[str, float]:
    """Returns what rounding changed in one part, for `measured`."""
    difference = exact.astype(np.float32) - rounded.astype(np.float32)
    return {
        "largest": float(np.abs(difference).max(initial=0.0)),
        "squares": float(np.square(difference, dtype=np.float64).sum()),
        "of": float(np.square(exact.astype(np.float32), dtype=np.float64).sum()),
    }


def measured(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Returns what half precision changed: the largest difference and the relative RMS one."""
    squares, of = (sum(part[name] for part in parts) for name in ("squares", "of"))
    return {
        "largest_difference": max(part["largest"] for part in parts),
        "relative_rms_difference": math.sqrt(squares / of) if of else 0.0,
    }
