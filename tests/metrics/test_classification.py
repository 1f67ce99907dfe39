"""Metrics against figures made by hand and by other means."""

import time

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tfft.errors import DataError, UserError
from tfft.metrics.classification.class_metrics import classification_metrics
from tfft.metrics.confidence_intervals import count_intervals, share_interval


def outputs_of(predicted, classes, sure=0.7):
    return np.eye(classes)[predicted] * sure + (1 - sure) / classes


def subset(row):
    return tuple(row[key] for key in ("precision", "recall", "f1", "support"))


def test_figures_of_a_small_table():
    truth = np.array([0, 0, 0, 1, 1, 2])
    outputs = outputs_of([0, 0, 1, 1, 0, 2], 3)
    found = classification_metrics(truth, outputs, ["a", "b", "c"])
    assert found["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["confusion_matrix"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found["classes"]["a"]["recall"] == pytest.approx(2 / 3)
    assert found["classes"]["b"]["precision"] == pytest.approx(1 / 2)
    assert subset(found["classes"]["c"]) == (1.0, 1.0, 1.0, 1)
    assert found["macro_f1"]["value"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert found["weighted_f1"]["value"] == pytest.approx((3 * 2 / 3 + 2 * 1 / 2 + 1) / 6)
    assert found["log_loss"]["value"] == pytest.approx(-(4 * np.log(0.8) + 2 * np.log(0.1)) / 6)
    # Matthews' correlation by its definition: (4*6 - 14) / sqrt((36 - 14) * (36 - 14)).
    assert found["matthews_correlation"]["value"] == pytest.approx(10 / 22)


def test_wilson_interval_of_a_known_case():
    found = share_interval(81, 263)  # Newcombe (1998), table I: 0.2553 to 0.3662
    assert (round(found["low"], 4), round(found["high"], 4)) == (0.2553, 0.3662)


@pytest.mark.slow
def test_bootstrap_agrees_with_resampled_examples():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    predicted = np.where(rng.random(400) < 0.8, truth, 1 - truth)
    found = classification_metrics(truth, outputs_of(predicted, 2), ["a", "b"])
    rows = rng.integers(0, 400, (1000, 400))
    for average in ("macro", "weighted"):
        direct = [f1_score(truth[row], predicted[row], average=average) for row in rows]
        low, high = np.percentile(direct, [2.5, 97.5])
        assert found[f"{average}_f1"]["low"] == pytest.approx(low, abs=0.01)
        assert found[f"{average}_f1"]["high"] == pytest.approx(high, abs=0.01)


def test_bootstrap_is_seeded_and_its_pieces_do_not_matter(monkeypatch):
    matrix = np.array([[30, 3], [5, 20]])
    whole = count_intervals(matrix)
    assert count_intervals(matrix) == whole
    monkeypatch.setattr("tfft.metrics.confidence_intervals.LARGEST_DRAW", 40)
    assert count_intervals(matrix) == whole


def test_rare_classes_keep_their_value_within_the_interval():
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(200), 5)
    predicted = np.where(rng.random(1000) < 0.5, truth, rng.integers(0, 200, 1000))
    found = classification_metrics(truth, outputs_of(predicted, 200), [str(i) for i in range(200)])
    macro = found["macro_f1"]
    assert macro["low"] < macro["value"] < macro["high"]


def test_all_right_has_no_spread_and_no_warning(recwarn):
    found = classification_metrics(np.array([0, 1, 1]), outputs_of([0, 1, 1], 2), ["a", "b"])
    assert found["macro_f1"] == {"value": 1.0, "low": 1.0, "high": 1.0}
    assert found["accuracy"]["low"] < found["accuracy"]["high"] == 1.0
    assert not recwarn.list


def test_figures_of_a_class_that_does_not_occur_are_none():
    found = classification_metrics(np.array([0, 1]), outputs_of([0, 0], 3), ["a", "b", "c"])
    assert subset(found["classes"]["b"]) == (None, 0.0, 0.0, 1)
    assert subset(found["classes"]["c"]) == (None, None, None, 0)
    assert found["classes"]["c"]["roc_auc"] is found["classes"]["c"]["average_precision"] is None
    assert found["classes"]["c"]["intervals"] == {"precision": None, "recall": None, "f1": None}
    assert found["macro_f1"]["value"] == pytest.approx((2 / 3 + 0) / 2)


def test_no_examples_and_diverged_models_are_told():
    with pytest.raises(DataError, match="no example"):
        classification_metrics(np.array([], int), np.zeros((0, 2)), ["a", "b"])
    with pytest.raises(UserError, match="1 of 2 examples are not finite"):
        classification_metrics(np.array([0, 1]), np.array([[np.nan] * 2, [0.5, 0.5]]), ["a", "b"])


def test_a_hundred_thousand_examples_are_quick():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 20, 100_000)
    outputs = outputs_of(rng.integers(0, 20, 100_000), 20)
    began = time.process_time()
    classification_metrics(truth, outputs, [str(i) for i in range(20)])
    assert time.process_time() - began < 5  # 0.4 s on an idle machine
