"""Aggregates of records: metrics that rank the contributions of all examples, for any resample.

A record is the contribution of one example to a metric: arrays, whose lengths may differ between
examples. The order of the scores is the same in all resamples and is computed once. The metric of
a resample then follows from cumulative sums of weights, which are how often each example is in it.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from tfft.metrics.confidence_intervals import macro_areas, ranked_classes

RECALL_LEVELS = np.linspace(0.0, 1.0, 101)


# From how often each example is in a resample, whole numbers as float [draws n], to the metric,
# [draws], NaN if undefined; and the number of values that each draw sums.
Prepared = tuple[Callable[[np.ndarray], np.ndarray], int]


class RecordAggregate(NamedTuple):
    """Computes a metric from records.

    Attributes:
      keys: of the terms.
      prepare: from the terms of one example or more, in the order of `keys`, to `Prepared`.
    """

    keys: tuple[str, ...]
    prepare: Callable[..., Prepared]


# Records of several lengths -----------------------------------------------------------------------


def ragged(arrays: Iterable[np.ndarray]) -> np.ndarray:
    """Returns arrays of any shapes as one of objects, [n]."""
    parts = list(arrays)
    result = np.empty(len(parts), object)
    for place, part in enumerate(parts):
        result[place] = part
    return result


def collect(records: Sequence[Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Returns the terms of one example or more from the record of each: object [n] by key."""
    return {key: ragged(record[key] for record in records) for key in records[0]}


def scatter(records: np.ndarray, rows: np.ndarray, count: int) -> np.ndarray:
    """Returns records at these rows among `count` examples, the others of which are empty."""
    parts = [records[0][:0] if len(records) else np.zeros(0)] * count
    for row, record in zip(rows, records, strict=True):
        parts[row] = record
    return ragged(parts)


def _dense(term: np.ndarray) -> np.ndarray:
    """Returns a term whose records have one shape: float64 [n ...]."""
    return np.asarray(term.tolist() if term.dtype == object else term, np.float64)


# Areas under curves -------------------------------------------------------------------------------


def _area(place: int, score: np.ndarray, label: np.ndarray) -> Prepared:
    """Returns an area under a curve, a column of `macro_areas`."""
    scores = _dense(score)
    classes = ranked_classes(_dense(label).astype(int), scores)
    return lambda weights: macro_areas(classes, weights)[:, place], scores.size


# Detections ---------------------------------------------------------------------------------------


def _average_precision(
    thresholds: int | None,
    score: np.ndarray,
    label: np.ndarray,
    matched: np.ndarray,
    true: np.ndarray,
) -> Prepared:
    """Returns average precision of detections as COCO defines it, for weighted images.

    It is the mean over classes that have a true box, and over IoU thresholds. Equal scores keep the
    order of the images, as in pycocotools. A resample is therefore the same as images that are
    repeated one after the other, unless an image has equal scores in one class.

    Args:
      thresholds: how many of the IoU thresholds count, the first ones; None for all.
      score, label: of the detections of each image, float [d] and class numbers [d].
      matched: True where a detection matches a true box at an IoU threshold, [d t] of each image.
      true: number of true boxes of each class, [c] of each image.
    """
    boxes = _dense(true)
    images = np.repeat(np.arange(len(score)), [len(each) for each in score])
    labels = np.concatenate(list(label))
    order = np.lexsort([-np.concatenate(list(score)), labels])
    images = images[order]
    hits = np.concatenate(list(matched))[order, :thresholds] > 0
    ends = np.searchsorted(labels[order], np.arange(boxes.shape[1] + 1))
    # For each class its number, the images of its detections, and the places of the hits.
    classes = [
        (number, images[begin:end], [np.flatnonzero(each) for each in hits[begin:end].T])
        for number, (begin, end) in enumerate(itertools.pairwise(ends))
    ]

    def metric(weights: np.ndarray) -> np.ndarray:
        counts = weights @ boxes
        total = np.zeros(len(weights))
        for number, images, by_threshold in classes:
            ranked = weights[:, images]
            seen = np.maximum(np.cumsum(ranked, axis=1), 1.0)
            for places in filter(len, by_threshold):
                total += _interpolated(ranked[:, places], seen[:, places], counts[:, number])
        return total / (hits.shape[1] * (counts > 0).sum(1))

    return metric, len(images)


def _interpolated(hits: np.ndarray, seen: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Returns the mean precision at `RECALL_LEVELS` of one class, [draws].

    The precision at a level is the highest one at this recall or more (Everingham et al., 2010).
    Only the places of detections that match a true box matter: recall and the highest precision
    change nowhere else.

    Args:
      hits: weights of the detections that match, by falling score, [draws h].
      seen: weights of all detections up to each of these, 1 or more, [draws h].
      true: weights of the true boxes, [draws].
    """
    matches = np.cumsum(hits, axis=1)
    precision = np.maximum.accumulate((matches / seen)[:, ::-1], axis=1)[:, ::-1]
    recall = matches / np.maximum(true, 1.0)[:, None]
    levels = np.searchsorted(RECALL_LEVELS, recall, side="right")  # as many as are reached
    return (np.diff(levels, axis=1, prepend=0) * precision).sum(1) / len(RECALL_LEVELS)


OF_BOXES = ("score", "label", "matched", "true")
# `roc_auc` and `average_precision`: scores [n] with labels of 1 or 0, or scores [n c] with class
# numbers for the mean over classes, each against the rest. The others: `metrics.image.boxes`.
RECORDS = {
    "roc_auc": RecordAggregate(("score", "label"), functools.partial(_area, 0)),
    "average_precision": RecordAggregate(("score", "label"), functools.partial(_area, 1)),
    "mean_average_precision": RecordAggregate(
        OF_BOXES, functools.partial(_average_precision, None)
    ),
    "average_precision_50": RecordAggregate(OF_BOXES, functools.partial(_average_precision, 1)),
}
