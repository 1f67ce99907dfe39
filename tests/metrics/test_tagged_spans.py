"""Spans: what answers say, tags of words, figures against a count by hand, floors."""

import json

import numpy as np
import pytest

from tfft.baselines.span_dictionary import Dictionary, span_floors
from tfft.errors import DataError
from tfft.metrics.text import tagged_spans

# "New York, I": a token that begins no word stands between.
TEXT = "New York, I"
WORDS = np.array([[-1, -1], [0, 3], [4, 8], [-1, -1], [8, 9], [10, 11], [-1, -1]])


def test_tags_and_labels():
    assert tagged_spans.tags_of(["a", "b"]) == ("O", "B-a", "I-a", "B-b", "I-b")
    assert tagged_spans.labels_of(tagged_spans.tags_of(["a", "b-c"])) == ("a", "b-c")


@pytest.mark.parametrize(
    "answer",
    [
        "[[0, 3]]",
        "{}x",
        "3",
        "{}",
        '""',
        '[{"start": 0, "end": 3, "label": "a"}]',
        "[" * 100_000,
        '[[3, 3, "a"]]',
        '[[-1, 3, "a"]]',
        '[[0, 3, ""]]',
        "[[0, 3, 4]]",
        '[[0.5, 3, "a"]]',
        '[["0", 3, "a"]]',
        '[[0, true, "a"]]',
    ],
)
def test_an_answer_that_is_no_list_of_spans(answer):
    with pytest.raises(DataError, match="is no list of spans"):
        tagged_spans.read_spans(answer)


def test_spans_that_overlap_are_shown():
    answer = '[[4, 8, "a"], [0, 5, "b"]]'
    with pytest.raises(DataError) as caught:
        tagged_spans.read_spans(answer)
    assert '[0, 5, "b"] and [4, 8, "a"] overlap' in caught.value.problem
    assert tagged_spans.read_spans('[[4, 8, "a"], [0, 4, "b"]]') == [(0, 4, "b"), (4, 8, "a")]


def test_spans_of_a_text():
    assert tagged_spans.spans_in('[[0, 4, "a"], [9, 11, "b"]]', TEXT) == [
        (0, 3, "a"),
        (10, 11, "b"),
    ]
    with pytest.raises(DataError, match="ends behind the text"):
        tagged_spans.spans_in('[[8, 12, "a"]]', TEXT)
    with pytest.raises(DataError, match="has no character"):
        tagged_spans.spans_in('[[3, 4, "a"]]', TEXT)


@pytest.mark.parametrize(
    "given, tags",
    [
        ([], [0, 0, 0, 0]),
        ([(0, 8, "a")], [1, 2, 0, 0]),
        ([(0, 3, "b"), (4, 9, "a")], [3, 1, 2, 0]),
        ([(2, 5, "b")], [3, 4, 0, 0]),
        ([(10, 11, "a")], [0, 0, 0, 1]),
        ([(11, 15, "a")], [0, 0, 0, 0]),
    ],
)
def test_tags_of_the_words_that_a_span_touches(given, tags):
    found = tagged_spans.token_tags(given, WORDS, ("a", "b"))
    assert found[WORDS[:, 0] >= 0].tolist() == tags
    assert (found[WORDS[:, 0] < 0] == -1).all() and found.dtype == np.int32


def test_an_unknown_label_is_refused():
    with pytest.raises(DataError, match="'aa' is none"):
        tagged_spans.token_tags([(0, 3, "aa")], WORDS, ("a", "b"))


def test_spans_that_no_model_can_find_are_counted():
    rows = [
        ([(0, 8, "a"), (2, 5, "b"), (10, 11, "a")], WORDS, False),
        ([(9, 20, "a")], WORDS, True),
    ]
    one, two = tagged_spans.told(rows)
    assert one.startswith("1 of 4 spans do not begin and end with a word")
    assert two.startswith("1 of 4 spans stand where a text is cut")
    assert tagged_spans.told([([(0, 8, "a")], WORDS, True)]) == []


def test_figures_are_those_of_a_count():
    rng = np.random.default_rng(0)

    def drawn():
        edges = np.sort(rng.choice(12, 2 * rng.integers(0, 4), replace=False)).reshape(-1, 2)
        return [(int(s), int(e), str(rng.choice(["a", "b"]))) for s, e in edges]

    truth = [drawn() for _ in range(300)]
    found = [each if rng.random() < 0.5 else drawn() for each in truth]
    metrics = tagged_spans.span_metrics(truth, found, ["a", "b", "c"], {})

    def right(kept):
        rows = zip(truth, found, strict=True)
        pairs = [(set(filter(kept, t)), set(filter(kept, f))) for t, f in rows]
        hits = sum(len(t & f) for t, f in pairs)
        return hits / sum(len(f) for _, f in pairs), hits / sum(len(t) for t, _ in pairs)

    for row, kept in [
        ({n: metrics[n]["value"] for n in ("precision", "recall", "f1")}, lambda s: True),
        (metrics["classes"]["a"], lambda s: s[2] == "a"),
        (metrics["classes"]["b"], lambda s: s[2] == "b"),
    ]:
        precision, recall = right(kept)
        assert (row["precision"], row["recall"]) == pytest.approx((precision, recall))
        assert row["f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    assert metrics["f1"]["low"] < metrics["f1"]["value"] < metrics["f1"]["high"]
    assert metrics["classes"]["a"]["support"] == sum(s[2] == "a" for each in truth for s in each)
    never = metrics["classes"]["c"]
    assert never["support"] == 0 and never["f1"] is None and never["intervals"]["f1"] is None


def test_the_dictionary_takes_the_longest_and_the_most_frequent():
    texts = ["New York is new", "New York Times", "I like York", "York it"]
    words = [text.split() for text in texts]
    places = [[(0, 2, "LOC")], [(0, 3, "ORG")], [(2, 3, "LOC")], []]
    dictionary = Dictionary(words, places)
    # "New York" stood twice, once as a place; "York" four times, once as a place.
    assert dictionary.labels == {
        ("New", "York"): "LOC",
        ("New", "York", "Times"): "ORG",
    }
    text = ["The", "New", "York", "Times", "of", "New", "York", "City", ",", "York"]
    assert dictionary.find(text) == [(1, 4, "ORG"), (5, 7, "LOC")]


def test_floors_are_outputs():
    train = ([TEXT], [WORDS], [[(0, 8, "a")]])
    floors = span_floors(train, ([TEXT, "I"], [WORDS, WORDS[-2:-1] - 10]), ("a", "b"))
    assert floors["majority"].outputs[0].shape == (7, 5)
    np.testing.assert_allclose(floors["majority"].outputs[1], [[0.5, 0.25, 0.25, 0, 0]])
    best = floors["dictionary"].outputs[0].argmax(1)
    assert best[WORDS[:, 0] >= 0].tolist() == [1, 2, 0, 0]
    assert tagged_spans.readable(json.loads('[[0, 8, "a"]]'), TEXT) == "New York (a)"
