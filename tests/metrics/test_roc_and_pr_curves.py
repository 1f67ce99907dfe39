"""Curves: the area below their points, whose they are, and how few points keep the line."""

import numpy as np
import pytest
from sklearn.metrics import precision_recall_curve, roc_curve

from tfft.metrics.classification.class_metrics import classification_metrics
from tfft.metrics.classification.roc_and_pr_curves import (
    MOST_CURVES,
    MOST_POINTS,
    line_points,
    ranking,
)


def made(counts, seed=0, sure=1.5):
    """Returns class numbers and probabilities that are often right."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(len(counts)), counts)
    logits = rng.normal(size=(len(truth), len(counts)))
    logits[np.arange(len(truth)), truth] += sure
    outputs = np.exp(logits)
    return truth, outputs / outputs.sum(1, keepdims=True)


def ranked(truth, outputs):
    names = [f"c{number}" for number in range(outputs.shape[1])]
    classes = classification_metrics(truth, outputs, names)["classes"]
    return ranking(truth, outputs, names), classes


@pytest.mark.parametrize("counts", [(12, 8), (1000, 1000), (3000, 40), (300, 200, 100)])
def test_the_areas_below_the_points_are_those_of_the_table(counts):
    found, classes = ranked(*made(counts))
    assert [entry["label"] for entry in found] == (["c0", "c1", "c2"] if counts[2:] else ["c1"])
    for entry in found:
        roc, pr = entry["roc"], entry["precision_recall"]
        area = np.trapezoid(roc["true_positive_rate"], roc["false_positive_rate"])
        assert area == pytest.approx(classes[entry["label"]]["roc_auc"], abs=2e-4)
        area = np.trapezoid(pr["precision"], pr["recall"])
        assert area == pytest.approx(classes[entry["label"]]["average_precision"], abs=1e-3)
        for curve in (roc, pr):
            x, y = curve.values()
            assert len(x) == len(y) <= MOST_POINTS and (x[0], x[-1]) == (0.0, 1.0)
            assert x == sorted(x) and min(y) >= 0 and max(y) <= 1
    assert found[0]["share"] == pytest.approx(counts[int(found[0]["label"][1])] / sum(counts))


def away(points, line):
    """Returns the largest distance of a point from a line through the points of another one."""
    best = np.full(len(points), np.inf)
    for begin, along in zip(line[:-1], np.diff(line, axis=0), strict=True):
        share = ((points - begin) @ along / max(along @ along, 1e-12)).clip(0, 1)
        distances = np.linalg.norm(points - begin - share[:, None] * along, axis=1)
        best = np.minimum(best, distances)
    return best.max()


@pytest.mark.parametrize("sure", [0.1, 0.7, 2.5])
def test_few_points_keep_the_line(sure):
    truth, outputs = made((4000, 1000), sure=sure)
    [entry], _ = ranked(truth, outputs)
    false, true, _ = roc_curve(truth, outputs[:, 1])
    precision, recall, _ = precision_recall_curve(truth, outputs[:, 1])
    whole = {"roc": (false, true), "precision_recall": (recall[:-1], precision[:-1])}
    for key, curve in whole.items():
        drawn = np.column_stack(list(entry[key].values()))
        assert len(drawn) <= MOST_POINTS < len(curve[0])
        assert away(np.column_stack(curve), drawn) < 0.004


def test_a_straight_line_needs_its_ends_alone():
    assert line_points(np.linspace(0, 1, 50), np.linspace(0, 1, 50)) == [0, 49]
    assert line_points(np.array([0.0, 0.5, 0.5, 1.0]), np.array([0.0, 0.0, 1.0, 1.0])) == [
        0,
        1,
        2,
        3,
    ]


def test_of_many_classes_the_worst_have_curves():
    found, classes = ranked(*made([40] * 9))
    worst = sorted(classes, key=lambda name: classes[name]["average_precision"])
    assert [entry["label"] for entry in found] == worst[:MOST_CURVES]


def test_a_class_that_does_not_occur_has_no_curve():
    truth, outputs = made((20, 0, 20))
    assert [entry["label"] for entry in ranked(truth, outputs)[0]] == ["c0", "c2"]
    assert ranked(np.zeros(20, int), outputs[:20, :2])[0] == []
