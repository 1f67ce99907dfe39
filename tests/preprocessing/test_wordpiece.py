"""WordPiece ids against the `tokenizers` package."""

import itertools
import json
import os
import string
import subprocess
import sys
import time

import judge
import pytest
import tensorflow as tf
import tokenizers
from trainings import slow

from tfft.errors import WeightsError
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor
from tfft.preprocessing.text.wordpiece import WordPiece, WordPieceSettings
from tfft.storage.downloads import fetch

# Of 100,000 generated lines and of all code points, how many may differ. Measured: none.
MAY_DIFFER = 0
WORDS = ["the", "movie", "ing", "cafe", "café", "İ", "i", "Σ", "σ", "ς", "中", "混", "ß", "É", "J"]
LETTERS = [*string.ascii_letters, *string.digits, *"éÉïÌĩįσςΣßœ中文字", *string.punctuation]


def vocabulary():
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    tokens = [*special, *LETTERS, *WORDS, *(f"##{letter}" for letter in LETTERS), "##ing", "\u0301"]
    return dict(zip(dict.fromkeys(tokens), itertools.count(), strict=False))


def preprocessor(words, **settings):
    return TextPreprocessor(
        WordPiece(words, WordPieceSettings(**settings)), start_id=2, end_id=3, pad_id=0
    )


def ids(text, texts, size=2000):
    batches = [texts[i : i + size] for i in range(0, len(texts), size)]
    return [row[1:-1] for batch in batches for row in text.tokenize(tf.constant(batch)).to_list()]


def report(differing):
    characters = sorted({c for text in differing for c in text if ord(c) > 127})
    print(f"{len(differing)} differ; characters: {' '.join(f'U+{ord(c):04X}' for c in characters)}")
    return differing


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("chinese", [True, False])
@pytest.mark.parametrize(
    "lower, strip", [(True, None), (True, False), (False, None), (False, True)]
)
def test_every_setting(lower, strip, chinese, clean):
    words = vocabulary()
    text = preprocessor(
        words, lowercase=lower, strip_accents=strip, ideographs=chinese, clean=clean
    )
    right = judge.word_piece(
        words, lowercase=lower, strip_accents=strip, handle_chinese_chars=chinese, clean_text=clean
    )
    lines = judge.EDGES + judge.unicode_lines(500, 1, WORDS)
    assert not report(judge.differing(right, ids(text, lines), lines))


@pytest.fixture(scope="module")
def minilm():
    folder = fetch.path("minilm_l6")
    right = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    right.no_padding()
    right.no_truncation()
    words = json.loads((folder / "tokenizer.json").read_text("utf-8"))["model"]["vocab"]
    return preprocessor(words), right, words


@pytest.mark.fetched
def test_movie_sentences(minilm):
    text, right, _ = minilm
    path = fetch.path("movie_reviews") / "movieReviewSnippets_GroundTruth.txt"
    lines = [line.split("\t")[2] for line in path.read_text("utf-8").splitlines()]
    ids(text, lines[:1])
    begin = time.perf_counter()
    mine = ids(text, lines, 1024)
    print(f"{len(lines) / (time.perf_counter() - begin):,.0f} texts/s")
    assert len(lines) == 10605
    assert not report(judge.differing(right, mine, lines))


@pytest.mark.fetched
def test_edges(minilm):
    text, right, _ = minilm
    assert not report(judge.differing(right, ids(text, judge.EDGES), judge.EDGES))


@pytest.mark.fetched
@pytest.mark.parametrize("count", [2_000, slow(20_000), slow(100_000)])
def test_unicode_lines(minilm, count):
    text, right, words = minilm
    lines = judge.unicode_lines(count, 0, [word for word in words if word.isalpha()])
    assert len(report(judge.differing(right, ids(text, lines), lines))) <= MAY_DIFFER


@pytest.mark.fetched
def test_every_code_point(minilm):
    text, right, _ = minilm
    lines = [f"a{chr(c)}b" for c in range(0x30000) if not 0xD800 <= c < 0xE000]
    assert len(report(judge.differing(right, ids(text, lines), lines))) <= MAY_DIFFER


def test_bytes_that_are_no_utf8_do_not_stop_a_server():
    text = preprocessor(vocabulary())
    broken, whole = text.tokenize(tf.constant([b"mo\xff\xfevie", b"movie"])).to_list()
    assert broken == whole


def test_letters_of_special_tokens_cannot_be_typed():
    words = vocabulary()
    text = preprocessor(words)
    typed = "".join(map(chr, range(0xA000, 0xA010)))
    assert ids(text, [" ".join(typed)]) == [[words["[UNK]"]] * len(typed)]


@pytest.mark.slow
def test_turkish_machine_gives_the_same_ids():
    """`tf.strings.lower` follows the locale; the ids of a served model must not."""
    code = (
        "import sys, tensorflow as tf\n"
        "from tfft.preprocessing.text.subword_tokenizer import lower\n"
        "text = tf.constant(['TITLE Iİ ÌJ ΑΣ'])\n"
        "sys.stdout.buffer.write(lower(text, marks=True).numpy()[0])"
    )
    environment = {**os.environ, "LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, check=True
    ).stdout
    assert out.decode() == "title ii̇ ìj ασ"


def test_vocabulary_with_a_gap_or_without_unknown():
    with pytest.raises(WeightsError, match="not 0 to 1"):
        WordPiece({"[UNK]": 0, "a": 2})
    with pytest.raises(WeightsError, match="no token"):
        WordPiece({"a": 0})


def test_fingerprint_follows_vocabulary_and_settings():
    words = vocabulary()
    prints = [
        preprocessor(words),
        preprocessor(words),
        preprocessor(words, lowercase=False),
        preprocessor({**words, "new": len(words)}),
    ]
    one, same, cased, longer = (each.fingerprint() for each in prints)
    assert one == same and len({one, cased, longer}) == 3 and len(one) == 64
