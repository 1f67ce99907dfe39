"""Temperature: found where it was planted, and the formulas by hand."""

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import log_loss

from tfft.metrics.classification.temperature_scaling import (
    calibration_figures,
    fit_temperature,
    with_temperature,
)


def planted(temperature, count=20000, seed=0):
    """Returns labels drawn from the softmax of logits, and the softmax of logits too large."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, 1.5, (count, 3))
    drawn = (softmax(logits, -1).cumsum(-1) > rng.random((count, 1))).argmax(-1)
    return drawn, softmax(logits * temperature, -1).astype("float32"), softmax(logits, -1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_is_found_and_undoes_itself(temperature):
    truth, outputs, honest = planted(temperature)
    found = fit_temperature(truth, outputs)
    assert found == pytest.approx(temperature, rel=0.05)
    assert np.allclose(with_temperature(outputs, temperature), honest, atol=1e-5)
    again = with_temperature(with_temperature(outputs, found), 1 / found)
    assert np.allclose(again, outputs, atol=1e-6)


def test_it_lowers_log_loss_and_the_calibration_error():
    truth, outputs, _ = planted(3.0)
    before = calibration_figures(truth, outputs)
    after = calibration_figures(truth, with_temperature(outputs, fit_temperature(truth, outputs)))
    assert after["log_loss"] < before["log_loss"] - 0.1
    assert after["expected_calibration_error"] < 0.02 < before["expected_calibration_error"]
    assert before["log_loss"] == pytest.approx(log_loss(truth, outputs.astype(float)), abs=1e-5)


def test_the_expected_calibration_error_by_hand():
    outputs = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.0, 1.0]])
    # 0.9 twice with one right, 0.6 wrong, 1.0 right: |1 - 1.8| + |0 - 0.6| + |1 - 1| over 4
    found = calibration_figures(np.array([0, 1, 0, 1]), outputs)
    assert found["expected_calibration_error"] == pytest.approx((0.8 + 0.6) / 4)


def test_outputs_of_zero_and_one_have_a_temperature():
    truth, outputs = np.array([0, 1, 1]), np.array([[1, 0], [0, 1], [1, 0]], "float32")
    assert 0.05 < fit_temperature(truth, outputs) <= 20.01
