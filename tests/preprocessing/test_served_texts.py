"""Served texts are cut before they are tokenized, and what the model reads is the same."""

import json
import random
import resource

import numpy as np
import pytest
import tensorflow as tf
from trainings import slow

from tfft.backbones.text.tiny import tiny
from tfft.preprocessing.text import served_texts
from tfft.preprocessing.text.long_text_windows import WindowPreprocessor
from tfft.preprocessing.text.masking import MaskingPreprocessor
from tfft.preprocessing.text.multiple_texts import ChoicePreprocessor, SeveralTexts
from tfft.preprocessing.text.prompts import PromptPreprocessor, SourcePreprocessor
from tfft.preprocessing.text.question_windows import PairWindows
from tfft.preprocessing.text.subword_tokenizer import HubTokenizer
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor
from tfft.preprocessing.text.word_spans import WordPreprocessor

ENCODERS = ("bert", "roberta", "xlm_roberta", "albert", "deberta_v3")
WORDS = (
    *("a", "film", "the film", "good movie", "plot", "it isn't", "don't", "12 apples", "3.14", "x"),
    *("Éa", "e\u0301e\u0301", "A\u030a\u0327", "fi\ufb01", "ﬁlm", "ÅSA", "straße", "İi", "Σας"),
    *("的电影很好", "中文字", "日本語のテキスト", "한국어", "ภาษาไทย", "हिन्दी में", "سلام", "שלום"),
    *("😀", "👩‍👩‍👧", "\u200b", "\ufeff", "\x00", "\x07", "६", "\U000e01ef", "\ufffd", "``q''"),
    *("[SEP]", "[MASK]", "<s>", "</s>", "<mask>", "[UNK]", "don’t", "…", "—", "?!", "'s", "\u2581"),
    *("y" * 90, "z" * 150, "u\u0301" * 70, "http://a.b/c?d=e&f=g", "a_b-c.d", "\u0301", "1,000"),
)
SPACES = (" ", " ", " ", "  ", "\n", "\t", "\r\n", "\u3000", "\xa0", "", " \n ", " " * 40)


def text(rng, words):
    return "".join(rng.choice(WORDS) + rng.choice(SPACES) for _ in range(words))


def texts(seed):
    """Returns texts of any script, some of one kind alone, some with bytes that are no UTF-8."""
    rng = random.Random(seed)
    found = [text(rng, rng.choice((0, 1, 5, 40, 120))).encode() for _ in range(12)]
    found += [
        b" " * 700 + b"a b",
        "中文字".encode() * 90,
        b"a " * 300,
        b"w" * 900,
        b"\xe4\xb8 a " * 90,
    ]
    spoiled = bytearray(found[rng.randrange(12)])
    for _ in range(len(spoiled) // 9):
        spoiled[rng.randrange(len(spoiled))] = rng.randrange(256)
    return [*found, bytes(spoiled)]


def preprocessors(kind):
    """Returns every preprocessor of a kind of tokenizer, and how many texts each reads."""
    own = tiny(kind, sequence_length=16).preprocessor
    settings = own.settings()
    found = {
        "one": (TextPreprocessor(**settings), 1),
        "words": (WordPreprocessor(**settings), 1),
        "windows": (WindowPreprocessor(**settings, overlap=3, most=3), 1),
        "pairs": (PairPreprocessor(**settings), 2),
        "questions": (PairWindows(**settings, first_length=4, overlap=2, most=3), 2),
        "several": (SeveralTexts(**settings, count=2), 2),
    }
    if own.subwords.mask_id() is not None:
        found["masks"] = (MaskingPreprocessor(**settings), 1)
    return found


def check(preprocessor, columns, monkeypatch):
    """Compares what is read of cut and of whole texts; returns the bytes that were cut."""
    cut = []
    limited = served_texts.limited

    def counted(values):
        cut.append(int(tf.reduce_sum(tf.strings.length(values))))
        return limited(values)

    with monkeypatch.context() as patch:
        patch.setattr(served_texts, "LEAST", 10**9)
        expected = preprocessor(*columns)
        patch.undo()
        patch.setattr(served_texts, "LEAST", 48)
        patch.setattr(served_texts, "BYTES_PER_TOKEN", 8)
        patch.setattr(served_texts, "TAIL", 48)
        patch.setattr(served_texts, "limited", counted)
        found = preprocessor(*columns)
    assert found.keys() == expected.keys()
    for name in expected.keys() - {"second"}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    for one, other in zip(found.get("second", ()), expected.get("second", ()), strict=True):
        assert other.numpy().startswith(one.numpy())
    return sum(cut)


@pytest.mark.parametrize(
    ("kind", "names", "seeds"),
    [("bert", ("one", "windows"), 2), *(slow(kind, None, 10) for kind in ENCODERS)],
)
def test_what_is_read_of_cut_texts_is_what_is_read_of_whole_ones(kind, names, seeds, monkeypatch):
    for name, (preprocessor, count) in preprocessors(kind).items():
        for seed in range(seeds) if names is None or name in names else ():
            columns = [tf.constant(texts(7 * seed + n)) for n in range(count)]
            check(preprocessor, columns, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_sources_of_texts_that_are_written(kind, monkeypatch):
    settings = tiny(kind, sequence_length=16).preprocessor.settings()
    begins = settings.pop("begins")
    preprocessor = SourcePreprocessor(**settings, begins=begins)
    for seed in range(10):
        check(preprocessor, [tf.constant(texts(seed))], monkeypatch)


def test_long_texts_are_cut(monkeypatch):
    """Ordinary texts become short ones; texts without a place to cut stay as they are."""
    preprocessor = tiny(sequence_length=16).preprocessor
    sizes = {
        name: len(preprocessor.shorten([content], 16).numpy()[0])
        for name, content in {
            "english": "the film is good. " * 10_000,
            "chinese": "电影很好看" * 10_000,
            "lines": "ภาษาไทย\n" * 10_000,
            "one word": "x" * 100_000,
            "short": "the film",
        }.items()
    }
    most = served_texts.LEAST + 16 * served_texts.BYTES_PER_TOKEN
    assert sizes["short"] == 8 and sizes["one word"] == 100_000
    for name in ("english", "chinese", "lines"):
        assert most - served_texts.TAIL <= sizes.pop(name) <= most


@pytest.mark.parametrize("kind", ["bert", slow("roberta"), slow("xlm_roberta")])
def test_a_text_that_cannot_be_cut_has_a_limit(kind, monkeypatch):
    monkeypatch.setattr(served_texts, "MOST_BYTES", 6000)
    preprocessor = tiny(kind, sequence_length=16).preprocessor
    serve = tf.function(preprocessor, input_signature=[tf.TensorSpec([None], tf.string)])
    assert (
        serve(tf.constant(["x" * 6000, "the film is good. " * 10_000]))["token_ids"].shape[0] == 2
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 6,000 bytes and cannot be"):
        serve(tf.constant(["a film", "x" * 6001]))


def test_prompts_and_lists_of_choices_have_a_limit(monkeypatch):
    settings = tiny(sequence_length=32).preprocessor.settings()
    prompts = PromptPreprocessor(**settings, answer_length=4)
    choices = ChoicePreprocessor(**settings)
    question = "the film is good. " * 1000
    lists = [json.dumps(["a", "b"]), json.dumps(["c"] * 10)]
    expected = choices([question[:400]] * 2, lists)
    found = choices([question] * 2, lists)  # the question is cut, the choices are not
    for name, values in expected.items():
        np.testing.assert_array_equal(found[name], values)
    monkeypatch.setattr(served_texts, "MOST_BYTES", 6000)
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 6,000 bytes"):
        prompts([question])
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 6,000 bytes"):
        choices(["a"], [json.dumps(["c" * 7000])])
    with pytest.raises(tf.errors.InvalidArgumentError, match="more than 1,000 choices"):
        choices(["a"], [json.dumps(["c"] * 1001)])


def test_a_tokenizer_whose_pieces_go_on_behind_a_space_cuts_nothing():
    own = tiny("xlm_roberta").preprocessor.subwords
    assert own.boundary is not None

    class Crossing:
        proto = own.tokenizer.proto + b"\x0a\x07\x0a\x05a\xe2\x96\x81b"

    assert HubTokenizer(Crossing()).boundary is None
    roberta = tiny("roberta").preprocessor.subwords
    assert roberta.boundary is not None
    roberta.tokenizer.unsplittable_tokens.append("two words")
    assert roberta.boundary is None


@pytest.mark.slow
def test_the_memory_does_not_grow_with_the_text():
    preprocessor = tiny(sequence_length=128).preprocessor
    preprocessor(["a film"])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    preprocessor(["the film is good. " * 1_000_000])  # 18 MB
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB; uncut it takes more than a GiB
