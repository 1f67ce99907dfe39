"""Text pairs: the case that every task gets, how they are joined, what tells them apart."""

import keras_hub
import numpy as np
import pytest

import tfft
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.memory import memory
from tfft.errors import ConfigError
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.reports.console import Console
from tfft.tasks import encoding
from tfft.tasks.text.text_pair_classification import TextPairClassification
from tfft.testing.task_case import TaskCase

WORDS = ["film", "plot", "movie", "good", "bad", "great", "worst", "one"]


def pairs(count, seed):
    """Returns pairs that begin alike, and others; no single text says which."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        one, two, other = rng.permutation(WORDS)[:3]
        second = one if number % 2 else two
        label = "same" if number % 2 else "other"
        found.append({"a": f"{one} {number}", "b": f"{second} {other} {number}", "label": label})
    return found


def source(count=96):
    return memory(pairs(count, 0), pairs(24, 1), pairs(24, 2), inputs=("a", "b"))


class TestTextPairClassification(TaskCase):
    def make_task(self):
        return TextPairClassification()

    def make_source(self):
        return source()

    def make_body(self):
        return tiny()


@pytest.mark.parametrize("kind", list(ARCHITECTURES))
def test_every_body_reads_pairs(kind):
    task = TextPairClassification(["other", "same"])
    body = tiny(kind, sequence_length=24).read_for(task)
    first, second = ["a good film", "the plot"], ["a movie", "great " * 40]
    given = encoding.encoded(task, body.preprocessor, (first, second))
    batch = body.preprocessor(first, second)
    for row in range(2):
        length = given.encoded.tokens.lengths[row]
        ids = given.encoded.tokens.pad(np.array([row]), 24, body.preprocessor.pad_id)[0]
        assert np.array_equal(ids[:length], batch["token_ids"][row][:length])
        if "segment_ids" in batch:
            segments = given.encoded.extra["segment_ids"].pad(np.array([row]), 24)[0]
            assert np.array_equal(segments[:length], batch["segment_ids"][row][:length])
    assert given.encoded.tokens.lengths[1] == 24 and given.encoded.full_lengths[1] > 40
    assert tfft.build(task, tiny(kind)).output_shape == (None, 2)


def test_pairs_are_joined_as_bert_reads_them():
    own = tiny(sequence_length=12).preprocessor
    joined = PairPreprocessor(**own.settings())
    packer = keras_hub.layers.MultiSegmentPacker(
        12, start_value=own.start_id, end_value=own.end_id, pad_value=own.pad_id
    )
    texts = [("a film", "good"), ("bad " * 9, "good movie"), ("plot", "one " * 9)]
    for first, second in texts:
        ids = tuple(own.tokenize([text])[:, 1:-1] for text in (first, second))
        [expected], [segments] = packer(ids)
        found = joined([first], [second])
        length = int(found["padding_mask"].numpy().sum())
        assert np.array_equal(found["token_ids"][0], expected[:length])
        assert np.array_equal(found["segment_ids"][0], segments[:length])
    roberta = tiny("roberta").preprocessor
    ids = PairPreprocessor(**roberta.settings())(["a film"], ["good"])["token_ids"].numpy()[0]
    end = roberta.end_id
    places = np.flatnonzero(ids == end)
    assert len(places) == 3 and places[1] == places[0] + 1 and ids[0] == roberta.start_id


def test_both_long_texts_end_equally_long():
    own = tiny(sequence_length=13).preprocessor
    ids = PairPreprocessor(**own.settings())(["film " * 30], ["plot " * 30])["token_ids"][0].numpy()
    ends = np.flatnonzero(ids == own.end_id)
    assert ends.tolist() == [6, 12]  # five tokens each between three special ones
    with pytest.raises(ConfigError, match="leaves no room for two texts"):
        PairPreprocessor(**(own.settings() | {"sequence_length": 4}))


def test_a_source_of_one_text_is_refused():
    one = memory([("a", "x"), ("b", "y")], [("c", "x")], [("d", "y")])
    with pytest.raises(ConfigError, match="reads 2 inputs"):
        encoding.check(TextPairClassification(), one)
    with pytest.raises(ConfigError, match="reads 1 inputs"):
        encoding.check(tfft.tasks.TextClassification(), source())


@pytest.mark.slow
def test_a_run_beats_what_reads_words_alone(tmp_path):
    found = tfft.train(
        TextPairClassification(),
        tiny(layers=1),
        source(),
        [tfft.Stage(epochs=1, schedule=tfft.schedules.Linear(warmup=0))],
        workdir=tmp_path,
        say=Console(quiet=True),
        plots=False,
    )
    assert set(found.report["floors"]) == {
        "majority",
        "tfidf_logistic_regression",
        "word_overlap_logistic_regression",
    }
    overlap = found.report["floors"]["word_overlap_logistic_regression"]["accuracy"]["value"]
    assert overlap > 0.9  # what tells them apart is that they share a word
    assert found.report["mistakes"][0]["text"].count("\n") == 1
    [row] = found.predict(["film 1"], ["film good 1"])
    assert row["label"] in ("same", "other")
