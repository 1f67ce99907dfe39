"""A person's files: every kind is read, and every mistake is named with its place and a way out."""

import json

import pytest

from tfft.errors import DataError
from tfft.sources import files as module
from tfft.sources.files import files, read

ROWS = [(f"text number {n}", "good" if n % 2 else "bad") for n in range(60)]


def write_csv(path, rows=ROWS, header="text,label", separator=","):
    lines = [header, *(separator.join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def fails(path, match, **settings):
    with pytest.raises(DataError, match=match) as caught:
        files(str(path), **settings)
    assert caught.value.valid
    return caught.value


def test_one_csv_is_split_by_hash_and_keeps_label_names(tmp_path):
    path = write_csv(tmp_path / "a.csv")
    source = files(path)
    assert source.labels == ("bad", "good") and source.splits == ("train", "validation", "test")
    assert sum(source.size(split) for split in source.splits) == 60
    assert any("text in column 'text', label in column 'label'" in note for note in source.notes)
    texts = {e["text"] for s in source.splits for e in source.dataset(s).as_numpy_iterator()}
    assert len(texts) == 60
    assert files(path).fingerprint() == source.fingerprint()


def test_other_kinds_read_the_same(tmp_path):
    import pyarrow
    from pyarrow import parquet

    expected = read(write_csv(tmp_path / "a.csv"))
    write_csv(tmp_path / "a.tsv", header="text\tlabel", separator="\t")
    lines = [json.dumps({"text": text, "label": label}) for text, label in ROWS]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    texts, labels = zip(*ROWS, strict=True)
    parquet.write_table(pyarrow.table({"text": texts, "label": labels}), tmp_path / "a.parquet")
    for kind in ("tsv", "jsonl", "parquet"):
        table = read(str(tmp_path / f"a.{kind}"))
        assert (table.texts, table.labels) == (expected.texts, expected.labels)


def test_a_folder_per_class(tmp_path):
    for number, (text, label) in enumerate(ROWS):
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / label / f"{number:03d}.txt").write_text(text)
    source = files(str(tmp_path))
    assert source.labels == ("bad", "good")
    assert sum(source.size(split) for split in source.splits) == 60


def test_a_folder_of_split_files_drops_repeated_training_texts(tmp_path):
    write_csv(tmp_path / "train.csv")
    write_csv(tmp_path / "test.csv", ROWS[:4])
    source = files(str(tmp_path), validation_share=0.0)
    assert source.size("test") == 4 and source.size("train") == 56
    assert "4 training texts that are in another split were dropped" in source.notes


def test_columns_by_name_and_by_length(tmp_path):
    path = write_csv(tmp_path / "a.csv", header="Review,Sentiment")
    assert read(path).labels[:2] == ["bad", "good"]
    path = write_csv(tmp_path / "b.csv", header="foo,bar")
    assert read(path).texts[0] == "text number 0"
    path = write_csv(tmp_path / "c.csv", header="label,text")
    assert read(path, text="label", label="text").texts[0] == "text number 0"


def test_predict_needs_no_label(tmp_path):
    (tmp_path / "a.csv").write_text("id,text\n1,one\n2,two\n")
    table = read(str(tmp_path / "a.csv"), labelled=False)
    assert table.texts == ["one", "two"] and table.labels is None
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert read(str(tmp_path / "a.txt"), labelled=False).texts == ["one", "two"]


def test_whole_numbers_are_names(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": 1.0}\n{"text": "b", "label": 0}\n')
    assert read(str(tmp_path / "a.jsonl")).labels == ["1", "0"]


def test_a_missing_file_names_the_nearest(tmp_path):
    write_csv(tmp_path / "reviews.csv")
    assert "reviews.csv" in fails(tmp_path / "review.csv", "there is no file").valid


def test_an_unknown_column_names_the_nearest(tmp_path):
    path = write_csv(tmp_path / "a.csv")
    error = fails(path, "has no column 'lable'", label="lable")
    assert error.set_in == "--gin.LABEL=lable" and "label" in error.valid


def test_columns_that_cannot_be_told_are_listed(tmp_path):
    (tmp_path / "a.csv").write_text("a,b,c\n1,2,3\n")
    error = fails(tmp_path / "a.csv", "which column of .* is the text. It has: a, b, c")
    assert error.valid == "--gin.TEXT=COLUMN" and "quick/text.gin" in error.see


@pytest.mark.parametrize(
    "content,match",
    [
        (b"", "is empty"),
        (b"text,label\n", "has no rows"),
        (b"text,label\na,b,c\n", ":2 has 3 fields, the header 2"),
        (b'text,label\n"a" b,good\n', "begins in line 2 is broken"),
        (b'text,label\na,good\n"b,bad\nc,good\n', "begins in line 3 is broken"),
        (b"text,text\na,b\n", "two columns 'text'"),
        (b"text,label\nok,good\ncaf\xe9,bad\n", r":3: byte 23 of the file \(0xe9\) is not UTF-8"),
        (b"text,label\n ,good\n", ":2: the text is empty, as in 1 rows"),
        (b"text,label\na,nan\n", ":2: the label in column 'label' is missing"),
        (b"text,label\na,\n", ":2: the label in column 'label' is missing"),
    ],
)
def test_broken_csv(tmp_path, content, match):
    (tmp_path / "a.csv").write_bytes(content)
    fails(tmp_path / "a.csv", match)


@pytest.mark.parametrize(
    "content,match",
    [
        ('{"text": "a", "label": "x"}\n{oops}\n', ":2 is not JSON"),
        ("[1]\n", ":1 is no object"),
        ('{"text": 3, "label": "x"}\n', ":1: column 'text' holds 3, not a text"),
        ('{"text": "a", "label": NaN}\n', ":1: the label in column 'label' is missing"),
    ],
)
def test_broken_jsonl(tmp_path, content, match):
    (tmp_path / "a.jsonl").write_text(content)
    fails(tmp_path / "a.jsonl", match)


def test_a_line_of_100_megabytes(tmp_path):
    with open(tmp_path / "a.csv", "wb") as file:
        file.write(b"text,label\n")
        file.write(b"x" * 100_000_000)
    fails(tmp_path / "a.csv", ":2 is a line of 100,000,000 bytes")


def test_a_torn_parquet_file(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match="is not readable Parquet"):
        files(str(tmp_path / "a.parquet"))


def test_an_unknown_ending(tmp_path):
    (tmp_path / "a.doc").write_text("x")
    assert ".csv" in fails(tmp_path / "a.doc", "files that end in '.doc' are not read").valid


def test_one_class_only(tmp_path):
    path = write_csv(tmp_path / "a.csv", [(text, "good") for text, _ in ROWS])
    fails(path, "has one class only: good")


def test_a_label_seen_only_in_evaluation(tmp_path):
    write_csv(tmp_path / "train.csv")
    write_csv(tmp_path / "test.csv", [("something else", "ugly")])
    fails(tmp_path, "the label 'ugly' of the test split is not in the training split")


def test_too_few_examples_to_split(tmp_path):
    path = write_csv(tmp_path / "a.csv", [("one", "a"), ("two", "b")])
    fails(path, "too few to take a")


def test_standard_input(monkeypatch):
    class Stdin:
        def __init__(self, content):
            self.buffer = self
            self.content = content

        def read(self):
            return self.content

    monkeypatch.setattr(module.sys, "stdin", Stdin(b'{"text": "a"}\n{"text": "b"}\n'))
    assert read("-", labelled=False).texts == ["a", "b"]
    monkeypatch.setattr(module.sys, "stdin", Stdin(b"text\na\nb\n"))
    assert read("-", labelled=False).texts == ["a", "b"]
