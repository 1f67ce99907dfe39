"""Every row of the table of accepted inputs on the page about own data does what it says."""

import bz2
import gzip
import io
import json
import pathlib
import re
import sys
import types
from collections import Counter

import pyarrow
import pytest
from pyarrow import parquet

from tfft.data.examples import Examples
from tfft.data.sources import conll
from tfft.data.sources.files import files
from tfft.data.sources.files import read as read_file
from tfft.errors import DataError
from tfft.tasks import encoding
from tfft.tasks.text.multi_label_classification import MultiLabelClassification
from tfft.tasks.text.text_regression import TextRegression

PAGE = pathlib.Path(__file__).parents[3] / "docs/own_data.md"
ROWS = [("a fine film", "x"), ("so, so", "y")]
CSV = 'text,label\na fine film,x\n"so, so",y\n'
OBJECTS = [{"text": text, "label": label} for text, label in ROWS]
LINES = "".join(json.dumps(each) + "\n" for each in OBJECTS)
SETS = [["music", "plot"], ["plot"], []]


def table_rows():
    """Returns input, result and how of each row of the table."""
    lines = PAGE.read_text("utf-8").partition("## Accepted inputs")[2].splitlines()
    cells = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines if line.startswith("|")]
    return [tuple(cell.strip().replace("\\|", "|") for cell in row) for row in cells[2:]]


def write(name, content):
    path = pathlib.Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return name


def read(name, content=None, rows=ROWS, **options):
    """Reads a file; returns its examples, those that it has, and the notes."""
    table = read_file(name if content is None else write(name, content), **options)
    found = table.texts if table.labels is None else [*zip(table.texts, table.labels, strict=True)]
    return found, rows, table.notes


def stdin(monkeypatch, content):
    raw = content if isinstance(content, bytes) else content.encode()
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(raw)))
    return read("-")


def parquet_file():
    parquet.write_table(pyarrow.Table.from_pylist(OBJECTS), "a.parquet")
    return read("a.parquet")


def arrow_file(numbers):
    names = {"label": {"_type": "ClassLabel", "names": ["x", "y"]}}
    table = pyarrow.table({"text": [text for text, _ in ROWS], "label": numbers})
    about = {b"huggingface": json.dumps({"info": {"features": names}}).encode()}
    with pyarrow.ipc.new_stream("a.arrow", table.schema.with_metadata(about)) as writer:
        writer.write_table(table.replace_schema_metadata(about))
    return read("a.arrow")


def split_folder():
    rows = [{"text": f"text {n}", "label": "xy"[n % 2]} for n in range(80)]
    lines = "".join(f"{row['text']},{row['label']}\n" for row in rows[:40])
    write("data/train.csv.gz", gzip.compress(f"text,label\n{lines}".encode()))
    write("data/dev.json", json.dumps(rows[40:60]))
    write("data/TEST.JSONL", "".join(json.dumps(row) + "\n" for row in rows[60:]))
    source = files("data")
    return [source.size(split) for split in source.splits], [40, 20, 20], source.notes


def class_folders():
    for text, label in ROWS:
        write(f"data/{label}/1.txt", text)
    return read("data")


def several(answers, labels=None, **options):
    """Reads answers with several labels; returns those of each."""
    rows = [{"text": f"t{n}", "label": each} for n, each in enumerate(answers)]
    path = write("a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    shares = {"validation_share": 0, "test_share": 0}
    source = files(path, classes=False, **shares, **options)
    task = encoding.with_training_answers(MultiLabelClassification(labels), source)
    texts, known = zip(*sorted(source.rows("train")), strict=True)
    marked, names = task.encode_targets(Examples((texts,), known)) == 1, task.target.names
    sets = [[name for name, has in zip(names, row, strict=True) if has] for row in marked.tolist()]
    return sets, SETS[: len(answers)], (*source.notes, *task.target.notes())


def label_columns():
    write("a.csv", "text,music,plot\na,1,1\nb,0,1\nc,0,0\n")
    table = read_file("a.csv", label=("music", "plot"), classes=False)
    task = MultiLabelClassification().with_training_answers(Counter(table.labels))
    marked = task.encode_targets(Examples((), table.labels))
    return marked.tolist(), [[1, 1], [0, 1], [0, 0]], table.notes


def number(*answers):
    lines = "".join(f't{n},"{each}"\n' for n, each in enumerate(("1", *answers, "2.5", "3")))
    path = write("a.csv", f"text,label\n{lines}")
    source = files(path, classes=False, validation_share=0, test_share=0)
    return encoding.with_training_answers(TextRegression(), source)


def sentences(content):
    (texts, answers), note = conll.read(write("a.conll", content))
    found = [*zip(texts, map(json.loads, answers), strict=True)]
    return found, [("Anna met", [[0, 4, "PER"]]), ("me", [])], [note]


def compressed_kinds():
    found = read("a.csv.gz", gzip.compress(CSV.encode()))
    for suffix, codec in ((".zst", "zstd"), (".bz2", "bz2")):
        if codec == "zstd":
            content = pyarrow.compress(CSV.encode(), codec=codec, asbytes=True)
        else:
            content = bz2.compress(CSV.encode())
        assert read(f"A.CSV{suffix}", content)[:2] == found[:2]
    return found


def standard_input(monkeypatch):
    for content in (LINES, json.dumps(OBJECTS), CSV, gzip.compress(CSV.encode())):
        found = stdin(monkeypatch, content)
        assert found[0] == ROWS
    return found


SEMICOLONS = "text;label\na fine film;x\nso, so;y\n"
# By the first cell: reads such an input, from the current folder.
MAKERS = {
    "`.csv` with commas": lambda patch: read("a.csv", b"\xef\xbb\xbf" + CSV.encode()),
    "`.csv` with `;`, tabs or `|`": lambda patch: read("a.csv", SEMICOLONS),
    "`.csv` whose header two delimiters split": lambda patch: read(
        "a.csv", "text,label;b\na,b;c\nd,e;f\n"
    ),
    "`.csv` with a row that is too long": lambda patch: read("a.csv", "text,label\na,x\nb,c,y\n"),
    "`.csv` with a quote out of place": lambda patch: read("a.csv", 'text,label\n"a" b,x\n'),
    "`.csv` that is not UTF-8": lambda patch: read("a.csv", CSV.encode() + b"caf\xe9,x\n"),
    "`.tsv`": lambda patch: read("A.TSV", 'text\tlabel\na fine film\tx\n"so, so"\ty\n'),
    "`.jsonl` or `.ndjson`": lambda patch: read("a.ndjson", LINES),
    "`.json` with a list of objects": lambda patch: read("a.json", json.dumps(OBJECTS, indent=1)),
    "`.json` with one object a line": lambda patch: read("a.json", LINES),
    "`.json` with an object around the list": lambda patch: read(
        "a.json", json.dumps({"data": OBJECTS})
    ),
    "`.parquet`": lambda patch: parquet_file(),
    "`.arrow` file, or a folder of `save_to_disk`": lambda patch: arrow_file([0, 1]),
    "a number of a ClassLabel that has no name": lambda patch: arrow_file([0, -2]),
    "`.txt`": lambda patch: read("a.txt", "one\ntwo", ["one", "two"], labelled=False),
    "any text file in `.gz`, `.bz2`, `.xz` or `.zst`": lambda patch: compressed_kinds(),
    "a compressed file that is truncated": lambda patch: read(
        "a.csv.gz", gzip.compress(CSV.encode())[:-5]
    ),
    "a compressed file without the suffix": lambda patch: read(
        "a.csv", gzip.compress(CSV.encode())
    ),
    "`.parquet.gz`": lambda patch: read("a.parquet.gz", gzip.compress(b"PAR1")),
    "`.xlsx`, `.zip`": lambda patch: read("a.xlsx", b"PK\x03\x04"),
    "standard input, `-`": standard_input,
    "a folder for each class": lambda patch: class_folders(),
    "a folder with `train.csv.gz`, `dev.json`": lambda patch: split_folder(),
    "no header": lambda patch: read("a.csv", "a fine film,x\nso so,x\n"),
    "columns that could both be the text": lambda patch: read("a.csv", "text,review,label\na,b,x"),
    "an empty text": lambda patch: read("a.csv", "text,label\na,x\n ,y\nb,y\n"),
    "an empty label": lambda patch: read("a.csv", "text,label\na,x\nb,\nc,y\n"),
    "labels 1 and 1.0": lambda patch: read(
        "a.csv", "text,label\na,1\nb,1.0\n", [("a", "1"), ("b", "1")]
    ),
    "several labels, `music|plot`": lambda patch: several(["music|plot", "plot"]),
    "several labels, two separators": lambda patch: several(["music|plot", "plot; cast"]),
    'several labels, `{"plot": 1, "cast": 0}`': lambda patch: several(
        [{"music": 1, "plot": 1}, {"music": 0, "plot": 1}, {}]
    ),
    "several labels, `[1, 0]` with `labels`": lambda patch: several(
        [[1, 1], [0, 1], [0, 0]], ["music", "plot"]
    ),
    "several labels, `[1, 0]` without `labels`": lambda patch: several([[1, 1], [0, 1]]),
    "several labels, a column of 0 and 1 for each": lambda patch: label_columns(),
    "several labels, an empty cell": lambda patch: several(
        ["music|plot", "plot", ""], empty_labels=True
    ),
    "a number, `3,5`": lambda patch: number("3,5"),
    "a number, `1_0`": lambda patch: number("1_0"),
    "a number, `-999` among small ones": lambda patch: number("-999"),
    "a number, `nan` or `inf`": lambda patch: number("inf"),
    "CoNLL, a word and a tag a line": lambda patch: sentences("Anna B-PER\nmet O\n\nme O\n"),
    "CoNLL with tags that are numbers": lambda patch: sentences("Anna 1\nmet 0\n\nme 0\n"),
    "CoNLL without blank lines": lambda patch: sentences("Anna B-PER\nmet O\nme O\n. O\n" * 20),
    "CoNLL with the tag in another column": lambda patch: sentences("B-PER Anna\nO met\nO me\n"),
}


def test_every_row_has_a_maker():
    rows = [row[0] for row in table_rows()]
    assert sorted(rows) == sorted(MAKERS) and len(rows) == len(set(rows)) > 40


@pytest.mark.parametrize("row", table_rows(), ids=lambda row: row[0])
def test_a_row_does_what_it_says(row, tmp_path, monkeypatch):
    what, result, how = row
    monkeypatch.chdir(tmp_path)
    quoted = re.findall(r'"([^"]+)"', re.sub(r"`[^`]*`", "", how))
    if result == "refused":
        with pytest.raises(DataError) as caught:
            MAKERS[what](monkeypatch)
        caught.value.from_command = True
        message = str(caught.value)
        assert quoted and caught.value.set_in and caught.value.valid
    else:
        assert result == "read"
        found, expected, notes = MAKERS[what](monkeypatch)
        assert found == expected
        message = "\n".join(notes)
    for words in quoted:
        assert words in message, message
