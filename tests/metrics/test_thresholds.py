"""Thresholds: the best of all there are, by trying each."""

import numpy as np
import pytest

from tfft import thresholds
from tfft.errors import ConfigError
from tfft.metrics.classification.thresholds import Threshold


def examples(count=300, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.random(count) < 0.2
    return truth, np.clip(truth * 0.25 + rng.normal(0.3, 0.15, count), 0, 1).astype("float32")


def figures(truth, scores, value):
    given = scores > value
    hits = (given & truth).sum()
    precision = hits / given.sum() if given.any() else 0.0
    recall = hits / truth.sum()
    return precision, recall, 2 * hits / (given.sum() + truth.sum())


def test_f1_is_the_highest_there_is():
    truth, scores = examples()
    found = thresholds.f1().choose(truth, scores)
    tried = [figures(truth, scores, value) for value in np.linspace(0, 1, 5001)]
    assert found["f1"] == pytest.approx(max(f1 for _, _, f1 in tried))
    expected = figures(truth, scores, found["value"])
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)
    assert found["f1"] > figures(truth, scores, 0.5)[2]


def test_recall_is_the_highest_at_the_precision():
    truth, scores = examples()
    found = thresholds.recall_at_precision(0.6).choose(truth, scores)
    tried = [figures(truth, scores, value) for value in np.linspace(0, 1, 5001)]
    best = max(recall for precision, recall, _ in tried if precision >= 0.6)
    assert found["reached"] and found["precision"] >= 0.6
    assert found["recall"] == pytest.approx(best)
    expected = figures(truth, scores, found["value"])
    assert (found["precision"], found["recall"], found["f1"]) == pytest.approx(expected)


def test_a_precision_that_cannot_be_had_is_said():
    truth, scores = np.array([True, False, False]), np.array([0.2, 0.2, 0.9])
    found = thresholds.recall_at_precision(0.9).choose(truth, scores)
    assert not found["reached"] and found["precision"] == pytest.approx(1 / 3)
    assert not thresholds.f1().choose(np.zeros(3, bool), scores)["reached"]


def test_the_threshold_lies_between_scores():
    truth, scores = np.array([False, False, True]), np.array([0.1, 0.2, 0.8])
    assert thresholds.f1().choose(truth, scores)["value"] == pytest.approx(0.5)
    assert thresholds.f1().choose(truth[2:], scores[2:])["value"] == pytest.approx(0.4)


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ConfigError, match="must be above 0, at most 1. Received: precision=1.5"):
        thresholds.recall_at_precision(1.5)
    with pytest.raises(ConfigError, match="needs two classes, and there are 3"):
        thresholds.f1().check(["a", "b", "c"])
    with pytest.raises(ConfigError, match="'spma', which is none of the labels") as caught:
        thresholds.f1("spma").check(["ham", "spam"])
    assert caught.value.valid == "spam"


def test_a_label_is_compared_by_its_column():
    outputs = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    found = Threshold("f1", "ham").settle(np.array([0, 1, 1]), outputs, ("ham", "spam"))
    assert (found["label"], found["aim"], found["asked"]) == ("ham", "f1", None)
    assert found["value"] == pytest.approx(0.8)
