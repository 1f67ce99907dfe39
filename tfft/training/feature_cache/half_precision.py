"""What half precision changes in stored features."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from tfft.errors import ConfigError


def change(exact: np.ndarray, rounded: np.ndarray) -> dict[str, float]:
    """Returns what rounding changed in one part, for `measured`.

    Raises:
      ConfigError: a finite number became infinite.
    """
    lost = int((np.isfinite(exact.astype(np.float32)) & ~np.isfinite(rounded)).sum())
    if lost:
        raise ConfigError(
            f"{lost:,} frozen features are above the largest number of {rounded.dtype.name} and "
            "would be stored as infinity.",
            set_in="FeatureCache.dtype",
            valid='FeatureCache.dtype = "float32"',
        )
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
        # Not Python's `max`, which drops NaN or keeps it by the order of the parts.
        "largest_difference": float(np.max([part["largest"] for part in parts])),
        "relative_rms_difference": math.sqrt(squares / of) if of else 0.0,
    }
