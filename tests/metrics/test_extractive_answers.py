"""Answers in SQuAD's shape: what is read and refused, and how they are compared."""

import pytest

from tfft.baselines.sliding_window_answers import SlidingWindow
from tfft.errors import DataError
from tfft.metrics.text import extractive_answers


@pytest.mark.parametrize(
    "known,message",
    [
        ("no json", "an answer is 'no json'"),
        ('{"text": ["film"]}', "an answer is"),
        ('{"text": "film", "answer_start": 4}', "an answer is"),
        ('{"text": ["film"], "answer_start": [1, 2]}', "an answer is"),
        ('{"text": ["film"], "answer_start": ["4"]}', "has the text 'film' and the start '4'"),
        ('{"text": [""], "answer_start": [4]}', "has the text '' and the start 4"),
        ('{"text": ["film"], "answer_start": [7]}', "does not stand at character 7"),
    ],
)
def test_a_wrong_answer_is_told(known, message):
    with pytest.raises(DataError, match=message) as caught:
        extractive_answers.read(known, "which?", "the 🎬 film")
    assert "'which?'" in caught.value.set_in
    if "7" in known:
        assert caught.value.valid.startswith("answer_start 6, where it first stands")


@pytest.mark.parametrize(
    "found,golds,f1,exact",
    [
        ("The Cat!", ["cat"], 1.0, 1.0),
        ("a black cat", ["the cat", "black dog"], 2 / 3, 0.0),
        ("", [], 1.0, 1.0),
        ("cat", [], 0.0, 0.0),
        ("", ["cat"], 0.0, 0.0),
        ("the", ["the", "..."], 1.0, 1.0),
        ("北京", ["北京"], 1.0, 1.0),
        ("cat cat", ["cat dog cat cat"], 2 / 3, 0.0),
    ],
)
def test_answers_are_compared_as_squad_does(found, golds, f1, exact):
    assert extractive_answers.f1(found, golds) == pytest.approx(f1)
    assert extractive_answers.exact(found, golds) == exact


def test_the_window_floor_finds_what_stands_beside_the_question():
    context = "The plot is thin. Anna Maria Berg wrote the novel in 1851, in Paris. It was read."
    window = SlidingWindow([context, "the film is one", "it was the first in the land"])
    start, end = window.span("Who wrote the novel?", context)
    assert context[start:end] == "Anna Maria Berg"
    assert window.span("Who?", "...") is None
