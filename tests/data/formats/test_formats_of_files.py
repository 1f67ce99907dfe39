"""Delimiters, compressed files and JSON lists: what is read, and how the rest is refused."""

import bz2
import gzip
import io
import json
import lzma
import sys
import types

import pyarrow
import pytest

from tfft.data.sources.files import files, read
from tfft.data.sources.images import images
from tfft.data.sources.squad import squad
from tfft.errors import DataError

ROWS = [("a, b; c", "x"), ('say "d"', "y"), ("e\nf", "x"), ("ünï 🙂", "y")]
TEXTS, LABELS = map(list, zip(*ROWS, strict=True))
COMPRESS = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda content: pyarrow.compress(content, codec="zstd", asbytes=True),
}


def csv_of(rows, delimiter=","):
    quoted = (delimiter.join('"' + each.replace('"', '""') + '"' for each in row) for row in rows)
    return "\n".join([delimiter.join(("text", "label")), *quoted]) + "\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file in the current folder and returns its name."""
    monkeypatch.chdir(tmp_path)

    def to(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return name

    return to


def error_of(path, **options):
    with pytest.raises(DataError) as caught:
        read(path, **options)
    assert caught.value.set_in and caught.value.valid and caught.value.see
    return caught.value


# Delimiters.

NAMES = {";": "a semicolon", "\t": "a tab", "|": "a vertical bar"}


@pytest.mark.parametrize("delimiter", NAMES)
@pytest.mark.parametrize("name", ["a.csv", "A.CSV", "-"])
def test_another_delimiter_is_detected_and_reported(write, monkeypatch, delimiter, name):
    content = csv_of(ROWS, delimiter)
    if name == "-":
        stdin = types.SimpleNamespace(buffer=io.BytesIO(content.encode()))
        monkeypatch.setattr(sys, "stdin", stdin)
    else:
        write(name, content)
    table = read(name)
    assert (table.texts, table.labels) == (TEXTS, LABELS)
    note = f"the delimiter is {NAMES[delimiter]}, detected in the header"
    assert any(each.endswith(note) for each in table.notes)


@pytest.mark.parametrize(
    "content",
    [
        "text,label\na;b;c,x\nd;e;f,y\n",
        "id;part,text,label\n1,a;b,x\n2,c,y\n",
        '"text;of,it",label\na;b,x\nc;d,y\n',
        "text,label\n" + "a|b;c\td,x\n" * 500,
    ],
)
def test_a_comma_file_stays_a_comma_file(write, content):
    names = {'"': "text;of,it"}
    table = read(write("a.csv", content), text=names.get(content[0], "text"))
    assert set(table.labels) <= {"x", "y"}
    assert not any("delimiter" in note for note in table.notes)


def test_a_header_of_one_column_may_hold_a_delimiter(write):
    path = write("a.csv", "Reviews; translated\na fine film\nso so\n")
    assert read(path, labelled=False).texts == ["a fine film", "so so"]


def test_a_comma_file_that_is_called_tsv(write):
    assert read(write("a.tsv", csv_of(ROWS))).texts == TEXTS


def test_a_delimiter_that_is_not_clear(write):
    error = error_of(write("a.csv", "text,label;more\na,b;c\nd,e;f\n"))
    assert error.problem == (
        "a.csv: the delimiter is not clear. The header can be split by a comma or a semicolon."
    )
    assert "in quotes" in error.valid and error.set_in == "a.csv:1"
    assert read(write("b.csv", 'text,"label;more"\na,b;c\nd,e;f\n'), label="label;more").labels


def test_a_row_that_does_not_fit_the_detected_delimiter(write):
    error = error_of(write("a.csv", "text;label\na;x\nb;c;y\n"))
    assert error.problem == "a.csv:3 has 3 fields, the header has 2."


# Compressed files.


@pytest.mark.parametrize("suffix", COMPRESS)
def test_compressed_files_read_alike(write, suffix):
    compress = COMPRESS[suffix]
    contents = {
        "a.csv": csv_of(ROWS),
        "a.tsv": csv_of(ROWS, "\t"),
        "A.JSONL": "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in ROWS),
        "a.json": json.dumps([{"text": t, "label": y} for t, y in ROWS]),
    }
    for name, content in contents.items():
        table = read(write(name + suffix, compress(content.encode())))
        assert (table.texts, table.labels) == (TEXTS, LABELS), name
    path = write("a.txt" + suffix, compress(b"one\ntwo\n"))
    assert read(path, labelled=False).texts == ["one", "two"]


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_truncated_file_is_refused(write, suffix):
    whole = COMPRESS[suffix](csv_of(ROWS * 20_000).encode())
    for content in (whole[:-1], whole[: len(whole) // 2], b"text,label\na,x\n"):
        error = error_of(write("a.csv" + suffix, content))
        assert f"a.csv{suffix} is truncated or not a {suffix} file" in error.problem


def test_two_gzip_members_are_one_file(write):
    content = gzip.compress(b"text,label\na,x\n") + gzip.compress(b"b,y\n")
    assert read(write("a.csv.gz", content)).texts == ["a", "b"]


def test_names_and_contents_that_differ(write):
    error = error_of(write("a.csv", gzip.compress(b"text,label\n")))
    assert "compressed, by its first bytes" in error.problem and "FILE.gz" in error.valid
    assert "spreadsheet" in error_of(write("b.csv", b"PK\x03\x04....")).problem
    assert error_of(write("a.parquet.gz", b"x")).valid == "gunzip -k a.parquet.gz"
    assert "unzip FILE" in error_of(write("a.zip", b"x")).valid


def test_compressed_standard_input(monkeypatch):
    stdin = types.SimpleNamespace(buffer=io.BytesIO(gzip.compress(csv_of(ROWS, ";").encode())))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read("-").texts == TEXTS


def test_a_folder_of_compressed_splits(write):
    rows = [(f"a text with number {n}", "xy"[n % 2]) for n in range(90)]
    for name, part in (("TRAIN.csv.gz", rows[:60]), ("dev.CSV.gz", rows[60:75])):
        write(f"data/{name}", gzip.compress(csv_of(part).encode()))
    write("data/test.json", json.dumps([{"text": t, "label": y} for t, y in rows[75:]]))
    source = files("data")
    assert {split: source.size(split) for split in source.splits} == {
        "train": 60,
        "validation": 15,
        "test": 15,
    }


def test_compressed_files_of_other_sources(write):
    article = {
        "title": "t",
        "paragraphs": [
            {
                "context": "Ada is here",
                "qas": [
                    {"question": f"who {n}", "answers": [{"text": "Ada", "answer_start": 0}]}
                    for n in range(60)
                ],
            }
        ],
    }
    path = write("a.json.gz", gzip.compress(json.dumps({"data": [article]}).encode()))
    assert squad(path, validation_share=0, test_share=0).size("train") == 60
    pixel = b"P5 1 1 255\n"
    for n in range(12):
        write(f"{n}.png", pixel + bytes([n]))
    table = csv_of([(f"{n}.png", "xy"[n % 2]) for n in range(12)], ";").replace("text", "image", 1)
    path = write("images.csv.gz", gzip.compress(table.encode()))
    assert images(path, validation_share=0, test_share=0).size("train") == 12


# JSON.


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_list(write, monkeypatch, indent):
    rows = [{"text": t, "label": y} for t, y in ROWS] * 20_000
    content = json.dumps(rows, indent=indent)
    table = read(write("a.json", "\ufeff" + content))
    assert (table.texts, table.labels) == (TEXTS * 20_000, LABELS * 20_000)
    assert table.place(3) == "a.json, object 3"
    stdin = types.SimpleNamespace(buffer=io.BytesIO(content.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert read("-").texts == table.texts


def test_a_json_file_of_lines(write):
    lines = "".join(json.dumps({"text": t, "label": y}) + "\n" for t, y in ROWS)
    assert read(write("a.json", lines)).texts == TEXTS


@pytest.mark.parametrize(
    "content, problem, valid",
    [
        ("[]", "a.json is an empty list", "one object a line"),
        ("", "a.json is empty", '"text"'),
        ('[{"text": "a"}, 3]', "a.json:1 is not a JSON list of objects: object 2", "[{"),
        ('[{"text": "a"}\n{"text": "b"}]', "a.json:2 is not a JSON list of objects: ']'", "[{"),
        ('[{"text": "a"},\n {"text": }]', "a.json:2 is not a JSON list of objects: Expect", "[{"),
        ('[{"text": "a"}', "']' is missing", "[{"),
        ('[{"text": "a"}] x', "text follows the list", "[{"),
        ('[{"text": "a", "text": "b"}]', "a key stands twice", "[{"),
        ('[{"text": "\\ud800"}]', "half of a surrogate pair", "[{"),
        ('{"data": [{"text": "a"}]}', "the rows are in its list 'data'", "jq -c '.data[]' FILE"),
        ('{\n"rows": [\n{"text": "a"}]}', "a.json:1 is not JSON", "jq -c '.KEY[]' FILE"),
        ('{"text": {"0": "a"}, "label": {"0": "x"}}', "one object of columns", "lines=True"),
        (b'[{"text": "\xff"}]', "byte 0xff is not UTF-8", "[{"),
    ],
)
def test_json_that_is_not_a_list_of_objects(write, content, problem, valid):
    error = error_of(write("a.json", content), labelled=False)
    assert problem in error.problem and valid in error.valid, str(error)


def test_labels_that_are_not_unicode(write):
    error = error_of(write("a.jsonl", '{"text": "a", "label": "\\ud800"}\n'))
    assert "half of a surrogate pair" in error.problem and error.set_in == "a.jsonl:1"
