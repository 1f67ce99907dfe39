"""Figures of sums: by hand, and against resampling done the long way."""

import numpy as np
import pytest

from tfft.errors import UserError
from tfft.metrics import aggregates
from tfft.metrics.confidence_intervals import LARGEST_DRAW, corrected, share_interval

RNG = np.random.default_rng(7)
COUNT = 300
X = RNG.normal(size=COUNT)
MASKS = {
    "hits": np.random.default_rng(8).integers(0, 2, (COUNT, 3)),
    "predicted": np.random.default_rng(9).integers(1, 4, (COUNT, 3)),
    "true": np.random.default_rng(10).integers(1, 3, (COUNT, 3)),
}
SUMS = {
    "mean": {"score": RNG.random(COUNT)},
    "f1": {
        "hits": RNG.integers(0, 3, COUNT),
        "predicted": RNG.integers(3, 6, COUNT),
        "true": RNG.integers(3, 5, COUNT),
    },
    "pearson": {"x": X, "y": X + RNG.normal(size=COUNT)},
    "exp_ratio": {"loss": RNG.gamma(2.0, 3.0, COUNT), "tokens": RNG.integers(2, 9, COUNT)},
    "root_mean": {"score": RNG.gamma(2.0, 3.0, COUNT)},
    "mean_f1": {
        "hits": RNG.integers(0, 2, (COUNT, 3)),
        "predicted": RNG.integers(1, 4, (COUNT, 3)),
        "true": RNG.integers(1, 3, (COUNT, 3)),
    },
    "dice": MASKS,
    "mean_iou": MASKS,
    "ratio": {"part": RNG.integers(0, 3, COUNT), "whole": RNG.integers(3, 6, COUNT)},
    "bleu": {
        "counts": np.hstack(
            [RNG.integers(6, 9, (COUNT, 2)), RNG.integers(1, 4, (COUNT, 4)), np.full((COUNT, 4), 5)]
        )
    },
    "chrf": {"counts": np.tile(RNG.integers((8, 9, 2), (12, 14, 8), (COUNT, 3)), 6)},
}


def bleu(counts):
    """Papineni et al., 2002: found and reference words, right runs, all runs."""
    found, reference, *runs = counts.sum(0)
    precisions = [right / whole for right, whole in zip(runs[:4], runs[4:], strict=True)]
    brevity = min(1.0, np.exp(1 - reference / found))
    return 100 * brevity * np.prod(precisions) ** 0.25


def chrf(counts):
    """Popovic, 2015, with beta 2: of each run of characters found, reference and both."""
    parts = counts.sum(0).reshape(6, 3)
    precision = np.mean([both / found for found, _, both in parts])
    recall = np.mean([both / reference for _, reference, both in parts])
    return 100 * 5 * precision * recall / (4 * precision + recall)


PLAINLY = {
    "mean": lambda score: np.mean(score),
    "f1": lambda hits, predicted, true: 2 * hits.sum() / (predicted.sum() + true.sum()),
    "pearson": lambda x, y: np.corrcoef(x, y)[0, 1],
    "exp_ratio": lambda loss, tokens: np.exp(loss.sum() / tokens.sum()),
    "root_mean": lambda score: np.sqrt(np.mean(score)),
    "mean_f1": lambda hits, predicted, true: np.mean(
        2 * hits.sum(0) / (predicted.sum(0) + true.sum(0))
    ),
    "dice": lambda hits, predicted, true: np.mean(
        2 * hits.sum(0) / (predicted.sum(0) + true.sum(0))
    ),
    "mean_iou": lambda hits, predicted, true: np.mean(
        hits.sum(0) / (predicted.sum(0) + true.sum(0) - hits.sum(0))
    ),
    "ratio": lambda part, whole: part.sum() / whole.sum(),
    "bleu": bleu,
    "chrf": chrf,
}


def test_values_by_hand():
    assert aggregates.value("mean", {"score": [0.5, 1.0, 0.0]}) == 0.5
    assert aggregates.value("f1", {"hits": [1, 2], "predicted": [2, 2], "true": [1, 3]}) == 6 / 8
    assert aggregates.value("pearson", {"x": [1, 2, 3], "y": [2, 4, 5]}) == pytest.approx(
        3 / np.sqrt(2 * (14 / 3))
    )
    ratio = aggregates.value("exp_ratio", {"loss": [2.0, 4.0], "tokens": [1, 2]})
    assert ratio == pytest.approx(np.e**2)


def agrees(found, expected, spread):
    for end in ("low", "high"):
        assert found[end] == pytest.approx(expected[end], abs=0.35 * spread)


@pytest.mark.parametrize("measure", aggregates.MEASURES)
def test_intervals_are_those_of_resampling_the_long_way(measure):
    sums, plain = SUMS[measure], PLAINLY[measure]
    found = aggregates.interval(measure, sums)
    assert found["value"] == pytest.approx(plain(*sums.values()))
    rng, draws = np.random.default_rng(1), []
    for _ in range(4000):
        rows = rng.integers(0, COUNT, COUNT)
        draws.append(plain(*(column[rows] for column in sums.values())))
    agrees(found, corrected(found["value"], np.array(draws)), np.std(draws))
    assert found == aggregates.interval(measure, sums)


@pytest.mark.parametrize("measure", aggregates.MEASURES)
def test_few_kinds_are_drawn_as_every_example_is(measure, monkeypatch):
    """Examples of which many are equal, drawn by kind and one by one."""
    sums = {key: np.round(np.asarray(column, float)) for key, column in SUMS[measure].items()}
    if measure == "mean":
        sums = {"score": np.round(SUMS["mean"]["score"] * 4) / 4}
    kinds = aggregates.interval(measure, sums)
    monkeypatch.setattr(aggregates, "FEW_KINDS", 0)
    every = aggregates.interval(measure, sums)
    assert every["value"] == kinds["value"]
    width = every["high"] - every["low"]
    assert kinds["low"] == pytest.approx(every["low"], abs=0.1 * width)
    assert kinds["high"] == pytest.approx(every["high"], abs=0.1 * width)


def test_a_share_has_wilson_s_interval():
    assert aggregates.interval(
        "mean", {"score": np.array([True] * 7 + [False] * 3)}
    ) == share_interval(7, 10)
    assert aggregates.is_share("mean", {"score": [0, 1]}) and not aggregates.is_share(
        "f1", SUMS["f1"]
    )
    assert not aggregates.is_share("mean", {"score": [0, 0.5]})


def test_a_share_of_some_examples_has_wilson_s_interval():
    terms = {"score": [1, 1, 0, 0.5, 1], "there": [1, 1, 1, 0, 0]}
    assert aggregates.interval("mean", terms) == share_interval(2, 3)
    none = {"score": [1, 0], "there": [0, 0]}
    assert not aggregates.is_share("mean", none)
    assert aggregates.interval("mean", none) == {"value": None}


NONE = {"value": None}


def test_what_is_undefined_is_none():
    empty = np.zeros(0)
    for measure, sums in SUMS.items():
        assert aggregates.interval(measure, {key: empty for key in sums}) == NONE
    zero = np.zeros(4)
    assert aggregates.interval("f1", {"hits": zero, "predicted": zero, "true": zero}) == NONE
    assert aggregates.interval("exp_ratio", {"loss": zero, "tokens": zero}) == NONE
    assert aggregates.interval("exp_ratio", {"loss": zero + 1e6, "tokens": zero + 1}) == NONE
    for constant in (np.full(7, 0.1), np.full(7, 1e9 / 3)):
        assert aggregates.interval("pearson", {"x": np.arange(7), "y": constant}) == NONE
        assert aggregates.interval("pearson", {"x": constant, "y": np.arange(7)}) == NONE
    assert aggregates.interval("pearson", {"x": np.ones(1), "y": np.ones(1)}) == NONE
    both = {"x": np.arange(7), "y": np.arange(7)}
    assert aggregates.difference("pearson", both, {"x": np.arange(7), "y": np.ones(7)}) == NONE


def test_a_correlation_far_from_zero_keeps_its_digits():
    near = aggregates.value("pearson", SUMS["pearson"])
    far = {"x": SUMS["pearson"]["x"] + 1e8, "y": SUMS["pearson"]["y"] - 1e8}
    assert aggregates.value("pearson", far) == pytest.approx(near, abs=1e-6)


def test_sums_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="figures of 2 of 3 examples are not finite"):
        aggregates.interval("mean", {"score": [np.nan, np.inf, 1.0]})


@pytest.mark.parametrize("measure", aggregates.MEASURES)
def test_differences_are_paired(measure):
    sums, plain = SUMS[measure], PLAINLY[measure]
    other = {key: np.array(column, float) for key, column in sums.items()}
    changed = {"pearson": "y", "exp_ratio": "loss"}.get(measure, next(iter(sums)))
    part = other[changed][::3]
    part += 0.5 * np.random.default_rng(3).random(part.shape)
    found = aggregates.difference(measure, sums, other)
    gain = plain(*other.values()) - plain(*sums.values())
    assert found["value"] == pytest.approx(gain)
    rng, draws = np.random.default_rng(1), []
    for _ in range(4000):
        rows = rng.integers(0, COUNT, COUNT)
        after, before = (plain(*(c[rows] for c in each.values())) for each in (other, sums))
        draws.append(after - before)
    agrees(found, corrected(gain, np.array(draws)), np.std(draws))
    assert aggregates.difference(measure, sums, sums) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_pairing_tells_apart_what_intervals_alone_do_not():
    base = np.repeat([1.0, 0.0], 500)
    other = base.copy()
    other[500:515] = 1  # right wherever the base is, and 15 times more
    found = aggregates.difference("mean", {"score": base}, {"score": other})
    assert found["value"] == pytest.approx(0.015) and found["low"] > 0
    alone = [aggregates.interval("mean", {"score": score}) for score in (base, other)]
    assert alone[0]["high"] > alone[1]["low"]


def test_means_of_several_runs_are_paired():
    base, other = np.array([0.0, 0.5, 1.0, 0.2] * 50), np.array([0.2, 0.5, 1.0, 0.6] * 50)
    found = aggregates.difference("mean", {"score": base}, {"score": other})
    assert found["value"] == pytest.approx(0.15)
    # the standard error of a mean of {0.2, 0, 0, 0.4} over 200 texts
    error = np.std([0.2, 0, 0, 0.4]) / np.sqrt(200)
    assert found["low"] == pytest.approx(0.15 - 1.96 * error, abs=0.003)
    assert found["high"] == pytest.approx(0.15 + 1.96 * error, abs=0.003)


def test_figures_together_are_those_alone():
    wanted = {name: (name, sums) for name, sums in SUMS.items()}
    wanted["few"] = ("mean", {"score": np.array([0.2, 0.4, 0.9])})
    wanted["share"] = ("mean", {"score": np.array([0, 1, 1])})
    wanted["none"] = ("mean", {"score": np.zeros(0)})
    found = aggregates.figures(wanted)
    assert list(found) == list(wanted)
    for name, (measure, sums) in wanted.items():
        alone = aggregates.interval(measure, sums)
        assert found[name]["value"] == alone["value"]
        if name in ("few", "share", "none"):
            assert found[name] == alone
        else:
            width = alone["high"] - alone["low"]
            assert found[name]["low"] == pytest.approx(alone["low"], abs=0.15 * width)


def test_what_is_held_at_once_is_bounded(monkeypatch):
    held = []
    plain = aggregates.drawn_weights

    def drawn(rng, count, draws):
        held.append(count * draws)
        return plain(rng, count, draws)

    monkeypatch.setattr(aggregates, "drawn_weights", drawn)
    score = np.random.default_rng(0).random(100_000)
    found = aggregates.interval("mean", {"score": score})
    assert max(held) <= LARGEST_DRAW and sum(held) == 1000 * 100_000
    error = 1.96 * score.std() / np.sqrt(len(score))
    assert found["low"] == pytest.approx(score.mean() - error, abs=0.15 * error)


def test_kinds_are_counted_as_numpy_does():
    rng = np.random.default_rng(0)
    for parts in (
        rng.integers(-2, 3, (3000, 3)) / 2,
        rng.random((1, 4)),
        -rng.integers(0, 2, (9, 1)) * 0.0,
    ):
        kinds, counts = aggregates._kinds(parts)
        expected = np.unique(parts, axis=0, return_counts=True)
        np.testing.assert_array_equal(kinds, expected[0])
        np.testing.assert_array_equal(counts, expected[1])
    kinds, counts = aggregates._kinds(rng.random((aggregates.FEW_KINDS + 1, 2)))
    assert not len(kinds) and not len(counts)
