"""Paired differences of classes: against scipy, and against resampling done the long way."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score

from tfft.metrics.paired_tests import compare_predictions, mcnemar


def test_mcnemar_is_the_exact_binomial():
    # 3 of 12 heads or fewer, and as far on the other side
    assert mcnemar(3, 9) == {
        "only_base": 3,
        "only_other": 9,
        "p": pytest.approx(2 * binom.cdf(3, 12, 0.5)),
    }
    assert mcnemar(9, 3)["p"] == mcnemar(3, 9)["p"]
    assert mcnemar(0, 0)["p"] == 1.0 and mcnemar(4, 4)["p"] == 1.0
    assert mcnemar(0, 40)["p"] < 1e-9


def examples(count=400, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    base = np.where(rng.random(count) < 0.7, truth, rng.integers(0, classes, count))
    other = np.where(rng.random(count) < 0.6, truth, base)
    return truth, base, other


@pytest.mark.slow
def test_the_differences_and_their_intervals():
    truth, base, other = examples()
    found = compare_predictions(truth, base, other)
    f1 = [f1_score(truth, part, average="macro") for part in (base, other)]
    assert found["macro_f1"]["value"] == pytest.approx(f1[1] - f1[0])
    rng = np.random.default_rng(1)
    draws = []
    for _ in range(2000):
        rows = rng.integers(0, len(truth), len(truth))
        t, b, o = truth[rows], base[rows], other[rows]
        draws.append(f1_score(t, o, average="macro") - f1_score(t, b, average="macro"))
    expected = np.quantile(draws, [0.025, 0.975])
    interval = found["macro_f1"]["low"], found["macro_f1"]["high"]
    assert interval == pytest.approx(expected, abs=0.006)
    only_other = int(np.sum((other == truth) & (base != truth)))
    assert found["mcnemar"]["only_other"] == only_other


def test_pairing_tells_apart_what_intervals_alone_do_not():
    truth = np.zeros(1000, int)
    base = np.repeat([0, 1], 500)
    other = base.copy()
    other[500:515] = 0  # right wherever the base is, and 15 times more
    found = compare_predictions(truth, base, other)
    assert found["mcnemar"]["p"] == pytest.approx(2**-14)


def test_equal_models_do_not_differ():
    truth, base, _ = examples()
    found = compare_predictions(truth, base, base)
    assert found["macro_f1"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert found["mcnemar"]["p"] == 1.0
    assert found == compare_predictions(truth, base, base)
