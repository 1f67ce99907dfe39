"""Matches of detections and pixels of masks against cases made by hand."""

import numpy as np
import pytest

from tfft.metrics import aggregates
from tfft.metrics.image.boxes import iou, match_detections
from tfft.metrics.image.masks import mask_terms

SQUARE = [0, 0, 10, 10]


def matched(boxes, scores, true, labels=None, true_labels=None, **settings):
    """Returns how many thresholds each detection reaches, and its score."""
    labels = np.zeros(len(boxes), int) if labels is None else labels
    true_labels = np.zeros(len(true), int) if true_labels is None else true_labels
    found = match_detections(boxes, scores, labels, true, true_labels, 2, **settings)
    return found["matched"].sum(1).tolist(), found["score"].tolist()


def test_overlap_by_hand():
    boxes = np.array([SQUARE, [5, 0, 15, 10], [20, 20, 30, 30], [3, 3, 3, 3]], float)
    found = iou(boxes, boxes[:2])
    np.testing.assert_allclose(found, [[1, 1 / 3], [1 / 3, 1], [0, 0], [0, 0]])


def test_a_true_box_is_matched_once_by_the_highest_score():
    assert matched([SQUARE, SQUARE], [0.3, 0.9], [SQUARE]) == ([10, 0], [0.9, 0.3])


def test_the_largest_overlap_is_taken_and_the_rest_is_left_to_others():
    near = [0, 0, 10, 7.7]  # 0.77 of the square
    assert matched([SQUARE, near], [0.9, 0.8], [near, SQUARE])[0] == [10, 10]
    # Both overlap the square alone: the second finds it taken wherever the first reaches it.
    assert matched([near, SQUARE], [0.9, 0.8], [SQUARE])[0] == [6, 4]


def test_an_overlap_at_a_threshold_counts():
    assert matched([[0, 0, 10, 5]], [0.5], [SQUARE])[0] == [1]


def test_other_classes_and_images_without_boxes_match_nothing():
    assert matched([SQUARE], [0.9], [SQUARE], labels=[1], true_labels=[0])[0] == [0]
    assert matched([SQUARE], [0.9], [])[0] == [0]
    found = match_detections([], [], [], [SQUARE], [1], 2)
    assert found["matched"].shape == (0, 10) and found["true"].tolist() == [0, 1]


def test_the_highest_scores_of_each_class_count():
    boxes, labels = [SQUARE] * 4, [0, 1, 0, 0]
    found = matched(boxes, [0.1, 0.2, 0.4, 0.3], [SQUARE], labels, max_detections=2)
    assert found == ([10, 0, 0], [0.4, 0.3, 0.2])


def test_masks_by_hand():
    true = [np.array([[0, 0], [1, 255]]), np.array([[1, 1, 2]])]
    predicted = [np.array([[0, 1], [1, 2]]), np.array([[1, 0, 2]])]
    terms = mask_terms(predicted, true, 4)
    assert terms["hits"].tolist() == [[1, 1, 0, 0], [0, 1, 1, 0]]
    assert terms["predicted"].tolist() == [[1, 2, 0, 0], [1, 1, 1, 0]]
    assert terms["true"].tolist() == [[2, 1, 0, 0], [0, 2, 1, 0]]
    # Class 3 does not occur. Class 0: 1 of 3 pixels, class 1: 2 of 4, class 2: 1 of 1.
    assert aggregates.value("mean_iou", terms) == pytest.approx((1 / 3 + 2 / 4 + 1) / 3)
    assert aggregates.value("dice", terms) == pytest.approx((2 / 4 + 4 / 6 + 2 / 2) / 3)
