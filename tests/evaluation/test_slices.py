"""Slices: how texts are divided, which slice comes first, what is too small to say anything."""

import numpy as np
import pytest

from tfft.errors import ConfigError
from tfft.evaluation.slices import few_values, grouped, quartiles, slice_rows
from tfft.metrics import aggregates
from tfft.metrics.confidence_intervals import share_interval

TEXTS = ["it is not good", "good", "not", "a long and dull film"]


def test_functions_patterns_and_columns_divide_the_texts():
    slices = {"negated": r"\bnot\b", "words": lambda text: str(len(text.split())), "long": is_long}
    found = grouped(TEXTS, slices, {"year": ["1990", "", "2001", "1990"]})
    assert found == {
        "year": ["1990", "(empty)", "2001", "1990"],
        "negated": ["yes", "no", "yes", "no"],
        "words": ["4", "1", "1", "5"],
        "long": ["no", "no", "no", "yes"],
    }
    assert grouped(TEXTS, None) == {}


def is_long(text):
    return len(text) > 14


@pytest.mark.parametrize(
    ("slices", "message"),
    [
        ({"bad": "("}, r"slices\['bad'\] = '\(' is no regular expression"),
        ({"class": "a"}, "so is another grouping"),
        ({"year": "a"}, "so is another grouping"),
        ({"odd": lambda text: None}, "returned None, a NoneType"),
    ],
)
def test_what_cannot_be_a_slice_is_refused(slices, message):
    with pytest.raises(ConfigError, match=message) as caught:
        grouped(TEXTS, slices, {"year": ["a"] * 4})
    assert caught.value.valid


def test_an_error_within_a_function_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        grouped(TEXTS, {"odd": lambda text: str(1 / 0)})


def test_many_values_become_quartiles_or_others():
    found = few_values([str(year) for year in range(1900, 2000)])
    assert found[0] == "1900 to 1924" and found[-1] == "1975 to 1999"
    assert [found.count(value) for value in sorted(set(found))] == [25] * 4
    values = [f"name {number}" for number in range(30)] + ["name 7"] * 5
    found = few_values(values)
    assert len(set(found)) == 20 and found.count("other values") == 11
    assert found.count("name 7") == 6
    assert few_values(["a", "b"]) == ["a", "b"]


def test_quartiles_keep_equal_numbers_together():
    found = quartiles(np.array([1, 2, 3, 4, 5, 6, 7, 8]), " tokens")
    assert found[0] == found[1] == "1 to 2 tokens" and found[-1] == "7 to 8 tokens"
    found = quartiles(np.array([5] * 9 + [7]))
    assert found == ["5"] * 9 + ["7"]
    assert set(quartiles(np.array([3, 3, 3]))) == {"3"}


def test_the_worst_comes_first_and_the_small_last():
    by = ["a"] * 100 + ["b"] * 100 + ["c"] * 100 + ["d"] * 5 + ["e"] * 8
    right = np.array(
        [True] * 60 + [False] * 40 + [True] * 95 + [False] * 5 + [True] * 80 + [False] * 20
        + [False] * 2 + [True] * 3 + [False] * 8
    )  # fmt: skip
    found = slice_rows({"part": by, "same": ["x"] * len(by)}, "mean", {"score": right})
    assert [row["value"] for row in found] == ["e", "a", "c", "b", "d"]
    # Eight texts of which all are wrong say something; five of which two are wrong do not.
    stands = ["below", "below", "within", "above", "too_few"]
    assert [row["stands"] for row in found] == stands
    assert found[1]["figure"] == share_interval(60, 100) and found[1]["texts"] == 100
    assert {row["by"] for row in found} == {"part"}


def test_where_less_is_better_the_highest_comes_first():
    by = np.repeat(["a", "b", "c", "d"], [100, 100, 100, 5])
    rng = np.random.default_rng(0)
    loss = rng.gamma(2.0, np.repeat([1.0, 3.0, 2.0, 9.0], [100, 100, 100, 5]))
    sums = {"loss": loss, "tokens": np.full(305, 4)}
    found = slice_rows({"part": by}, "exp_ratio", sums, lower=True)
    assert [row["value"] for row in found] == ["b", "c", "a", "d"]
    # Five examples say nothing by the bootstrap, however far they are.
    assert [row["stands"] for row in found] == ["above", "within", "below", "too_few"]
    rows = np.flatnonzero(by == "b")
    part = {key: column[rows] for key, column in sums.items()}
    assert found[0]["figure"] == aggregates.interval("exp_ratio", part)


def test_a_slice_without_a_figure_comes_last():
    by = np.repeat(["a", "b", "c"], 40)
    x = np.where(by == "b", 3.0, np.arange(120))
    found = slice_rows({"part": by}, "pearson", {"x": x, "y": np.arange(120) % 7})
    assert found[-1]["value"] == "b" and found[-1]["figure"] == {"value": None}
    assert found[-1]["stands"] == "within"
    none = slice_rows({"part": by}, "pearson", {"x": np.ones(120), "y": x})
    assert {row["stands"] for row in none} == {"within"}
