"""Masks of classes: terms of each image for the mean intersection over union and for Dice."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def mask_terms(
    predicted: Iterable[np.ndarray], true: Iterable[np.ndarray], classes: int
) -> dict[str, np.ndarray]:
    """Returns the terms of the aggregates "mean_iou" and "dice", pixels of each class: int [n c].

    Both are means over classes of sums over all images, of the classes that occur.

    Args:
      predicted, true: class numbers, int [h w] of each image. Pixels with a true number that
        is not one of a class, such as 255, do not count.
      classes: how many there are, c.
    """
    rows = []
    for mask, reference in zip(predicted, true, strict=True):
        one, other = np.asarray(mask), np.asarray(reference)
        valid = (other >= 0) & (other < classes)
        one, other = one[valid], other[valid]
        parts = (one[one == other], one, other)
        rows.append([np.bincount(part, minlength=classes) for part in parts])
    return dict(zip(("hits", "predicted", "true"), np.moveaxis(np.array(rows), 1, 0), strict=True))
