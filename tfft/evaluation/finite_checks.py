"""Refusal of weights and outputs that are not finite, as a diverged training leaves them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.errors import WorkdirError

VALID = (
    "a run that did not diverge: a lower learning rate or a longer warm-up, float32 in place of "
    "half precision, and another --workdir"
)


def is_finite(value: Any) -> bool:
    """Returns True if all numbers in nested dicts, lists and arrays are finite."""
    if isinstance(value, Mapping):
        return all(map(is_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(is_finite, value))
    array = np.asarray(value)
    if array.dtype.kind in "OSUb":
        return True
    return bool(np.isfinite(array).all())


def refuse_weights(weights: Mapping[str, np.ndarray], where: str) -> None:
    """Raises a WorkdirError if a weight is not finite.

    Args:
      weights: by name.
      where: their file.
    """
    wrong = [name for name, values in weights.items() if not is_finite(values)]
    if wrong:
        raise WorkdirError(
            f"the training diverged: {len(wrong):,} of {len(weights):,} weights in {where} are not "
            f"finite, {wrong[0]} among them.",
            set_in=where,
            valid=VALID,
        )


def refuse_outputs(outputs: Any, what: str) -> None:
    """Raises a WorkdirError if an output is not finite.

    Args:
      outputs: of a model or an export: an array or a list [n ...], or several by name.
      what: the model, for the error.
    """
    columns = outputs.values() if isinstance(outputs, Mapping) else [outputs]
    for column in columns:
        if is_finite(column):
            continue
        if isinstance(column, Mapping):
            return refuse_outputs(column, what)
        wrong = [row for row, value in enumerate(column, 1) if not is_finite(value)]
        raise WorkdirError(
            f"{what} gives outputs that are not finite for {len(wrong):,} of {len(column):,} "
            f"examples, first for example {wrong[0]:,}; the training diverged, or half precision "
            "overflows.",
            valid=VALID,
        )
