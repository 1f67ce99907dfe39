"""Hostile data files: each ends in an error that names the file and the row, in time and memory."""

import bz2
import json
import os
import socket
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute  # noqa: F401 - before processes are forked
import pytest
from hostile_children import call, refused
from pyarrow import parquet

import tfft.data.formats.arrow_values  # noqa: F401
from tfft.data.formats.tables import read
from tfft.data.sources import squad
from tfft.data.sources.files import files
from tfft.data.sources.shards import shards
from tfft.errors import DataError

ROWS = 100_000
LONG = "x" * 1_000_000


def rows_of(path, **settings):
    return len(read(str(path), **settings).texts)


def table(texts, labels=None):
    return pa.table({"text": texts, "label": labels or ["a", "b"] * (len(texts) // 2)})


def write_stream(path, content, **options):
    with pa.ipc.new_stream(path, content.schema, **options) as writer:
        writer.write_table(content)
    return path


def repeated(count=ROWS):
    """One long text in every row, stored once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), [LONG])


TEXTS = {
    "wide.csv": (lambda: ",".join(f"c{i}" for i in range(60_000)) + "\n1\n", "and 59,980 more"),
    "wide.tsv": (lambda: "\t".join(f"c{i}" for i in range(60_000)) + "\n1\n", "59,980 more"),
    "twice.csv": (lambda: ",".join(["a"] * 60_000) + "\n1\n", "two columns named 'a'"),
    "row.csv": (lambda: "text,label\n" + "," * 9_000_000 + "\n", "row.csv:2 has 9000001 fields"),
    "header.csv": (lambda: '"a"' + "," * 9_000_000 + "\n1\n", "two columns named ''"),
    "quotes.csv": (lambda: "text,label\n" + '"",' * 3_000_000 + "\n", "csv:2 has 3000001 fields"),
    "line.csv": (lambda: "\0" * 12_000_000, "line.csv:1 is a line of more than"),
    "field.csv": (lambda: "text,label\n" + '"' + "a\n" * 6_000_000, "that begins in this line"),
    "deep.jsonl": (lambda: "[" * 100_000 + "\n", "deep.jsonl:1 cannot be read"),
    "shut.jsonl": (
        lambda: '{"text": ' + "[" * 900 + "]" * 900 + ', "label": 1}\n',
        "shut.jsonl:1 cannot be read: lists and objects are nested",
    ),
    "deep.json": (lambda: '[{"text": ' + "[" * 9_000 + "]" * 9_000 + "}]", "deep.json:1"),
    "many.jsonl": (lambda: '{"text": [' + "[]," * 3_000_000 + "[]]}\n", "many.jsonl:1"),
    "digits.jsonl": (
        lambda: '{"text": "a", "label": 1}\n{"text": "b", "label": ' + "1" * 9_000 + "}\n",
        "digits.jsonl:2 cannot be read",
    ),
}


LARGE = ("row.csv", "header.csv", "quotes.csv", "line.csv", "field.csv", "many.jsonl")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LARGE)) for n in TEXTS]
)
def test_text_files(name, tmp_path):
    make, message = TEXTS[name]
    (tmp_path / name).write_text(make())
    refused(rows_of, tmp_path / name, names=[message, tmp_path / name])


@pytest.mark.parametrize("suffix", ["csv", "tsv", "json", "jsonl", "txt", "parquet", "arrow"])
def test_pipes_sockets_and_devices_are_not_opened(suffix, tmp_path):
    os.mkfifo(tmp_path / f"pipe.{suffix}")
    (tmp_path / f"device.{suffix}").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / f"socket.{suffix}"))
        for kind in ("pipe", "device", "socket"):
            path = tmp_path / f"{kind}.{suffix}"
            refused(rows_of, path, names=[path, f"it is a {kind}, and only regular files are read"])
            if suffix == "json":
                refused(lambda path: list(squad.read(path)), path, names=[f"it is a {kind}"])


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet", "tfrecord"])
def test_shards_that_are_pipes(suffix, tmp_path):
    os.mkfifo(tmp_path / f"train.{suffix}")
    refused(shards, str(tmp_path / f"train.{suffix}"), names=["it is a pipe"])


def test_process_substitution_is_a_pipe():
    reading, _ = os.pipe()
    refused(rows_of, f"/dev/fd/{reading}", names=["it is a pipe", "- for the output of a command"])


@pytest.mark.slow
def test_standard_input_has_a_limit():
    def read_zeros():
        with open("/dev/zero") as sys.stdin:
            rows_of("-")

    refused(read_zeros, names=["standard input has more than"])


@pytest.mark.slow
def test_a_small_file_that_stands_for_a_large_one(tmp_path):
    path = tmp_path / "bomb.csv.bz2"
    path.write_bytes(bz2.compress(b"text,label\n" + (b"words " * 100 + b",x\n") * 30_000))
    refused(rows_of, path, names=[path, "stands for more than"])


def nulls():
    return pa.table({"text": pa.nulls(10**9), "label": pa.nulls(10**9)})


def views():
    one = pa.array([LONG], pa.string_view()).buffers()
    buffers = [None, pa.py_buffer(one[1].to_pybytes() * ROWS), one[2]]
    return table(pa.Array.from_buffers(pa.string_view(), ROWS, buffers))


def runs():
    ends = pa.array([10**9], pa.int64())
    return pa.table(
        {"text": pa.RunEndEncodedArray.from_arrays(ends, ["x"]), "label": pa.nulls(10**9)}
    )


ARROW = {
    "nulls": (nulls, "stands for more than"),
    "dictionary": (lambda: table(repeated()), "stands for more than"),
    "views": (views, "stands for more than"),
    "runs": (runs, "row 1 has a value of the type run_end_encoded"),
    "cell": (lambda: table(["a"] * 7 + ["x" * 80_000_000]), "row 8 has values of 80,0"),
    "dates": (
        lambda: table(["a"] * 2, pa.array([1, 2**60], pa.timestamp("s"))),
        "row 1 is damaged",
    ),
}


@pytest.mark.parametrize("name", ARROW)
def test_arrow_files(name, tmp_path):
    make, message = ARROW[name]
    path = write_stream(tmp_path / "a.arrow", make())
    refused(rows_of, path, names=[path, message])


@pytest.mark.parametrize("new", [pa.ipc.new_stream, pa.ipc.new_file])
@pytest.mark.parametrize("value", [2**31 - 1, -(2**31), -1, 0])
def test_offsets_outside_of_the_buffers_of_arrow(new, value, tmp_path):
    path, content = tmp_path / "a.arrow", table(["ab"] * 1000)
    with new(path, content.schema) as writer:
        writer.write_table(content)
    damaged = bytearray(path.read_bytes())
    place = damaged.find(np.arange(0, 2002, 2, dtype=np.int32).tobytes()) + 4 * 500
    damaged[place : place + 4] = value.to_bytes(4, "little", signed=True)
    path.write_bytes(damaged)
    refused(rows_of, path, names=[path, "row 500 is damaged"])


@pytest.mark.parametrize("index", [7, -1, 2**31 - 1])
def test_indices_outside_of_a_dictionary_of_arrow(index, tmp_path):
    indices = pa.array([0, 1, index, 0], pa.int32())
    texts = pa.DictionaryArray.from_arrays(indices, ["a", "b"], safe=False)
    path = write_stream(tmp_path / "a.arrow", table(texts))
    refused(rows_of, path, names=[path, "row 3 is damaged"])


def test_bytes_that_are_no_utf8_in_arrow(tmp_path):
    content = table(pa.array([b"a", b"b", b"c\xff", b"d"]).view(pa.string()))
    path = write_stream(tmp_path / "a.arrow", content)
    refused(rows_of, path, names=[path, "row 3 is damaged"])
    parquet.write_table(content, tmp_path / "a.parquet")
    refused(rows_of, tmp_path / "a.parquet", names=["a.parquet, row 3 is damaged"])


def lists():
    offsets = pa.array(np.arange(ROWS + 1, dtype=np.int32))
    return table(pa.ListArray.from_arrays(offsets, repeated()))


PARQUET = {
    "cell": (lambda: table(["x" * 100_000_000], ["a"]), "1 rows from"),
    "zeros": (lambda: table(["a"] * 9 + ["x" * 100_000_000]), "stands for more than"),
    "dictionary": (lambda: table(repeated()), "stands for more than"),
    "lists": (lists, "stands for more than"),
    "rows": (lambda: table(pa.nulls(3_000_000, pa.string())), "stands for more than"),
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n != "lists")) for n in PARQUET]
)
def test_parquet_files(name, tmp_path):
    make, message = PARQUET[name]
    path, kind = tmp_path / "a.parquet", "snappy" if name == "cell" else "zstd"
    content = call(lambda: parquet.write_table(make(), path, compression=kind, store_schema=False))
    assert content.kind == "value"
    refused(rows_of, path, names=[path, message])
    refused(shards, str(path), names=[message])


def test_dictionaries_of_parquet_are_read_as_texts(tmp_path):
    texts = [f"text {i % 7}" for i in range(1000)]
    inner = [[f"w{i % 5}", f"w{i % 3}"] if i % 4 else None for i in range(1000)]
    content = pa.table({"text": texts, "label": inner, "more": [{"a": t} for t in texts]})
    parquet.write_table(content, tmp_path / "a.parquet", row_group_size=300)
    found = read(str(tmp_path / "a.parquet"), classes=False, empty_labels=True, columns=["more"])
    assert found.texts == texts and found.columns["more"][8] == "{'a': 'text 1'}"
    assert found.labels == [json.dumps(each) if each else "" for each in inner]


@pytest.mark.parametrize(
    "name", ["a" * 300 + ".csv", "b" * 5000, "\udcff.csv", "~nobody/a.csv", "a\0.csv"]
)
def test_names_that_no_file_can_have(name, tmp_path):
    for call_of in (rows_of, files, shards):
        with pytest.raises(DataError) as found:
            call_of(name if name.startswith("~") else f"{tmp_path}/{name}")
        assert len(str(found.value)) < 1000 and str(found.value).isascii()


@pytest.mark.parametrize("name", ["a'b", 'a"b', "a[1]", "{a}", "a b", "ü", "$(x)", "a;b", "*"])
def test_names_with_quotes_and_brackets(name, tmp_path):
    lines = "".join(
        f'{{"{name.replace(chr(34), "_")}": "t{i}", "label": "{"xy"[i % 2]}"}}\n' for i in range(40)
    )
    (tmp_path / f"{name}.jsonl").write_text(lines)
    column, path = name.replace('"', "_"), str(tmp_path / f"{name}.jsonl")
    assert files(path, text=column).size("train") == 32
    assert shards(path, text=column, validation_share=0.3, test_share=0).size("train")


def test_a_folder_of_texts(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.txt").write_text(f"a text of {name}")
    os.mkfifo(tmp_path / "a" / "2.txt")
    assert rows_of(tmp_path) == 2
    (tmp_path / "b" / "3.txt").write_text("a line\n" * 2_000_000)
    refused(rows_of, tmp_path, names=[tmp_path / "b" / "3.txt", "it has more than"])
    (tmp_path / "b" / "3.txt").unlink()
    os.mkdir(os.fsencode(tmp_path) + b"/\xff")
    refused(rows_of, tmp_path, names=["its name is not UTF-8"])
