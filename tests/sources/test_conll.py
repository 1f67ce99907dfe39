"""Files of words and tags: every scheme gives the same spans, and errors name the line."""

import json

import pytest

from tfft.errors import DataError
from tfft.sources.conll import conll, read, spans_of

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
