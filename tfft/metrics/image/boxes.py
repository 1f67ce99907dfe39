"""Detections of objects: their overlap with true boxes, and records for mean average precision."""

from __future__ import annotations

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)  # those of COCO
MAX_DETECTIONS = 100  # of a class in an image, as COCO counts


def iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns intersection over union of all pairs of boxes, float64 [d g].

    Args:
      boxes, others: left, top, right and bottom of each box, [d 4] and [g 4].
    """
    low = np.maximum(boxes[:, None, :2], others[:, :2])
    high = np.minimum(boxes[:, None, 2:], others[:, 2:])
    shared = np.maximum(high - low, 0.0).prod(-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2]).prod(-1) for each in (boxes, others))
    union = areas[:, None] + other_areas - shared
    return shared / np.where(union > 0, union, 1.0)


def match_detections(
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    true_boxes: np.ndarray,
    true_labels: np.ndarray,
    classes: int,
    max_detections: int = MAX_DETECTIONS,
) -> dict[str, np.ndarray]:
    """Returns the record of one image for `mean_average_precision` and `average_precision_50`.

    At each threshold of COCO, the detections of a class are matched by falling score, each to the
    true box that it overlaps most among those that are still free and reach the threshold (Lin et
    al., 2014). Crowds, which COCO ignores, are not supported.
    `record_aggregates.collect` makes terms of the records of all images.

    Args:
      boxes, true_boxes: left, top, right and bottom, [d 4] and [g 4].
      scores: float [d].
      labels, true_labels: class numbers, int [d] and [g].
      classes: how many there are, c.
      max_detections: how many of a class count, those with the highest scores.

    Returns:
      `score` and `label` of k detections, float64 [k] and int64 [k]; `matched`, bool [k 10], by the
      threshold; and `true`, the number of true boxes of each class, int64 [c].
    """
    boxes, true_boxes = (np.asarray(e, np.float64).reshape(-1, 4) for e in (boxes, true_boxes))
    scores = np.asarray(scores, np.float64)
    labels, true_labels = np.asarray(labels, np.int64), np.asarray(true_labels, np.int64)
    order = np.lexsort([-scores, labels])
    ranks = np.arange(len(order)) - np.searchsorted(labels[order], labels[order])
    order = order[ranks < max_detections]
    boxes, scores, labels = boxes[order], scores[order], labels[order]
    overlap = np.where(labels[:, None] == true_labels, iou(boxes, true_boxes), 0.0)
    matched = np.zeros((len(order), len(IOU_THRESHOLDS)), bool)
    free = np.ones((len(IOU_THRESHOLDS), len(true_boxes)), bool)
    for row in np.flatnonzero((overlap >= IOU_THRESHOLDS[0]).any(axis=1)):
        possible = free & (overlap[row] >= IOU_THRESHOLDS[:, None])
        matched[row] = possible.any(axis=1)
        # Of equal overlaps the last, as in pycocotools.
        best = np.where(possible, overlap[row], -1.0)[:, ::-1].argmax(axis=1)
        free[matched[row], len(true_boxes) - 1 - best[matched[row]]] = False
    true = np.bincount(true_labels, minlength=classes)
    return {"score": scores, "label": labels, "matched": matched, "true": true}
