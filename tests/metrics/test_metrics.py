"""Metrics against hand-made figures, floors against what they claim."""

import numpy as np
import pytest
from sklearn.metrics import f1_score

from tfft.metrics.classification import accuracy_interval, classification_metrics
from tfft.metrics.floors import text_floors


def test_figures_of_a_small_table():
    truth = np.array([0, 0, 0, 1, 1, 2])
    outputs = np.eye(3)[[0, 0, 1, 1, 0, 2]] * 0.7 + 0.1
    found = classification_metrics(truth, outputs, ["a", "b", "c"])
    assert found["accuracy"]["value"] == pytest.approx(4 / 6)
    assert found["confusion_matrix"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert found["classes"]["a"]["recall"] == pytest.approx(2 / 3)
    assert found["classes"]["b"]["precision"] == pytest.approx(1 / 2)
    assert found["macro_f1"]["value"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_wilson_interval_of_a_known_case():
    found = accuracy_interval(81, 263)  # Newcombe (1998), table I: 0.2553 to 0.3662
    assert (round(found["low"], 4), round(found["high"], 4)) == (0.2553, 0.3662)


def test_bootstrap_covers_the_value_of_resampled_examples():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 400)
    predicted = np.where(rng.random(400) < 0.8, truth, 1 - truth)
    found = classification_metrics(truth, np.eye(2)[predicted] * 0.8 + 0.1, ["a", "b"])["macro_f1"]
    rows = rng.integers(0, 400, (1000, 400))
    direct = [f1_score(truth[row], predicted[row], average="macro") for row in rows]
    low, high = np.percentile(direct, [2.5, 97.5])
    assert found["low"] == pytest.approx(low, abs=0.01)
    assert found["high"] == pytest.approx(high, abs=0.01)


def test_floors_learn_what_words_tell():
    texts = ["good film", "bad film", "good plot", "bad plot"] * 10
    targets = np.array([1, 0, 1, 0] * 10)
    floors = text_floors(texts, targets, texts[:4], targets[:4], ["bad", "good"])
    assert floors["majority"]["accuracy"]["value"] == 0.5
    assert floors["tfidf_logistic_regression"]["accuracy"]["value"] == 1.0
    assert floors["tfidf_logistic_regression"]["fitted_on"] == 40
