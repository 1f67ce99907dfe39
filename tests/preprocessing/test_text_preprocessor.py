"""Cutting, padding, and the same ids in eager code, tf.data, a function and a SavedModel."""

import json
import pathlib
import sys

import forks
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.eager import context
from trainings import slow

from tfft import backbones
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import hub_tokenizer
from tfft.errors import ConfigError
from tfft.preprocessing.text.subword_tokenizer import HubTokenizer
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor

TEXTS = ["a good movie with the worst plot!", "", "It was GREAT fun, isn't it?", "  two  spaces "]
# A fresh process that knows neither tfft nor KerasHub; tensorflow-text registers the operations.
SERVE = """
import sys, json, tensorflow as tf, tensorflow_text
for folder in sys.argv[2:]:
    served = tf.saved_model.load(folder).signatures["serving_default"]
    rows = served(text=tf.constant(json.loads(sys.argv[1])))["token_ids"]
    print(json.dumps(rows.numpy().tolist()))
assert not {"tfft", "keras_hub"} & set(sys.modules)
"""
KINDS = ["bert", "roberta", "xlm_roberta", "albert", "deberta_v3"]


class Served(tf.Module):
    def __init__(self, preprocessor):
        super().__init__()
        self.preprocessor = preprocessor

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def serve(self, text):
        return self.preprocessor(text)


@pytest.fixture(scope="module")
def preprocessors():
    return {kind: backbones.tiny(kind, sequence_length=24).preprocessor for kind in KINDS}


@pytest.mark.parametrize("kind", [slow(k) if k == "roberta" else k for k in KINDS])
def test_the_same_in_eager_code_in_data_and_in_a_function(kind, preprocessors):
    preprocessor = preprocessors[kind]
    eager = preprocessor(TEXTS)
    mapped = next(iter(tf.data.Dataset.from_tensor_slices(TEXTS).batch(4).map(preprocessor)))
    traced = tf.function(preprocessor)(tf.constant(TEXTS))
    for other in (mapped, traced):
        assert set(other) == {"token_ids", "padding_mask"}
        for name, values in eager.items():
            np.testing.assert_array_equal(values, other[name])
            assert values.dtype == other[name].dtype == tf.int32


@pytest.mark.slow
def test_in_a_saved_model(preprocessors, tmp_path):
    for kind, preprocessor in preprocessors.items():
        served = Served(preprocessor)
        tf.saved_model.save(served, tmp_path / kind, signatures={"serving_default": served.serve})
    code = [sys.executable, "-c", SERVE, json.dumps(TEXTS), *KINDS]
    found = forks.run(code, tmp_path, forks.TENSORFLOW)
    assert found.returncode == 0, found.stderr
    lines = found.stdout.splitlines()
    for kind, line in zip(KINDS, lines, strict=True):
        expected = preprocessors[kind](TEXTS)["token_ids"]
        np.testing.assert_array_equal(json.loads(line), expected)


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_special_tokens_and_ids_of_the_body_s_own_tokenizer(kind):
    preprocessor, tokenizer = backbones.tiny(kind).preprocessor, hub_tokenizer(kind)
    texts = ["a good movie with the worst plot!", "the film was bad"]
    for row, own in zip(preprocessor.tokenize(texts).to_list(), tokenizer(texts), strict=True):
        assert row[0] == tokenizer.start_token_id and row[-1] == tokenizer.end_token_id
        assert row[1:-1] == list(map(int, own))


def test_truncation_keeps_the_last_token():
    text = backbones.tiny(sequence_length=4).preprocessor
    rows = tf.ragged.constant([[2, 3], [2, 5, 3], [2, 5, 6, 3], [2, 5, 6, 7, 8, 3]], tf.int32)
    cut = text.truncate(rows).to_list()
    assert cut == [[2, 3], [2, 5, 3], [2, 5, 6, 3], [2, 5, 6, 3]]


def test_padding():
    text = backbones.tiny("roberta").preprocessor
    rows = tf.ragged.constant([[0, 2], [0, 5, 2]], tf.int32)
    batch = text.pad(rows)
    assert batch["token_ids"].numpy().tolist() == [[0, 2, 1], [0, 5, 2]]
    assert batch["padding_mask"].numpy().tolist() == [[1, 1, 0], [1, 1, 1]]


def test_no_texts():
    batch = backbones.tiny().preprocessor(tf.constant([], tf.string))
    assert batch["token_ids"].shape[0] == 0


@pytest.mark.parametrize("length", [0, 2, True])
def test_a_length_without_room(length):
    with pytest.raises(ConfigError, match="tiny.sequence_length must be"):
        backbones.tiny(sequence_length=length)


def test_albert_folds_accents_and_quotes_as_its_own_tokenizer_does():
    pieces = hub_tokenizer("albert")
    make = {"start_id": 2, "end_id": 3, "pad_id": 0}
    folding = TextPreprocessor(HubTokenizer(pieces, fold=True, lowercase=True), **make)
    plain = TextPreprocessor(HubTokenizer(pieces), **make)
    folded = folding.tokenize(["Thé   ``MOVIE''  "]).to_list()
    assert folded == plain.tokenize(['the "movie"']).to_list()
    assert folding.fingerprint() != plain.fingerprint()


def test_missing_byte_pair_piece_is_unknown_and_not_minus_one():
    tokenizer = hub_tokenizer("roberta")
    words = {k: v for k, v in tokenizer.vocabulary.items() if k != "z"}
    small = type(tokenizer)(words, tokenizer.merges)
    text = TextPreprocessor(HubTokenizer(small), start_id=0, end_id=2, pad_id=1)
    assert text.tokenize(["z"]).to_list() == [[0, words["<unk>"], 2]]


def test_a_fingerprint_does_not_depend_on_the_order_of_special_tokens():
    tokenizer = hub_tokenizer("roberta")
    settings = HubTokenizer(tokenizer).settings()
    tokenizer.unsplittable_tokens = tokenizer.unsplittable_tokens[::-1]
    assert HubTokenizer(tokenizer).settings() == settings


def test_nothing_here_imports_a_tokenizer_that_is_only_for_tests():
    folder = pathlib.Path(sys.modules["tfft.preprocessing.text.text_preprocessor"].__file__).parent
    assert not any("import tokenizers" in path.read_text() for path in folder.glob("*.py"))


@pytest.mark.parametrize("kind", [slow(k) if k == "roberta" else k for k in KINDS])
def test_a_tokenizer_outlives_a_seed_that_is_set_after_it_was_built(kind, preprocessors):
    """Setting a seed empties TensorFlow's cache of operations, and their resources with it."""
    preprocessor = preprocessors[kind]
    data = tf.data.Dataset.from_tensors(tf.constant(TEXTS)).map(preprocessor)
    expected = preprocessor(TEXTS)["token_ids"].numpy()
    list(data)
    seed = context.global_seed()
    try:
        keras.utils.set_random_seed(1)
        np.testing.assert_array_equal(preprocessor(TEXTS)["token_ids"], expected)
        np.testing.assert_array_equal(next(iter(data))["token_ids"], expected)
    finally:
        context.set_global_seed(seed)
