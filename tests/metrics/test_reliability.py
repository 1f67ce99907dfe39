"""Calibration error by its formula, and what chance alone gives."""

import numpy as np
import pytest

from tfft.metrics.classification.reliability import reliability, told


def outputs_of(confidence):
    confidence = np.asarray(confidence, float)
    return np.column_stack([1 - confidence, confidence])


def test_the_error_by_its_definition():
    # Two bins of 1/15 hold something: (0.6, 0.667] and (0.933, 1].
    confidence = np.array([0.65, 0.65, 0.65, 0.65, 0.95, 0.95])
    truth = np.array([1, 1, 0, 0, 1, 0])
    found = reliability(truth, outputs_of(confidence))
    expected = 4 / 6 * abs(2 / 4 - 0.65) + 2 / 6 * abs(1 / 2 - 0.95)
    assert found["error"] == pytest.approx(expected)
    first, second = found["bins"]
    assert (first["texts"], second["texts"]) == (4, 2)
    assert first["low"] == pytest.approx(9 / 15) and first["high"] == pytest.approx(10 / 15)
    assert first["confidence"] == pytest.approx(0.65) and first["accuracy"]["value"] == 0.5
    assert 0 < first["accuracy"]["low"] < 0.5 < first["accuracy"]["high"] < 1


def test_a_bound_belongs_to_the_bin_below_it():
    found = reliability(np.array([1, 1]), outputs_of([0.6, 1.0]), bins=5)
    assert [(each["low"], each["high"]) for each in found["bins"]] == [(0.4, 0.6), (0.8, 1.0)]


@pytest.mark.parametrize("count", [300, 3000])
def test_chance_gives_what_calibrated_models_show(count):
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.5, 1.0, count)
    errors = [
        reliability((rng.random(count) < confidence).astype(int), outputs_of(confidence))["error"]
        for _ in range(400)
    ]
    chance = reliability(np.ones(count, int), outputs_of(confidence))["error_by_chance"]
    assert chance["mean"] == pytest.approx(np.mean(errors), rel=0.06)
    assert chance["high"] == pytest.approx(np.quantile(errors, 0.95), rel=0.08)


def test_the_sentence_says_which_way_it_is_off():
    rng = np.random.default_rng(0)
    confidence = rng.uniform(0.8, 1.0, 2000)

    def said(chance_of_right):
        truth = (rng.random(2000) < chance_of_right).astype(int)
        return told(reliability(truth, outputs_of(confidence)))

    assert said(confidence).startswith("Probabilities can be taken at their word")
    assert said(0.7).startswith("The model is too sure")
    assert said(1.0).startswith("The model is not sure enough")
    both = np.where(confidence > 0.9, 0.8, 1.0)
    assert said(both).startswith("Probabilities are off, in both directions")
