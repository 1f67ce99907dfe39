"""Words of texts in many scripts, by every tokenizer, and spans out of words' tags."""

import functools
import unicodedata

import judge
import numpy as np
import pytest
import tensorflow as tf

from tfft.backbones.text.tiny import WORDS, tiny
from tfft.preprocessing.text import word_spans
from tfft.preprocessing.text.word_spans import WordPreprocessor

KINDS = ["bert", "roberta", "xlm_roberta", "albert", "deberta_v3"]
# Scripts without spaces between words have the tokens as words, which differ by tokenizer.
SPACED = {
    "U.S. don't  @paul_w (New York)!": "U . S . don ' t @ paul _ w ( New York ) !",
    "Cafe\u0301 na\u00efve, x\u0301": "Cafe\u0301 na\u00efve , x\u0301",
    "हिन्दी में क़लम लिखो, ५ बार": "हिन्दी में क़लम लिखो , ५ बार",
    "العَرَبِيَّةُ لُغَةٌ جميلة": "العَرَبِيَّةُ لُغَةٌ جميلة",
    "می\u200cخواهم، می": "می\u200cخواهم ، می",
    "한국어 텍스트": "한국어 텍스트",
    "the ﬁlm ½ x½y": "the ﬁlm ½ x½y",
    "  lead\n\tnl ": "lead nl",
    "Съешь ещё Й и\u0306": "Съешь ещё Й и\u0306",
    "soft\u00adhyphen zero\u200bwidth": "soft\u00adhyphen zero width",
    "": "",
}


@functools.cache
def preprocessor(kind, length=200):
    settings = tiny(kind).preprocessor.settings()
    return WordPreprocessor(**{**settings, "sequence_length": length})


def found(kind, texts, length=200):
    """Returns the words of texts as they are written, and their places."""
    made = preprocessor(kind, length)
    columns = made.read(tf.constant(texts)).columns
    pairs = zip(*(columns[name].to_list() for name in ("starts", "ends")), strict=True)
    places = [[(s, e) for s, e in zip(*pair, strict=True) if s >= 0] for pair in pairs]
    written = [[t[s:e] for s, e in row] for t, row in zip(texts, places, strict=True)]
    return written, places


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_scripts_with_spaces(kind):
    written, _ = found(kind, list(SPACED))
    right = [row.split(" ") if row else [] for row in SPACED.values()]
    if kind in ("xlm_roberta", "albert", "deberta_v3"):
        right[4].remove("،")  # within one unknown token, behind a word
    assert written == right


def test_words_of_scripts_without_spaces_are_the_tokens():
    texts = ["我爱北京Beijing天安门。", "กำลังดี", "これはペンです"]
    written, _ = found("bert", texts)
    assert written[0] == ["我", "爱", "北", "京", "Beijing", "天", "安", "门", "。"]
    written, _ = found("roberta", texts)
    assert written[1][0] == "ก" and "".join(written[1]) == texts[1]
    assert written[2] == list(texts[2])


@pytest.mark.parametrize("kind", ["roberta", "xlm_roberta"])
def test_emoji_are_words_with_their_modifiers(kind):
    written, _ = found(kind, ["I ☃\ufe0f a🙂b 👍"])
    assert written == [["I", "☃\ufe0f", "a", "🙂", "b", "👍"]]


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_in_order_and_each_token_begins_in_one(kind):
    lines = [*judge.EDGES, *judge.unicode_lines(60, 3, WORDS)]
    lines = [line.replace("\x00", "").encode("utf-8", "replace").decode() for line in lines]
    made = preprocessor(kind)
    bounds = made.read(tf.constant(lines)).columns.values()
    tokens = made.subwords.ids_with_offsets(lines)[1]
    for text, begins, closes, first in zip(lines, *bounds, tokens, strict=True):
        begins, closes = begins.numpy(), closes.numpy()
        kept = begins >= 0
        assert ((closes >= 0) == kept).all()
        begins, closes = begins[kept], closes[kept]
        assert (begins < closes).all() and (closes[:-1] <= begins[1:]).all(), text
        assert (closes <= len(text)).all(), text
        covered = {i for s, e in zip(begins, closes, strict=True) for i in range(s, e)}
        inked = (s for s in first.numpy()[:198] if s < len(text))
        inked = {s for s in inked if unicodedata.category(text[s])[0] not in "ZCM"}
        assert inked <= covered, (text, inked - covered)


@pytest.mark.parametrize("kind", ["bert", "xlm_roberta"])
def test_words_do_not_depend_on_the_batch(kind):
    texts = [*SPACED, "我爱北京", "a", " ", "\u0301x"]
    together = found(kind, texts)
    alone = [found(kind, [text]) for text in texts]
    assert together[0] == [one[0][0] for one in alone]


def test_rows_and_calls_say_the_same_and_special_tokens_are_no_words():
    made, texts = preprocessor("bert", 6), tf.constant(["a film, good", "the worst plot on it"])
    rows, called = made.rows(texts), made(texts)
    assert rows["full"].numpy().tolist() == [6, 7]
    assert called["starts"].numpy().tolist() == [[-1, 0, 2, 6, 8, -1], [-1, 0, 4, 10, 15, -1]]
    assert called["ends"].numpy().tolist() == [[-1, 1, 6, 7, 12, -1], [-1, 3, 9, 14, 17, -1]]
    assert rows["starts"].numpy().tolist() == called["starts"].numpy().reshape(-1).tolist()
    assert called["token_ids"].shape == called["starts"].shape
    assert made.fingerprint() != tiny("bert").preprocessor.fingerprint()


@pytest.mark.parametrize("kind", ["bert", "albert"])
def test_batches_without_a_word(kind):
    for texts in ([], [""], ["", " \u200b"]):
        called = preprocessor(kind)(tf.constant(texts, tf.string))
        assert called["starts"].shape[0] == len(texts)
        assert (called["starts"].numpy() == -1).all() and (called["ends"].numpy() == -1).all()


def brute(tags, rows):
    """Returns spans (row, first word, last word, label) of tags, word by word."""
    out, open_label, before = [], None, None
    for place, (tag, row) in enumerate(zip(tags, rows, strict=True)):
        if row != before:
            open_label = None
        before = row
        label = None if tag == 0 else (tag - 1) // 2
        if label is not None and (tag % 2 == 1 or label != open_label):
            out.append([row, place, place, label])
        elif label is not None:
            out[-1][2] = place
        open_label = label
    return out


@pytest.mark.parametrize("seed", range(20))
def test_spans_of_tags(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(0, 40))
    rows = np.sort(rng.integers(0, 6, count))
    chances = rng.dirichlet(np.ones(5), count).astype(np.float32).reshape(-1, 5)
    tags, starts = chances.argmax(1), np.arange(count, dtype=np.int32) * 10
    made = word_spans.spans(*map(tf.constant, (chances, starts, starts + 7, rows)))
    made = {name: value.numpy() for name, value in made.items()}
    right = brute(tags, rows)
    assert made["rows"].tolist() == [row for row, *_ in right]
    assert made["starts"].tolist() == [10 * first for _, first, _, _ in right]
    assert made["ends"].tolist() == [10 * last + 7 for *_, last, _ in right]
    assert made["labels"].tolist() == [label for *_, label in right]
    products = [chances[f : t + 1].max(1).prod() for _, f, t, _ in right]
    np.testing.assert_allclose(made["probabilities"], products, rtol=1e-5)


def test_dense_spans_are_those_of_each_text():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(5), (4, 9)).astype(np.float32)
    starts = np.where(rng.random((4, 9)) < 0.6, np.arange(9) * 3, -1).astype(np.int32)
    starts[2] = -1
    ends = np.where(starts >= 0, starts + 2, -1).astype(np.int32)
    dense = word_spans.dense_spans(*map(tf.constant, (chances, starts, ends)), ["x", "y"])
    listed = word_spans.spans_of(list(chances), list(np.stack([starts, ends], 2)), ["x", "y"])
    rows = zip(*(dense[n].numpy() for n in ("starts", "ends", "labels")), strict=True)
    for row, mine in zip(rows, listed, strict=True):
        kept = [(int(s), int(e), n.decode()) for s, e, n in zip(*row, strict=True) if s >= 0]
        assert kept == [span[:3] for span in mine]
    assert not listed[2] and (dense["starts"].numpy()[2] == -1).all()
    assert dense["starts"].dtype == tf.int32 and dense["labels"].dtype == tf.string
