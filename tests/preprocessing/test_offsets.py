"""Where tokens stand in a text as it was given, against three judges.

`tokenizers` is the judge of WordPiece and of byte-level BPE, the offsets of `sentencepiece`'s own
normaliser are that of SentencePiece.
"""

import functools
import io
import itertools
import json
import re
from unicodedata import category, combining

import judge
import pytest
import sentencepiece
import tensorflow as tf
import tokenizers
from trainings import slow

from tfft.backbones.text.tiny import WORDS, hub_tokenizer, tiny
from tfft.preprocessing.text.offsets import with_marks
from tfft.preprocessing.text.subword_tokenizer import HubTokenizer
from tfft.preprocessing.text.wordpiece import WordPiece, WordPieceSettings
from tfft.storage.downloads import fetch

SCRIPTS = [
    "Crème brûlée à la carte, naïve Ångström",
    "Cre\u0300me bru\u0302le\u0301e q\u0307\u0323 e\u0302\u0301x a\u030a",
    "Straße STRASSE GROẞ Fußgänger",
    "İstanbul'da Iğdır, ısı İİ",
    "ὈΔΥΣΣΕΎΣ ΟΔΟΣ. σοφός Ά Α\u0301",
    "Съешь ещё этих мягких Й и\u0306",
    "בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "العَرَبِيَّةُ لُغَةٌ جميلة ﷲ ﷺ",
    "हिन्दी में क़लम लिखो, ५ बार",
    "ภาษาไทยน้ำใจ กำลัง",
    "한국어 텍스트 \u1112\u1161\u11ab\u1100\u116e\u11a8 ㈜한국",
    "我爱北京天安门。𠀀豈",
    "ガギグゲゴ か\u3099き\u3099 ﾊﾞﾊﾟ ㍿ ｶﾞｷﾞ",
    "👨\u200d👩\u200d👧 👍🏽 🇩🇪 ☃\ufe0f a🙂b",
    "zero\u200bwidth soft\u00adhyphen bom\ufeff bell\x07 del\x7f x\x01",
    "\ttabs\tand\nnew\r\nlines \x0b \x0c end \n",
    "good [SEP] a[SEP]b [MASK] [sep] <mask> </s>",
    "the ﬁlm… xﬁ ﬁ ½ ① ™ Ⅳ ``the'' ```` '''",
    "  two  spaces\u00a0and\u3000wide \u2003 ",
]
# Marks that decomposition may move, and that are not removed. The judge counts characters in the
# order that comes of it; ours is the place that they had.
MOVED = {c for c in map(chr, range(0x110000)) if combining(c) and category(c) != "Mn"}


def found(subwords, texts):
    """Returns ids and spans of each text, after making sure that the ids are those of `ids`."""
    ids, starts, ends = subwords.ids_with_offsets(texts)
    plain = subwords.ids(texts)
    assert {each.dtype for each in (ids, starts, ends)} == {tf.int32}
    assert ids.to_list() == plain.to_list()
    pairs = zip(starts.to_list(), ends.to_list(), strict=True)
    spans = [list(zip(*pair, strict=True)) for pair in pairs]
    return list(zip(texts, ids.to_list(), spans, strict=True))


def vocabulary():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(set("".join(SCRIPTS).lower()) - set(" \t\n\r")) + list("eaσ")
    words = ["the", "film", "ing", "creme", "crème", "한", "हिन", "ف", "中"]
    tokens = [*special, *letters, *words, *(f"##{letter}" for letter in letters), "##ing"]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}


def differing(rows, right):
    """Returns the texts whose spans are not the judge's, with both."""
    encoded = right.encode_batch([text for text, _, _ in rows], add_special_tokens=False)
    pairs = zip(rows, encoded, strict=True)
    return [(r[0], r[2], e.offsets) for r, e in pairs if r[2] != e.offsets]


@pytest.mark.matrix
@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize(
    "lower, strip", [(True, None), (True, False), (False, None), (False, True)]
)
def test_word_piece(lower, strip, clean):
    words = vocabulary()
    settings = WordPieceSettings(lowercase=lower, strip_accents=strip, clean=clean)
    right = judge.word_piece(
        words, lowercase=lower, strip_accents=strip, handle_chinese_chars=True, clean_text=clean
    )
    lines = SCRIPTS + judge.EDGES + judge.unicode_lines(300, 5, list(words))
    lines = [line for line in lines if not MOVED & set(line)]
    assert not differing(found(WordPiece(words, settings), lines), right)


@pytest.mark.fetched
def test_word_piece_of_real_weights():
    folder = fetch.path("minilm_l6")
    right = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    right.no_padding()
    right.no_truncation()
    words = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    path = fetch.path("movie_reviews") / "movieReviewSnippets_GroundTruth.txt"
    movies = [line.split("\t")[2] for line in path.read_text("utf-8").splitlines()]
    lines = SCRIPTS + movies + judge.unicode_lines(2000, 6, [w for w in words if w.isalpha()])
    lines = [line for line in lines if not MOVED & set(line)]
    assert not differing(found(WordPiece(words), lines), right)


def test_removed_marks_and_special_tokens():
    words = {"[UNK]": 0, "[SEP]": 1, "cafe": 2, "a": 3}
    rows = found(WordPiece(words), ["Cafe\u0301 a", "\u200bCAFÉ[SEP]\u4e00", "a" * 101 + " a"])
    assert [row[1] for row in rows] == [[2, 3], [2, 1, 0], [0, 3]]
    spans = [[(0, 4), (6, 7)], [(1, 5), (5, 10), (10, 11)], [(0, 101), (102, 103)]]
    assert [row[2] for row in rows] == spans


@pytest.mark.slow
def test_tokens_reach_behind_marks_that_no_token_has():
    words = {"[UNK]": 0, "cafe": 1, "##มาน": 2, "a": 3, "มาน": 4, "##า": 5}
    texts = ["Cafe\u0301 a\u0302\u0323", "มานีา", "", "\u0301", "a", "\u0301a\u200d\u0301"]
    _, starts, ends = WordPiece(words).ids_with_offsets(texts)
    assert ends.to_list() == [[4, 7], [3, 5], [], [], [1], [2]]
    assert with_marks(texts, starts, ends).to_list() == [[5, 9], [4, 5], [], [], [1], [2]]
    # Tokens of their own for the bytes of a mark have it already; empty ones stay empty.
    _, starts, ends = tiny("roberta").preprocessor.subwords.ids_with_offsets(["e\u0301  a\u0301"])
    assert with_marks(["e\u0301  a\u0301"], starts, ends).to_list() == ends.to_list()


def test_a_mark_that_was_moved_keeps_its_place():
    words = {"[UNK]": 0, "\u302e": 1, "##b": 2}
    assert found(WordPiece(words), ["\u302e\u0334b"])[0][2] == [(0, 1), (2, 3)]


def byte_pairs(tokenizer, prefix):
    merges = [tuple(merge.split(" ")) for merge in tokenizer.merges]
    right = tokenizers.Tokenizer(tokenizers.models.BPE(dict(tokenizer.vocabulary), merges))
    right.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    right.post_processor = tokenizers.processors.ByteLevel(
        trim_offsets=True, add_prefix_space=prefix
    )
    right.add_special_tokens(["<s>", "</s>", "<pad>", "<mask>"])
    return right


@pytest.mark.parametrize("prefix", [False, slow(True)])
def test_byte_pairs(prefix):
    subwords = tiny("roberta").preprocessor.subwords
    if prefix:
        subwords = HubTokenizer(hub_tokenizer("roberta"))
        subwords.tokenizer.add_prefix_space = True
    tokenizer = subwords.tokenizer
    lines = SCRIPTS + judge.EDGES + judge.unicode_lines(300, 7, WORDS)
    rows = found(subwords, lines)
    encoded = byte_pairs(tokenizer, prefix).encode_batch(lines, add_special_tokens=False)
    same = [(row, e) for row, e in zip(rows, encoded, strict=True) if row[1] == e.ids]
    print(f"{len(same)} of {len(rows)} with the judge's ids")
    assert len(same) > 0.5 * len(rows)
    assert not [(r[0], r[2], e.offsets) for r, e in same if r[2] != e.offsets]
    assert tokenizer.compute_dtype == "int32"


@pytest.mark.slow
def test_byte_pairs_that_the_vocabulary_lacks():
    letters = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "<mask>": 4, "a": 5, "Ġ": 6, "Ġa": 7}
    tokenizer = type(hub_tokenizer("roberta"))(vocabulary=letters, merges=["Ġ a"])
    row, reserved = found(HubTokenizer(tokenizer), ["aé a🙂a", "a \u0134C\u0134C"])
    assert row[1] == [5, 3, 3, 7, 3, 3, 3, 3, 5]
    assert row[2] == [(0, 1), (1, 2), (1, 2), (3, 4), *[(4, 5)] * 4, (5, 6)]
    # KerasHub reads its own signs for special tokens in a text; no span leaves the text.
    assert max(end for _, end in reserved[2]) == 6


@functools.cache
def model(**settings):
    """Returns a SentencePiece model that knows some letters and ligatures' parts."""
    out = io.BytesIO()
    lines = ["the film was good", "first office fig fi f i x", "cafe creme brulee é 한국 . ..."]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines * 20),
        model_writer=out,
        vocab_size=400,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **{"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": 3, **settings},
    )
    return out.getvalue()


def right_spans(proto, text):
    """Returns the spans that SentencePiece's own normaliser gives, a character at a time."""
    processor = sentencepiece.SentencePieceProcessor(model_proto=proto)
    written, origin = processor.Normalize(text, with_offsets=True)
    blank = [processor.Normalize(c).strip("\u2581") == "" for c in text]
    spans, place, held = [], 0, 0
    for piece in processor.encode(text, out_type=str):
        byte = re.fullmatch("<0x(..)>", piece)
        if byte:
            width = len(written[place].encode())
            first, last, held = place, place, (held + 1) % width
            place += held == 0
        else:
            first, place = place, place + len(piece)
            last = place - 1
            assert written[first:place] == piece
        while first <= last and written[first] == "\u2581":
            first += 1
        end = next((o for o in origin[last + 1 :] if o > origin[last]), len(text))
        start = origin[first] if first <= last else end
        while start < end and blank[start]:
            start += 1
        while start < end and blank[end - 1]:
            end -= 1
        spans.append((start, end) if start < end else None)
    return spans


def unlike(rows, proto):
    """Returns spans that are not the right ones, with those; any empty one is as good."""
    wrong = []
    for text, _, spans in rows:
        mine = [span if span[0] < span[1] else None for span in spans]
        pairs = zip(mine, right_spans(proto, text), strict=True)
        wrong += [(text, i, *pair) for i, pair in enumerate(pairs) if pair[0] != pair[1]]
    return wrong


@pytest.mark.parametrize(
    "rule, fallback",
    [
        ("nmt_nfkc", True),
        slow("nmt_nfkc", False),
        slow("nmt_nfkc_cf", True),
        slow("identity", True),
    ],
)
def test_sentence_piece(rule, fallback):
    kind = type(hub_tokenizer("xlm_roberta"))
    proto = model(normalization_rule_name=rule, byte_fallback=fallback)
    lines = SCRIPTS + judge.EDGES + judge.unicode_lines(150, 8, WORDS)
    lines = [line.replace("\x00", "") for line in lines]
    assert not unlike(found(HubTokenizer(kind(proto)), lines), proto)


@pytest.mark.parametrize("kind", ["xlm_roberta", "deberta_v3", "albert"])
def test_tokenizers_of_the_library(kind):
    subwords = tiny(kind).preprocessor.subwords
    lines = [line.replace("\x00", "") for line in SCRIPTS + judge.EDGES]
    assert not unlike(found(subwords, lines), subwords.tokenizer.proto)


@pytest.mark.parametrize("lower", [False, True])
def test_folded_texts_are_cut_where_their_pieces_are(lower):
    """A span that is prepared by itself is the piece, or has it where a character is shared."""
    tokenizer = hub_tokenizer("albert")
    subwords = HubTokenizer(tokenizer, fold=True, lowercase=lower)
    lines = SCRIPTS + [line.replace("\x00", "") for line in judge.EDGES]
    processor = sentencepiece.SentencePieceProcessor(model_proto=tokenizer.proto)

    def written(texts):
        prepared = subwords._prepare(tf.constant(texts)).numpy()
        return [processor.Normalize(p.decode()).replace("\u2581", "") for p in prepared]

    for text, _, spans in found(subwords, lines):
        (prepared,) = subwords._prepare(tf.constant([text])).numpy()
        pieces = processor.encode(prepared.decode(), out_type=str)
        parts = [piece.replace("\u2581", "") for piece in pieces]
        cut = written([text[start:end] for start, end in spans] or [""])
        shared = [spans.count(span) > 1 for span in spans]
        for part, whole, several in itertools.zip_longest(parts, cut, shared):
            assert part == whole or (several and part in whole) or not spans, (text, part, whole)


@pytest.mark.parametrize("kind", ["word_piece", *map(slow, ("roberta", "xlm_roberta", "albert"))])
def test_saved_model_gives_the_same(kind, tmp_path):
    if kind == "word_piece":
        subwords = WordPiece(vocabulary())
    elif kind == "albert":
        subwords = HubTokenizer(hub_tokenizer(kind), fold=True)
    else:
        subwords = tiny(kind).preprocessor.subwords
    right = subwords.ids_with_offsets(SCRIPTS)
    tf.saved_model.save(subwords, str(tmp_path))
    again = tf.saved_model.load(str(tmp_path))._ids_with_offsets(tf.constant(SCRIPTS))
    assert [each.to_list() for each in again] == [each.to_list() for each in right]


def test_batches_without_a_token():
    for subwords in (WordPiece(vocabulary()), HubTokenizer(hub_tokenizer("albert"), fold=True)):
        for texts in ([], [""], ["", "\u200b", " \t"]):
            ids, starts, ends = subwords.ids_with_offsets(texts)
            assert ids.to_list() == starts.to_list() == ends.to_list() == [[] for _ in texts]


def test_bytes_that_are_no_utf8_count_as_characters():
    ids, starts, ends = WordPiece(vocabulary()).ids_with_offsets([b"a\xff the"])
    assert len(ids.to_list()[0]) == 2
    assert (starts.to_list(), ends.to_list()) == ([[0, 3]], [[1, 6]])
