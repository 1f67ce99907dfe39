"""The bootstrap over examples against scikit-learn on the resampled examples themselves."""

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    log_loss,
    matthews_corrcoef,
    roc_auc_score,
)
from trainings import slow

from tfft.metrics import confidence_intervals
from tfft.metrics.classification.class_metrics import classification_metrics
from tfft.metrics.classification.multi_label import multi_label_metrics
from tfft.metrics.confidence_intervals import count_intervals, resamples_for, share_interval


def made(count, classes, seed=0, digits=None):
    """Returns truth and probabilities that are right more often than not."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    scores = np.eye(classes)[truth] + rng.normal(size=(count, classes))
    outputs = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    return truth, outputs if digits is None else np.round(outputs, digits)


def names(classes):
    return [str(number) for number in range(classes)]


def direct(figure, truth, outputs, draws=400):
    """Returns the interval of a figure over resampled examples."""
    rows = np.random.default_rng(5).integers(0, len(truth), (draws, len(truth)))
    drawn = np.array([figure(truth[row], outputs[row]) for row in rows])
    found = confidence_intervals.corrected(figure(truth, outputs), drawn)
    return found["low"], found["high"]


# With one digit most probabilities are equal.
@pytest.mark.parametrize("digits,classes", [(1, 2), slow(1, 3), slow(None, 2), slow(None, 3)])
def test_figures_and_intervals_agree_with_scikit_learn(classes, digits):
    truth, outputs = made(200, classes, digits=digits)
    outputs = outputs + 1e-3
    outputs /= outputs.sum(-1, keepdims=True)
    labels = list(range(classes))

    def macro(area):
        return lambda t, p: np.mean([area(t == k, p[:, k]) for k in labels])

    figures = {
        "roc_auc": macro(roc_auc_score),
        "average_precision": macro(average_precision_score),
        "log_loss": lambda t, p: log_loss(t, p, labels=labels),
        "brier_score": lambda t, p: brier_score_loss(t, p[:, 1] if classes == 2 else p),
        "matthews_correlation": lambda t, p: matthews_corrcoef(t, p.argmax(-1)),
    }
    found = classification_metrics(truth, outputs, names(classes))
    for name, figure in figures.items():
        assert found[name]["value"] == pytest.approx(figure(truth, outputs), abs=1e-9), name
        low, high = direct(figure, truth, outputs)
        close = 0.15 * (high - low)  # the ends of 400 draws vary by about 4 % of the width
        assert found[name]["low"] == pytest.approx(low, abs=close), name
        assert found[name]["high"] == pytest.approx(high, abs=close), name


@pytest.mark.parametrize("digits", [None, 1, 0])
def test_weighted_areas_are_those_of_repeated_examples(digits):
    truth, outputs = made(60, 2, seed=3, digits=digits)
    weights = np.random.default_rng(0).integers(0, 4, (5, 60)).astype(float)
    found = confidence_intervals._Ranked(truth == 1, outputs[:, 1]).areas(weights)
    for row, (roc, precision) in zip(weights, found, strict=True):
        rows = np.repeat(np.arange(60), row.astype(int))
        assert roc == pytest.approx(roc_auc_score(truth[rows], outputs[rows, 1]))
        assert precision == pytest.approx(average_precision_score(truth[rows], outputs[rows, 1]))


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    """The area of two normal distributions one apart is Phi(1 / sqrt(2)) = 0.7602."""
    rng, held = np.random.default_rng(0), 0
    for _ in range(60):
        truth = np.arange(200) % 2
        score = 1 / (1 + np.exp(-(truth + rng.normal(size=200) - 0.5)))
        found = classification_metrics(truth, np.column_stack([1 - score, score]), ["a", "b"])
        held += found["roc_auc"]["low"] <= 0.7602 <= found["roc_auc"]["high"]
    assert held >= 52  # 57 are expected; below 52 has a chance of 1 %


def test_an_interval_holds_the_middle_95_percent_of_the_draws():
    draws = np.linspace(-1.0, 1.0, 100_001)
    found = confidence_intervals.corrected(0.0, draws)
    assert (found["low"], found["high"]) == pytest.approx((-0.95, 0.95), abs=1e-3)
    above = confidence_intervals.corrected(0.2, draws)  # the draws are too low as a rule
    assert above["low"] > found["low"] and above["high"] > found["high"]


def test_f1_of_each_class_and_shares_have_intervals():
    truth, outputs = made(400, 3)
    found = classification_metrics(truth, outputs, names(3))["classes"]["1"]
    predicted = outputs.argmax(-1)
    hits = int(((predicted == 1) & (truth == 1)).sum())
    wilson = share_interval(hits, int((truth == 1).sum()))
    assert found["intervals"]["recall"] == [wilson["low"], wilson["high"]]
    low, high = found["intervals"]["f1"]
    assert low < found["f1"] < high
    assert share_interval(0, 0) == {"value": None}


def test_matthews_of_one_class_is_zero_as_scikit_learn_has_it():
    found = count_intervals(np.array([[5, 0], [3, 0]]))["matthews_correlation"]
    assert found == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_one_class_in_the_truth_has_no_areas():
    found = classification_metrics(np.zeros(4, int), np.full((4, 2), 0.5), ["a", "b"])
    assert found["roc_auc"] == found["average_precision"] == {"value": None}
    assert found["log_loss"]["value"] == pytest.approx(np.log(2))


def test_constant_probabilities_have_an_area_of_one_half_without_spread():
    truth = np.arange(50) % 2
    found = classification_metrics(truth, np.full((50, 2), 0.5), ["a", "b"])
    assert found["roc_auc"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_the_same_twice_and_in_pieces(monkeypatch):
    truth, outputs = made(200, 3)
    whole = classification_metrics(truth, outputs, names(3))
    assert classification_metrics(truth, outputs, names(3)) == whole
    monkeypatch.setattr(confidence_intervals, "LARGEST_DRAW", 1000)
    pieces = classification_metrics(truth, outputs, names(3))
    for name in ("roc_auc", "log_loss", "brier_score"):
        assert pieces[name] == pytest.approx(whole[name])


def test_fewer_resamples_where_there_is_much_to_do(monkeypatch):
    assert resamples_for(1000, 2) == resamples_for(25_000, 2) == 1000
    assert resamples_for(100_000, 2) == 500 and resamples_for(10**7, 50) == 100
    truth, outputs = made(500, 2)
    found = classification_metrics(truth, outputs, names(2))
    assert found["resamples"] == 1000 and found["areas_resampled"]
    monkeypatch.setattr(confidence_intervals, "MOST_WORK", 1000)
    found = classification_metrics(truth, outputs, names(2))
    assert not found["areas_resampled"]
    assert set(found["roc_auc"]) == set(found["average_precision"]) == {"value"}
    assert set(found["log_loss"]) == {"value", "low", "high"}


def test_twenty_five_thousand_examples_are_quick():
    truth, outputs = made(25_000, 2)
    began = time.process_time()
    classification_metrics(truth, outputs, names(2))
    assert time.process_time() - began < 10


@pytest.mark.parametrize("ties", [False, True])
def test_areas_are_those_of_scikit_learn(ties):
    rng = np.random.default_rng(3)
    for count, share in ((400, 0.5), (400, 0.01), (50, 0.9), (5, 0.4)):
        scores = rng.random(count).astype(np.float32)
        scores = np.round(scores, 1) if ties else scores
        truth = rng.random(count) < share
        truth[:2] = True, False
        found = confidence_intervals.areas(truth, scores)
        assert found["roc_auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
        expected = average_precision_score(truth, scores)
        assert found["average_precision"] == pytest.approx(expected, abs=1e-12)
        weights = confidence_intervals.drawn_weights(rng, count, 20)
        each = confidence_intervals._Ranked(truth, scores).areas(weights)
        for weight, (roc, precision) in zip(weights, each, strict=True):
            if truth[weight > 0].all() or not truth[weight > 0].any():
                assert np.isnan(roc) and np.isnan(precision)
                continue
            wanted = roc_auc_score(truth, scores, sample_weight=weight)
            assert roc == pytest.approx(wanted, abs=1e-12)
            wanted = average_precision_score(truth, scores, sample_weight=weight)
            assert precision == pytest.approx(wanted, abs=1e-12)


def test_wilson_intervals_are_those_of_scipy_to_the_last_digit():
    for hits, count in [(0, 1), (1, 1), (0, 90), (90, 90), (1, 7), (81, 263), (4499, 4500)]:
        found, expected = (
            share_interval(hits, count),
            binomtest(hits, count).proportion_ci(0.95, method="wilson"),
        )
        assert (found["low"], found["high"]) == (expected.low, expected.high)


def test_150_labels_take_seconds():
    """Processor time, which does not grow with what else the machine does."""
    rng, count, labels = np.random.default_rng(0), 4500, 150
    names = [f"label_{number}" for number in range(labels)]
    scores = rng.random((count, labels)).astype(np.float32)
    truth = rng.random((count, labels)) < 0.05
    began = time.process_time()
    multi_label_metrics(truth, scores > 0.9, scores, names)
    classification_metrics(rng.integers(labels, size=count), scores / scores.sum(1)[:, None], names)
    assert time.process_time() - began < 5
