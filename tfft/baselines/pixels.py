"""Baselines of images: the most frequent class, and logistic regression on pixels."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tfft.baselines.base import Floor, Say
from tfft.baselines.linear_models import fitted_rows, logistic_regression

SIDE = 8  # pixels, to which images are averaged
MOST_IMAGES = 20_000


def pixel_floors(
    train: Any, targets: np.ndarray, test: Any, classes: int, say: Say = None
) -> dict[str, Floor]:
    """Returns two baselines on the test images.

    `majority` answers with the shares of the classes. `pixels_logistic_regression` is a logistic
    regression on images averaged to 8 x 8 pixels of three channels, fitted on at most 20,000 of
    the training images, chosen at random. Both are deterministic.

    Args:
      train, test: `Ragged`, a row an image, uint8 [h w c].
      targets: class numbers, int [n].
      classes: how many there are.
      say: gets a line with what was fitted and how long it took.
    """
    count, began = len(train.lengths), time.monotonic()
    shares = np.bincount(targets, minlength=classes) / count
    rows = fitted_rows(count, MOST_IMAGES)
    seen, unseen = small(train, rows), small(test, np.arange(len(test.lengths)))
    outputs = logistic_regression(seen, targets[rows], unseen, classes, 1.0)
    details = {"fitted_on": len(rows), "training_texts": count, "features": seen.shape[1]}
    if say:
        say(
            f"floor: {SIDE} x {SIDE} pixels with logistic regression on {len(rows):,} of {count:,} "
            f"training images, in {time.monotonic() - began:.1f} s"
        )
    return {
        "majority": Floor(np.tile(shares, (len(unseen), 1))),
        "pixels_logistic_regression": Floor(outputs, details),
    }


def small(images: Any, rows: np.ndarray) -> np.ndarray:
    """Returns images averaged to 8 x 8 pixels, 0 to 1, in a row each: float64 [len(rows) s*s*c]."""
    height, width = images.value_shape[:2]
    bands = [np.arange(side) * SIDE // side for side in (height, width)]
    # A picture with fewer pixels than that has fewer features.
    means = [np.equal.outer(np.unique(band), band) for band in bands]
    down, across = (mean / mean.sum(1, keepdims=True) for mean in means)
    parts = [
        np.einsum("yh,nhwc,xw->nyxc", down, images.first(part) / 255.0, across, optimize=True)
        for part in np.array_split(rows, max(1, len(rows) // 1000))
    ]
    return np.concatenate(parts).reshape(len(rows), -1)
