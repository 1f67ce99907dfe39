"""Own files: every format, the rule for columns, splits, and each error with its text."""

import io
import json
import random
import sys
import types

import pyarrow
import pytest
from pyarrow import parquet

from tfft.data.formats import csv
from tfft.data.sources.files import files, read
from tfft.errors import DataError

GOOD = [(f"a text with number {n}", "good" if n % 2 else "bad") for n in range(200)]


def csv_of(rows, header="text,label"):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


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
    """Returns the error of reading a file, once it has all that a person needs."""
    with pytest.raises(DataError) as caught:
        (files if options.pop("split", False) else read)(path, **options)
    error = caught.value
    assert error.set_in and error.valid and error.see.startswith("tfft "), str(error)
    return error


# Formats.


def write_parquet(path, **columns):
    parquet.write_table(pyarrow.table(columns), path)


def test_all_formats_read_alike(write, tmp_path):
    texts = ['a "quoted", text', "second\nline", "ünï 漢字 🙂", " spaces "]
    labels = ["x", "y", "x", "y"]
    quoted = [text.replace('"', '""') for text in texts]
    rows = [f'"{text}"|{label}' for text, label in zip(quoted, labels, strict=True)]
    for name, delimiter in (("a.csv", ","), ("a.tsv", "\t")):
        write(name, "\r\n".join(["text|label", *rows]).replace("|", delimiter))
    objects = [{"text": t, "label": y} for t, y in zip(texts, labels, strict=True)]
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in objects))
    write_parquet(tmp_path / "a.parquet", text=texts, label=labels)
    for name in ("a.csv", "a.tsv", "a.jsonl", "a.parquet"):
        table = read(name)
        assert (table.texts, table.labels) == (texts, labels), name
        assert table.notes == (
            f"{name}: 4 rows, text in column 'text' (by its name), "
            "label in column 'label' (by its name)",
        )


def test_byte_order_mark(write):
    assert read(write("a.csv", b"\xef\xbb\xbftext,label\na,b\n")).texts == ["a"]


def test_text_file_has_a_text_a_line(write):
    path = write("a.txt", "one\u2028still one\r\ntwo")
    assert read(path, labelled=False).texts == ["one\u2028still one", "two"]
    assert "no column that is surely the label" in error_of(path).problem


@pytest.mark.parametrize(
    "content", ['text,label\n"a, b",x\n', '\n {"text": "a, b", "label": "x"}\n']
)
def test_standard_input(monkeypatch, content):
    stdin = types.SimpleNamespace(buffer=io.BytesIO(content.encode()))
    monkeypatch.setattr(sys, "stdin", stdin)
    table = read("-")
    assert (table.texts, table.labels) == (["a, b"], ["x"])
    assert table.notes[0].startswith("standard input: 1 rows")


def test_standard_input_without_a_row(monkeypatch):
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(b"a text\n")))
    error = error_of("-", labelled=False)
    assert error.problem == "standard input has a header, but no rows."
    assert error.set_in == "standard input"


def test_folder_per_class(write):
    for text, label in GOOD:
        write(f"data/{label}/{text}.txt", text + "\n")
    write("data/good/notes.md", "x")
    write("data/.hidden/a.txt", "x")
    source = files("data")
    assert source.labels == ("bad", "good")
    assert sum(source.size(split) for split in source.splits) == 200
    assert "data: 1 files that are no .txt were not read" in source.notes


def test_folder_of_splits(write):
    write("data/train.csv", csv_of(GOOD[:100]))
    write("data/dev.jsonl", '{"text": "v", "label": "good"}\n{"text": "w", "label": "bad"}\n')
    write("data/test/good/a.txt", "t")
    write("data/test/bad/a.txt", "u")
    write("data/README.md", "x")
    source = files("data")
    assert {split: source.size(split) for split in source.splits} == {
        "train": 100,
        "validation": 2,
        "test": 2,
    }
    assert "data: not read: README.md" in source.notes


# Columns.


@pytest.mark.parametrize(
    "header, row, text, label, found",
    [
        ("id,Review,Sentiment", "1,a text,x", None, None, "a text"),
        ("one,two", "x,a long text", None, None, "a long text"),
        ("label,other", "x,a text", None, None, "a text"),
        ("title,text,y", "t,a text,x", "title", "y", "t"),
    ],
)
def test_columns(write, header, row, text, label, found):
    table = read(write("a.csv", f"{header}\n{row}\n"), text=text, label=label)
    assert (table.texts, table.labels) == ([found], ["x"])


def test_predict_needs_no_label_column(write):
    table = read(write("a.csv", "id,text,label,class\n1,a,,\n"), labelled=False)
    assert (table.texts, table.labels) == (["a"], None)
    assert read(write("b.csv", 'words\na\n"b, c"\n'), labelled=False).texts == ["a", "b, c"]


def test_unclear_columns(write):
    path = write("a.csv", "title,text,review,label\na,b,c,d\n")
    error = error_of(path)
    assert error.problem == (
        "a.csv has 2 columns that could be the text. "
        "Its columns: 'title', 'text', 'review', 'label'."
    )
    assert error.valid == "--gin.TEXT=COLUMN with one of them"
    assert error.see == "tfft check --gin_file=quick/text.gin --gin.DATA=a.csv --gin.TEXT=COLUMN"
    error = error_of(path, text="review", label="lable")
    assert error.problem == "a.csv has no column 'lable'."
    assert (error.set_in, error.valid) == ("--gin.LABEL=lable", "label")
    error = error_of(write("b.csv", "a,b,c\n1,2,3\n"))
    assert error.problem.startswith("b.csv has no column that is surely the text.")
    error = error_of(write("c.csv", "a,b\nx,y\n"))
    assert error.problem.startswith("the two columns of c.csv are equally long.")
    assert "cannot be both" in error_of(path, text="label", label="label").problem


def test_no_header(write):
    error = error_of(write("a.csv", "a fine film,good\na dull film,bad\nso so,good\n"))
    assert "seems to have no header: its first line names a column 'good'" in error.problem
    assert error.set_in == "a.csv:1"


def test_names_of_columns_do_not_matter_where_there_are_none(write):
    path = write("a.txt", "one\ntwo\n")
    assert read(path, text="review", labelled=False).texts == ["one", "two"]


# Labels.


def test_labels_become_strings(write, tmp_path):
    assert read(write("a.csv", "text,label\na,0\nb,1.0\nc, x \nd,2.5\n")).labels == [
        "0",
        "1",
        "x",
        "2.5",
    ]
    assert read("a.csv").notes[1:] == (
        "a.csv: 1 labels are written like '1.0' and read as '1'",
        "a.csv: 1 labels had spaces around them, which were taken away",
    )
    rows = [0, 1.0, True, "x", 2.5]
    write("a.jsonl", "".join(json.dumps({"text": "a", "label": y}) + "\n" for y in rows))
    assert read("a.jsonl").labels == ["0", "1", "true", "x", "2.5"]
    write_parquet(tmp_path / "a.parquet", text=["a", "b"], label=[0.0, 1.0])
    assert read("a.parquet").labels == ["0", "1"]


def test_missing_labels(write, tmp_path):
    error = error_of(write("a.csv", "text,label\na,x\nb,\nc,NaN\nd, \ne,nan\n"))
    assert error.problem == "4 of 5 rows of a.csv have no label in column 'label' (empty or NaN)."
    assert error.set_in == "a.csv:3, a.csv:4, a.csv:5 and 1 more"
    rows = ['{"text": "a", "label": "x"}', '{"text": "b"}', '{"text": "c", "label": null}']
    write("a.jsonl", "\n".join([*rows, '{"text": "d", "label": NaN}']))
    assert error_of("a.jsonl").set_in == "a.jsonl:2, a.jsonl:3, a.jsonl:4"
    write_parquet(tmp_path / "a.parquet", text=["a", "b"], label=[1.0, float("nan")])
    assert error_of("a.parquet").set_in == "a.parquet, row 2"


# Files that are broken.


def test_stray_quotes(write):
    for content, reason in (
        ('"never closed,x\nb,y\n', "a quote that opens there is never closed"),
        ('"a" b,x\nb,y\n', "a stray quote: text follows the quote that closes a field"),
        ('a "b" c,x\nb,y\n', "a quote within a field that is not in quotes"),
        ('a",x\nb,y\n', "a quote within a field that is not in quotes"),
    ):
        error = error_of(write("a.csv", "text,label\nfirst,x\n" + content))
        assert error.problem == f"a.csv:3: the row that begins in this line has {reason}."
        assert error.set_in == "a.csv:3"
        assert 'the quote twice: "say ""a"" twice"' in error.valid


def test_line_numbers_count_lines_within_quotes(write):
    error = error_of(write("a.csv", 'text,label\n"a\nb\nc",x\n\nd,y,z\n'))
    assert error.problem == "a.csv:6 has 3 fields, the header has 2."


def test_quotes_within_a_tsv_field(write):
    assert read(write("a.tsv", 'text\tlabel\nsay "a" twice\tx\n')).texts == ['say "a" twice']
    assert error_of(write("b.tsv", 'text\tlabel\n"a" b\tx\n')).set_in == "b.tsv:2"


def test_blank_lines_are_counted(write):
    table = read(write("a.csv", "text,label\n\na,x\n\nb,y\n"))
    assert table.texts == ["a", "b"]
    assert table.notes[1] == "a.csv: 2 blank lines skipped"


def test_not_utf8(write):
    error = error_of(write("a.csv", "text,label\nfine,x\ncaf\xe9,y\n".encode("latin1")))
    assert error.problem == "a.csv:3 is not UTF-8: byte 21 of the file is 0xe9."
    assert error.valid == "a file in UTF-8: iconv -f LATIN1 -t UTF-8 FILE > NEW"
    error = error_of(write("b.csv", "text,label\na,b\n".encode("utf-16")))
    assert "iconv -f UTF-16" in error.valid
    mark = b"\xef\xbb\xbf"
    error = error_of(write("c.csv", mark + b"te\xffxt,label\na,b\n"))
    assert error.problem == "c.csv:1 is not UTF-8: byte 5 of the file is 0xff."


def test_line_of_100_mb(write, tmp_path):
    with (tmp_path / "a.csv").open("wb") as file:
        file.write(b"text,label\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    error = error_of("a.csv")
    assert error.problem == "a.csv:2 is a line of more than 10,000,000 bytes."
    assert error.valid.startswith("at most 10,000,000 bytes a line")


def test_field_over_many_lines(write, monkeypatch):
    monkeypatch.setattr(csv, "LONGEST_LINE", 1000)
    error = error_of(write("a.csv", 'text,label\na,b\n"' + "some line\n" * 200))
    assert error.problem == (
        "a.csv:3: the row that begins in this line has a field of more than 1,000 characters, "
        "or a quote never closed."
    )


def test_empty_texts(write):
    error = error_of(write("a.csv", "text,label\na,x\n,y\n \t,y\n"))
    assert error.problem == "2 of 3 rows of a.csv have an empty text in column 'text'."
    assert error.set_in == "a.csv:3, a.csv:4"
    assert error_of(write("a.txt", "a\n\nb\n"), labelled=False).set_in == "a.txt:2"
    assert error_of(write("b.csv", "text\na\n\nb\n"), labelled=False).set_in == "b.csv:3"


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl"])
def test_empty_file(write, suffix):
    assert error_of(write(f"a.{suffix}", "")).problem == f"a.{suffix} is empty."


def test_header_only(write):
    assert error_of(write("a.csv", "text,label\n")).problem == "a.csv has a header, but no rows."


def test_duplicate_columns(write):
    error = error_of(write("a.csv", "text,label,text\na,b,c\n"))
    assert error.problem == "a.csv has two columns named 'text'."


def test_json_errors(write):
    good = '{"text": "a", "label": "x"}\n'
    for line, problem in (
        ('{"text": "b", }', "a.jsonl:2 is not JSON: "),
        ('["b", "y"]', "a.jsonl:2 is JSON, but not an object."),
        ('{"text": 7, "label": "x"}', "a.jsonl:2: 'text' is 7, not a string."),
        ('{"text": "b", "label": ["x"]}', "a.jsonl:2: 'label' is ['x'], not one string or number."),
        ('{"text": "b", "text": "c"}', "a.jsonl:2 cannot be read: a key stands twice."),
        ('{"text": "\\ud800", "label": "x"}', "half of a surrogate pair"),
        ("[" * 100_000, "a.jsonl:2 cannot be read: "),
    ):
        error = error_of(write("a.jsonl", good + line + "\n"))
        assert problem in error.problem, error.problem
        assert error.set_in == "a.jsonl:2"


@pytest.mark.parametrize("content", ["text,label\n", "PAR1 torn"])
def test_no_parquet(write, content):
    error = error_of(write("a.parquet", content))
    assert error.problem.startswith("a.parquet is not readable Parquet: ")


def test_missing_file(write):
    write("reviews.csv", "x")
    error = error_of("review.csv")
    assert error.problem == "there is no file review.csv."
    assert error.valid == "in .: reviews.csv"
    assert "there is no folder nowhere either" in error_of("nowhere/a.csv").valid


def test_unknown_kind(write):
    error = error_of(write("a.xlsx", "x"))
    assert error.problem == "a.xlsx: a file that ends in '.xlsx' is not read."
    assert error.valid.startswith(".arrow, .csv, .json, .jsonl, .ndjson, .parquet, .tsv, .txt")


def test_folder_without_texts(write, tmp_path):
    (tmp_path / "data" / "good").mkdir(parents=True)
    assert error_of("data", split=True).problem == "data holds no folder with .txt files in it."


# Splits.


def test_one_file_is_split_exactly_and_equal_texts_stay_together(write):
    rows = GOOD + GOOD[:50]
    random.Random(0).shuffle(rows)
    source = files(write("a.csv", csv_of(rows)))
    assert source.splits == ("train", "validation", "test")
    parts = {split: list(source.rows(split)) for split in source.splits}
    assert [len(part) for part in parts.values()] == [200, 25, 25]
    assert sorted(sum(parts.values(), [])) == sorted(rows)
    assert sum(len({text for text, _ in part}) for part in parts.values()) == 200
    assert files("a.csv").fingerprint() == source.fingerprint()
    assert source.notes[-1] == (
        "split off from train: 25 rows for validation (10%), 25 rows for test (10%); "
        "stratified by label, equal inputs stay together"
    )
    write("b.csv", csv_of(rows[::-1]))
    assert {split: sorted(files("b.csv").rows(split)) for split in parts} == {
        split: sorted(part) for split, part in parts.items()
    }


@pytest.mark.parametrize("by,columns", [("one", set()), ("page", {"page"})])
def test_one_file_is_split_by_a_column(write, by, columns):
    rows = [(f"a {n % 80}", f"b {n}", "xy"[n % 2], f"p{n % 60}") for n in range(240)]
    write("a.csv", csv_of(rows, "one,two,label,page"))
    source = files("a.csv", text=("one", "two"), group=by)
    value = {f"b {n}": row[0 if by == "one" else 3] for n, row in enumerate(rows)}
    groups = {}
    for split in source.splits:
        groups[split] = {value[two] for _, two, _ in source.rows(split)}
        assert set(source.columns(split)) == columns
        assert set(source.groups(split)) == groups[split]
    assert sum(map(len, groups.values())) == len(set(value.values()))
    assert [source.size(split) for split in source.splits] == [192, 24, 24]


def test_no_split_for_a_share_of_zero(write):
    source = files(write("a.csv", csv_of(GOOD)), validation_share=0, test_share=0.2)
    assert source.splits == ("train", "test")
    error = error_of("a.csv", split=True, validation_share=0.5, test_share=0.5)
    assert "leave nothing to train on" in error.problem


def test_too_few_to_split(write):
    error = error_of(write("a.csv", csv_of([("a", "x"), ("b", "y"), ("c", "x")])), split=True)
    assert error.problem == (
        "a.csv is too small to be split into train, validation, test: the test split would be "
        "empty. It has 3 rows with 3 distinct inputs, and 2 labels, each of which is needed in the "
        "training split."
    )
    assert "--gin.VALIDATION=FILE" in error.valid


def test_files_of_their_own(write):
    write("train.csv", csv_of([*GOOD, ("v1", "good"), ("t1", "bad"), ("t1", "bad")]))
    write("v.csv", csv_of([("v1", "good"), ("v2", "bad"), ("t1", "bad")]))
    write("t.csv", csv_of([("t1", "bad"), ("t2", "good")]))
    source = files("train.csv", validation="v.csv", test="t.csv")
    assert {s: source.size(s) for s in source.splits} == {
        "train": 200,
        "validation": 2,
        "test": 2,
    }
    assert "1 rows of validation dropped: their text is also in test" in source.notes
    assert "3 rows of train dropped: their text is also in validation or test" in source.notes
    error = error_of("train.csv", split=True, test="train.csv")
    assert "every training text is also in the validation or the test split." in error.problem


def test_only_the_test_is_given(write):
    write("train.csv", csv_of(GOOD))
    write("t.csv", csv_of([("t1", "bad"), ("t2", "good")]))
    source = files("train.csv", test="t.csv")
    assert source.size("test") == 2 and source.size("validation") == 20
    assert source.notes[-1].startswith("split off from train: 20 rows for validation (10%);")


def test_label_only_in_evaluation(write):
    write("train.csv", csv_of(GOOD))
    write("t.csv", csv_of([("t1", "bad"), ("t2", "awful"), ("t3", "awful")]))
    error = error_of("train.csv", split=True, test="t.csv")
    assert error.problem == (
        "'awful': 2 examples of the test split of train.csv have a label that the training split "
        "does not have."
    )
    assert (error.set_in, error.valid) == ("t.csv:3", "'bad', 'good'")


def test_one_class_only(write):
    error = error_of(write("a.csv", csv_of([(f"t{n}", "x") for n in range(50)])), split=True)
    assert error.problem == ("a.csv has one class only: all 50 training examples are labelled 'x'.")
    assert error.see == "tfft check --gin_file=quick/text.gin --gin.DATA=a.csv"


def test_two_files_for_one_split(write):
    write("data/train.csv", csv_of(GOOD))
    write("data/train.tsv", "x")
    error = error_of("data", split=True)
    assert error.problem == "2 files could be the train split: train.csv, train.tsv."


# Further columns.


def test_further_columns_follow_their_rows_into_the_splits(write, tmp_path):
    rows = [(text, label, 1990 + number % 7) for number, (text, label) in enumerate(GOOD)]
    year_of = {row[0]: str(row[2]) for row in rows}
    write("a.csv", csv_of([(*row, "") for row in rows], "text,label,year,note"))
    dicts = [{"text": text, "label": label, "year": float(year)} for text, label, year in rows]
    write("a.jsonl", "".join(json.dumps(row) + "\n" for row in dicts))
    columns = {name: [row[name] for row in dicts] for name in dicts[0]}
    write_parquet(tmp_path / "a.parquet", **columns)
    for name in ("a.csv", "a.jsonl", "a.parquet"):
        source = files(name, columns=["year"])
        for split in source.splits:
            [(column, years)] = source.columns(split).items()
            texts = [text for text, _ in source.rows(split)]
            assert column == "year" and years == [year_of[text] for text in texts]
        assert next(source.dataset("test").as_numpy_iterator()).keys() == {"text", "label"}
    assert set(files("a.csv", columns=["note"]).columns("test")["note"]) == {""}
    assert files("a.csv").columns("test") == {}


def test_a_dropped_row_takes_its_columns_along(write):
    rows = [(text, label, number) for number, (text, label) in enumerate(GOOD)]
    write("train.csv", csv_of(rows, "text,label,number"))
    write("test.csv", csv_of(rows[:50], "text,label,number"))
    source = files("train.csv", test="test.csv", columns=["number"], validation_share=0)
    assert source.columns("train")["number"] == [str(number) for number in range(50, 200)]


def test_the_fingerprint_sees_the_columns(write):
    def print_of(offset, **options):
        rows = [(text, label, n % 3 + offset) for n, (text, label) in enumerate(GOOD)]
        return files(write("a.csv", csv_of(rows, "text,label,part")), **options).fingerprint()

    assert print_of(0) == print_of(1)
    assert len({print_of(0), print_of(0, columns=["part"]), print_of(1, columns=["part"])}) == 3


def test_a_column_that_is_not_there(write):
    error = error_of(write("a.csv", csv_of(GOOD)), columns=["labels"])
    assert "a.csv has no column 'labels'" in str(error) and "label" in error.valid
    lines = write("a.txt", "a\n")
    assert "it has no columns" in str(error_of(lines, columns=["year"], labelled=False))


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_an_answer_may_be_one_of_several_inputs_where_answers_are_no_labels(tmp_path, suffix):
    path = tmp_path / f"pairs.{suffix}"
    rows = [{"one": f"first {n}", "two": f"second {n % 30}"} for n in range(60)]
    if suffix == "csv":
        path.write_text("one,two\n" + "".join(f"{r['one']},{r['two']}\n" for r in rows))
    elif suffix == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    columns = {"text": ("one", "two"), "label": "two"}
    source = files(str(path), **columns, classes=False)
    assert all(two == answer for _, two, answer in source.rows("train"))
    with pytest.raises(DataError, match="are not all different"):
        files(str(path), **columns)
