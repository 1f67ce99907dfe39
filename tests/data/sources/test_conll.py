"""Files of words and tags: every scheme gives the same spans, and errors name the line."""

import gzip
import json

import pytest

from tfft.data.sources.conll import conll, read, spans_of
from tfft.errors import DataError

WORDS = ["Anna", "Lee", "met", "Bob", "Zoe", "in", "New", "York", "City"]
SCHEMES = {
    "IOB1": "I-PER I-PER O I-PER B-PER O I-LOC I-LOC I-LOC",
    "IOB2": "B-PER I-PER O B-PER B-PER O B-LOC I-LOC I-LOC",
    "BIOES": "B-PER E-PER O S-PER S-PER O B-LOC I-LOC E-LOC",
    "BILOU": "B-PER L-PER O U-PER U-PER O B-LOC I-LOC L-LOC",
}
SPANS = [(0, 8, "PER"), (13, 16, "PER"), (17, 20, "PER"), (24, 37, "LOC")]


def sentence(tags):
    parts = (tag.partition("-") for tag in tags.split())
    return [(word, kind, label) for word, (kind, _, label) in zip(WORDS, parts, strict=False)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_schemes(scheme):
    assert spans_of(sentence(SCHEMES[scheme])) == SPANS


@pytest.mark.parametrize(
    "tags, spans",
    [
        ("I-A I-B", [(0, 4, "A"), (5, 8, "B")]),
        ("B-A I-B", [(0, 4, "A"), (5, 8, "B")]),
        ("S-A I-A", [(0, 4, "A"), (5, 8, "A")]),
        ("E-A E-A", [(0, 4, "A"), (5, 8, "A")]),
        ("I-A O I-A", [(0, 4, "A"), (9, 12, "A")]),
        ("B-my-label I-my-label", [(0, 8, "my-label")]),
    ],
)
def test_tags_that_no_scheme_has_begin_a_span(tags, spans):
    assert spans_of(sentence(tags)) == spans


def write(folder, text, name="train.conll"):
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


FILE = """-DOCSTART- -X- O O

EU NNP I-NP B-ORG
rejects VBZ I-VP O
German JJ I-NP B-MISC
. . O O
\t
Peter NNP I-NP B-PER
😀 X I-NP O

"""


def test_a_file_with_columns(tmp_path):
    (texts, answers), note = read(write(tmp_path, "\ufeff" + FILE.replace("\n", "\r\n")))
    assert texts == ["EU rejects German .", "Peter 😀"]
    assert json.loads(answers[0]) == [[0, 2, "ORG"], [11, 17, "MISC"]]
    assert note.endswith("2 sentences, 6 words, 3 spans")
    (_, answers), _ = read(write(tmp_path, "a\tx y\tB-Ü\nb c\tz\tI-Ü\n"))
    assert json.loads(answers[0]) == [[0, 5, "Ü"]]


def test_splits(tmp_path):
    lines = [f"w{n} O\nAnna B-PER\n" for n in range(60)]
    data, test = write(tmp_path, "\n".join(lines)), write(tmp_path, lines[3], "test.conll")
    source = conll(data, test=test)
    assert (source.size("test"), source.inputs, source.classes) == (1, ("text",), False)
    assert source.size("train") + source.size("validation") == 59
    assert any("1 rows of train dropped" in note for note in source.notes)
    assert any("split off from train: 6 rows for validation" in note for note in source.notes)
    assert list(source.rows("test")) == [("w3 Anna", '[[3, 7, "PER"]]')]
    assert set(conll(data, validation_share=0).splits) == {"train", "test"}


@pytest.mark.parametrize(
    "text, problem, line",
    [
        ("a O\nb NN\n", "the tag 'NN' is none", 2),
        ("a O\n\nb B-\n", "the tag 'B-' is none", 3),
        ("a O\nb\n", "the line has one column", 2),
        ("\tO\n", "the word is empty", 1),
        ("a X-PER\n", "the tag 'X-PER' is none", 1),
    ],
)
def test_an_error_names_the_line(tmp_path, text, problem, line):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=problem) as caught:
        read(path)
    assert caught.value.set_in == f"{path}:{line}" and caught.value.see


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        conll(str(tmp_path / "none.conll"))
    with pytest.raises(DataError, match="not UTF-8") as caught:
        conll(write(tmp_path, b"a O\ncaf\xe9 O\n"))
    assert caught.value.set_in.endswith(":2")
    with pytest.raises(DataError, match="no sentence"):
        conll(write(tmp_path, "\n\n"))
    with pytest.raises(DataError, match="has 2 columns, and column 0 is to be the word and col"):
        read(write(tmp_path, "a O\n"), tag=3)


def test_tags_that_are_labels_of_single_words(tmp_path):
    path = write(tmp_path, "The\tat\nold\tjj-tl\nO\tO\n")
    (texts, answers), note = read(path, scheme="words")
    assert texts == ["The old O"] and "3 spans" in note
    assert json.loads(answers[0]) == [[0, 3, "at"], [4, 7, "jj-tl"], [8, 9, "O"]]
    with pytest.raises(DataError) as error:
        read(path)
    assert "'at'" in error.value.problem and 'conll.scheme = "words"' in error.value.valid


# Files that other settings read.

NAMES = ("O", "B-PER", "I-PER")


def test_compressed_files(tmp_path):
    lines = "\n".join(f"w{n} O\nAnna B-PER\n" for n in range(60))
    rows = [{"tokens": [f"w{n}", "Anna"], "tags": ["O", "B-PER"]} for n in range(60)]
    plain = conll(write(tmp_path, lines))
    for name, content in (("a.conll.gz", lines), ("a.json.gz", json.dumps(rows))):
        path = write(tmp_path, gzip.compress(content.encode()), name)
        assert conll(path).fingerprint() == plain.fingerprint()
    path = write(tmp_path, gzip.compress(lines.encode())[:-4], "b.conll.gz")
    with pytest.raises(DataError, match="truncated") as caught:
        conll(path)
    assert caught.value.see


def error_of(path, **settings):
    with pytest.raises(DataError) as caught:
        read(path, **settings)
    assert caught.value.set_in and caught.value.valid and caught.value.see
    return caught.value


@pytest.mark.parametrize("form", ["conll", "jsonl"])
def test_tags_that_are_numbers_need_names(tmp_path, form):
    words, tags = ["Anna", "Lee", "met"], [1, 2, 0]
    text = "".join(f"{w} {t}\n" for w, t in zip(words, tags, strict=True))
    row = json.dumps({"tokens": words, "ner_tags": tags})
    path = write(tmp_path, text if form == "conll" else row, f"a.{form}")
    error = error_of(path)
    assert "'1' is a number without a name" in error.problem
    assert "conll.tag_names = (" in error.valid and "scheme" not in error.valid
    (texts, answers), _ = read(path, tag_names=NAMES)
    assert (texts, json.loads(answers[0])) == (["Anna Lee met"], [[0, 8, "PER"]])
    error = error_of(path, tag_names=NAMES[:2])
    assert "the tag '2' has no name" in error.problem and error.valid.startswith("0 to 1")
    _, note = read(path, scheme="words")
    assert "all tags are numbers: conll.tag_names" in note
    path = write(tmp_path, text.replace("2", "-2"), "b.conll")
    assert "the tag '-2' has no name" in error_of(path, tag_names=NAMES).problem


@pytest.mark.parametrize("scheme", ["spans", "words"])
def test_a_missing_tag_or_word_is_not_a_label(tmp_path, scheme):
    for row, problem in (
        ({"tokens": ["a"], "tags": [None]}, "a tag is None"),
        ({"tokens": [["a"]], "tags": ["O"]}, "a word is"),
        ({"tokens": [None], "tags": ["O"]}, "the word is empty"),
    ):
        path = write(tmp_path, json.dumps(row), "a.jsonl")
        assert problem in error_of(path, scheme=scheme).problem


def test_a_file_without_blank_lines(tmp_path):
    sentences = ["Anna B-PER\nLee I-PER\nmet O\nme O\n. O\n"] * 20
    path = write(tmp_path, "".join(sentences))
    error = error_of(path)
    assert "100 words and no blank line: all of it would be one sentence" in error.problem
    assert """awk '{print} $1 ~ /^[.!?]$/ {print ""}' FILE > NEW""" in error.valid
    (texts, _), _ = read(write(tmp_path, "\n".join(sentences)))
    assert texts == ["Anna Lee met me ."] * 20
    (texts, _), _ = read(write(tmp_path, "".join(sentences) + "\n"))
    assert len(texts) == 1  # the blank line says that it is one
    text = "".join(f"w{n} O\n" for n in range(201))
    assert "no blank line" in error_of(write(tmp_path, text)).problem


def test_a_document_line_ends_a_sentence(tmp_path):
    text = "-DOCSTART- -X- O O\na X X O\n-DOCSTART- -X- O O\nb X X O\n"
    (texts, _), _ = read(write(tmp_path, text))
    assert texts == ["a", "b"]


@pytest.mark.parametrize(
    "text, settings, valid",
    [
        ("B-PER Anna\nO met\nO me\n", {}, "conll.word = 1, conll.tag = 0"),
        ("Anna B-PER NNP\nmet O VBD\n", {}, "conll.word = 0, conll.tag = 1"),
        ("1\tAnna\tB-PER\n2\tmet\tO\n3\tme\tO\n", {}, "conll.word = 1"),
        ("# text = Anna\nAnna O\nmet O\n", {}, "grep -v '^# ' FILE > NEW"),
    ],
)
def test_other_orders_of_columns(tmp_path, text, settings, valid):
    assert valid in error_of(write(tmp_path, text), **settings).valid


@pytest.mark.parametrize("scheme", ["spans", "words"])
def test_conll_u(tmp_path, scheme):
    lines = ["# sent_id = 1"] + [f"{n}\tw{n}\tw\tNOUN\tNN\t_\t0\troot\t_\t_" for n in (1, 2, 3)]
    expected = (
        "grep -v '^#' FILE > NEW; then conll.word = 1, conll.tag = 3, conll.scheme = \"words\""
    )
    assert error_of(write(tmp_path, "\n".join(lines)), scheme=scheme).valid == expected
    (texts, answers), _ = read(write(tmp_path, "\n".join(lines[1:])), word=1, tag=3, scheme="words")
    assert texts == ["w1 w2 w3"] and json.loads(answers[0])[0] == [0, 2, "NOUN"]
