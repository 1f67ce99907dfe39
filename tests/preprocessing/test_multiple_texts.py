"""Examples of several rows, and lists in JSON read in the graph."""

import json
import random

import numpy as np
import pytest
import tensorflow as tf

from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import encode
from tfft.data.encoded_towers import pack, unpack
from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import Batch
from tfft.preprocessing.text.json_lists import strings
from tfft.preprocessing.text.multiple_texts import ChoicePreprocessor, SeveralTexts
from tfft.preprocessing.text.text_pairs import PairPreprocessor

LISTS = [
    ["a", "b"],
    ["", "x", ""],
    [",", '","', '"', '",'],
    ["\\", '\\"', "\\\\n", "\\u0041", "\n\t\r\b\f/"],
    ["\x01", "\x02\x03", "é", "日本", "😀😀", "\u2028"],
    ["[a", "b]", " [", "] ", "[]"],
    ["one"],
    [" a ", "\\ud83d", "{}", "null"],
]


def check_lists(lists, **settings):
    texts = [json.dumps(each, **settings) for each in lists]
    found = strings(tf.constant(texts)).to_list()
    assert [[one.decode() for one in row] for row in found] == lists


@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_lists_are_those_of_json(ascii_only, indent):
    check_lists(LISTS, ensure_ascii=ascii_only, indent=indent)


@pytest.mark.parametrize("ascii_only", [True, False])
def test_any_strings_are_those_of_json(ascii_only):
    rng = random.Random(0)
    signs = '",\\[]u04dD8n \n\x01\x02\x03é😀/'
    lists = [
        ["".join(rng.choices(signs, k=rng.randrange(9))) for _ in range(rng.randrange(1, 5))]
        for _ in range(400)
    ]
    check_lists(lists, ensure_ascii=ascii_only)


def test_other_ways_to_write_a_list():
    text = ' [ "\\u00E9\\/" ,\n"\\ud83d\\ude00x" , "\\ud83dx"] '
    [found] = strings(tf.constant([text])).to_list()
    assert [each.decode() for each in found] == ["é/", "😀x", "\ufffdx"]


QUESTIONS = ["what is it", "is the film good and long", "who"]
CHOICES = [["a film", "the plot"], ["yes", "no it is bad", "maybe"], ["she", "he"]]


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm_roberta"])
def test_a_row_is_a_pair(kind):
    settings = tiny(architecture=kind, sequence_length=12).preprocessor.settings()
    text, pair = ChoicePreprocessor(**settings), PairPreprocessor(**settings)
    lists = [json.dumps(each) for each in CHOICES]
    found = text(QUESTIONS, lists)
    assert found["token_ids"].shape[:2] == (3, 3) and set(found) == set(
        ("token_ids", "padding_mask", *text.inputs)
    )
    for row, (question, choices) in enumerate(zip(QUESTIONS, CHOICES, strict=True)):
        expected = pair([question] * len(choices), choices)
        for name, value in expected.items():
            width = value.shape[1]
            assert np.array_equal(found[name][row, : len(choices), :width], value)
    assert not found["padding_mask"][0, 2].numpy().any()
    assert (found["token_ids"][0, 2].numpy() == text.pad_id).all()


def encoded(text, *columns):
    parts = [tuple(column[i : i + 2] for column in columns) for i in range(0, len(columns[0]), 2)]
    return encode(parts, text)


def test_a_split_of_rows_is_stored_and_batched():
    settings = tiny(sequence_length=12).preprocessor.settings()
    text, pair = ChoicePreprocessor(**settings), PairPreprocessor(**settings)
    lists = [json.dumps(each) for each in CHOICES]
    data = encoded(text, QUESTIONS, lists)
    assert data.size == 3 and data.windows.counts.tolist() == [2, 3, 2]
    whole = [
        pair.rows([question] * len(choices), choices)["full"].numpy()
        for question, choices in zip(QUESTIONS, CHOICES, strict=True)
    ]
    longest = [min(12, max(each)) for each in whole]
    assert data.full_lengths.tolist() == [sum(each) for each in whole]
    assert data.kept.tolist() == [sum(min(12, one) for one in each) for each in whole]
    assert data.sizes.tolist() == [3 * one for one in longest]
    batch = ExampleReader(data).batch(Batch(np.array([1, 0]), 36))
    expected = text([QUESTIONS[1], QUESTIONS[0]], [lists[1], lists[0]])
    for name, value in batch.items():
        assert value.dtype == np.int32
        assert np.array_equal(value[..., : expected[name].shape[2]], expected[name])
    again = unpack(pack(data), text)
    assert again.sizes.tolist() == data.sizes.tolist()
    some = data.take(np.array([2, 0]))
    assert some.windows.counts.tolist() == [2, 2] and some.sizes.tolist() == [
        2 * longest[2],
        2 * longest[0],
    ]
    assert data.windows.told() == "2 to 3 rows an example, 7 in all"


def test_texts_are_rows_of_their_own():
    own = tiny(sequence_length=6).preprocessor
    text = SeveralTexts(**own.settings(), count=2)
    first, second = ["the film", "a"], ["is it a plot of the film", "b"]
    found, data = text(first, second), encoded(text, first, second)
    for row in range(2):
        expected = own([first[row], second[row]])["token_ids"].numpy()
        assert np.array_equal(found["token_ids"][row, :, : expected.shape[1]], expected)
    assert data.windows.counts.tolist() == [2, 2]
    assert data.truncation()["cut_texts"] == 1
    assert text.fingerprint() != own.fingerprint()
