"""Properties of readers: a table that is accepted comes back as it was; bytes give a DataError."""

import bz2
import contextlib
import csv
import gzip
import io
import json
import pathlib
import tempfile

import pyarrow
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from tfft.data.formats.tables import read
from tfft.data.sources import conll, squad
from tfft.errors import DataError

QUICK = settings(suppress_health_check=[HealthCheck.too_slow])
# A line end that is not "\n" comes back from no CSV file as it was written.
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\r\0")
COMMON = st.sampled_from([",", ";", "\t", "|", '"', "\n", "'", " ", "a", "ü", "漢", "🙂", "\u2028"])
TEXTS = st.text(st.one_of(COMMON, CHARACTERS), min_size=1, max_size=30).filter(str.strip)
LABELS = st.sampled_from(["x", "y", "a b", "ü;|", "7", "-1", "no, never"])
TABLES = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=12)


def same(name, content, rows, labels=lambda label: label):
    """Asserts that a file holds these rows."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        table = read(str(path))
    assert table.texts == [text for text, _ in rows]
    assert table.labels == [labels(label) for _, label in rows]


def separated(rows, delimiter, quoting):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator="\n")
    writer.writerows([("text", "label"), *rows])
    return file.getvalue()


@QUICK
@given(
    TABLES,
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_csv(rows, delimiter, quoting, end, mark):
    file = io.StringIO(newline="")
    writer = csv.writer(file, delimiter=delimiter, quoting=quoting, lineterminator=end)
    writer.writerows([("text", "label"), *rows])
    same("a.csv", ("\ufeff" if mark else "") + file.getvalue(), rows)


@QUICK
@given(TABLES)
def test_tsv(rows):
    same("a.tsv", separated(rows, "\t", csv.QUOTE_MINIMAL), rows)


@QUICK
@given(TABLES, st.booleans(), st.sampled_from([None, 1]))
def test_json(rows, ascii_only, indent):
    objects = [{"text": text, "label": label} for text, label in rows]
    lines = [json.dumps(each, ensure_ascii=ascii_only) for each in objects]
    same("a.jsonl", "\n".join(lines), rows)
    same("a.json", "\n\n".join(lines), rows)
    same("b.json", json.dumps(objects, ensure_ascii=ascii_only, indent=indent), rows)


@QUICK
@given(TABLES, st.integers(1, 5))
def test_parquet_and_arrow(rows, size):
    columns = {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
    table = pyarrow.table(columns)
    content = io.BytesIO()
    parquet.write_table(table, content, row_group_size=size)
    same("a.parquet", content.getvalue(), rows)
    content = io.BytesIO()
    with pyarrow.ipc.new_stream(content, table.schema) as writer:
        writer.write_table(table, max_chunksize=size)
    same("a.arrow", content.getvalue(), rows)


@QUICK
@given(TABLES, st.sampled_from([gzip, bz2]), st.sampled_from([",", ";"]))
def test_compressed(rows, module, delimiter):
    content = separated(rows, delimiter, csv.QUOTE_MINIMAL).encode()
    suffix = {"gzip": ".gz", "bz2": ".bz2"}[module.__name__]
    same("a.csv" + suffix, module.compress(content), rows)


NAMES = ("a.csv", "a.tsv", "a.json", "a.jsonl", "a.txt", "a.parquet", "a.arrow")
PARTS = st.sampled_from(
    [
        b'{"text": ',
        b'"a"',
        b"}",
        b"[",
        b"]",
        b",",
        b"\n",
        b'"',
        b"text,label\n",
        b"a,x\n",
        b"\x1f\x8b",
    ]
    + [
        b"text;label\n",
        b"PAR1",
        b"\\ud800",
        b"ARROW1\0\0",
        b"1e999",
        b"NaN",
        b"null",
        b"\xff",
        b"{}",
    ]
)
CONTENTS = st.one_of(st.binary(max_size=300), st.lists(PARTS, max_size=25).map(b"".join))


@QUICK
@given(CONTENTS, st.sampled_from(NAMES), st.sampled_from(["", ".gz", ".zst"]), st.booleans())
def test_any_bytes_give_rows_or_a_data_error(content, name, suffix, labelled):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / (name + suffix)
        path.write_bytes(gzip.compress(content) if suffix == ".gz" else content)
        with contextlib.suppress(DataError):
            table = read(str(path), labelled=labelled, classes=len(content) % 2 == 0)
            assert all(text.strip() for text in table.texts)
            assert not labelled or all(label.encode() for label in table.labels)


@QUICK
@given(st.data(), st.sampled_from(["parquet", "arrow", "gz", "zst"]))
def test_damaged_binary_files_give_rows_or_a_data_error(data, kind):
    table = pyarrow.table({"text": ["a", "b"] * 9, "label": ["x", "y"] * 9})
    content = io.BytesIO()
    if kind == "parquet":
        parquet.write_table(table, content)
    elif kind == "arrow":
        with pyarrow.ipc.new_stream(content, table.schema) as writer:
            writer.write_table(table)
    else:
        text = b"text,label\n" + b"a,x\nb,y\n" * 20
        compressed = gzip.compress(text) if kind == "gz" else pyarrow.compress(text, codec="zstd")
        content.write(bytes(compressed))
    damaged = bytearray(content.getvalue())
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    del damaged[data.draw(st.integers(1, len(damaged))) :]
    with tempfile.TemporaryDirectory() as folder:
        name = kind if kind in ("parquet", "arrow") else f"csv.{kind}"
        path = pathlib.Path(folder) / f"a.{name}"
        path.write_bytes(damaged)
        with contextlib.suppress(DataError):
            assert read(str(path)).texts


def test_a_column_name_that_is_not_utf8_is_a_damaged_file(tmp_path):
    table = pyarrow.table({"text": ["a"], "label": ["x"]})
    path = tmp_path / "a.arrow"
    with pyarrow.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table)
    path.write_bytes(path.read_bytes().replace(b"label", b"l\xffbel"))
    with pytest.raises(DataError, match="is not readable Arrow"):
        read(str(path))


@QUICK
@given(CONTENTS, st.sampled_from(["a.conll", "a.json", "a.jsonl", "a.conll.gz"]))
def test_any_bytes_give_sentences_or_questions_or_a_data_error(content, name):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / name
        path.write_bytes(content)
        for scheme in ("spans", "words"):
            with contextlib.suppress(DataError):
                assert conll.read(str(path), scheme=scheme)
        with contextlib.suppress(DataError):
            list(squad.read(str(path)))
