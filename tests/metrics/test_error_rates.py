"""Error rates by hand, and edit distances against the table of all prefixes."""

import numpy as np
import pytest

from tfft.metrics import aggregates
from tfft.metrics.text.error_rates import character_error_rate, edit_distance, word_error_rate


def by_table(one, two):
    row = list(range(len(two) + 1))
    for number, item in enumerate(one, 1):
        before, row = row, [number]
        for place, other in enumerate(two):
            change = before[place] + (item != other)
            row.append(min(change, before[place + 1] + 1, row[place] + 1))
    return row[-1]


@pytest.mark.parametrize(
    ("one", "two", "distance"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("abc", "", 3),
        ("kitten", "sitting", 3),
        ("flaw", "lawn", 2),
        ("ab", "ba", 2),
    ],
)
def test_distances_by_hand(one, two, distance):
    assert edit_distance(one, two) == distance == by_table(one, two)


def test_distances_are_those_of_the_table():
    rng = np.random.default_rng(0)
    for _ in range(300):
        one, two = (rng.integers(0, 3, rng.integers(0, 90)).tolist() for _ in range(2))
        assert edit_distance(one, two) == by_table(one, two)


def test_error_rates_are_those_of_the_corpus():
    predictions = ["the cat sat", "a dog", "", "more words than that"]
    references = ["the cat  sat down", "the dog ", "nothing", ""]
    aggregate, terms = word_error_rate(predictions, references)
    assert terms["part"].tolist() == [1, 1, 1, 4] and terms["whole"].tolist() == [4, 2, 1, 0]
    assert aggregates.value(aggregate, terms) == 7 / 7
    aggregate, terms = character_error_rate(predictions[:3], references[:3])
    assert terms["part"].tolist() == [5, 3, 7] and terms["whole"].tolist() == [16, 7, 7]
    found = aggregates.interval(aggregate, terms)
    assert found["value"] == 15 / 30 and found["low"] < 0.5 < found["high"]


def test_nothing_to_recognize_has_no_error_rate():
    assert aggregates.interval(*word_error_rate([""], [""])) == {"value": None}
