"""Damaged data files give rows or an error of ours.

`make test-extras` runs each reader for `TFFT_FUZZ_MINUTES` minutes of CPU, 10 by default.
"""

import bz2
import csv
import gzip
import io
import json
import struct

import numpy as np
import pyarrow as pa
import pyarrow.compute  # noqa: F401 - before processes are forked
import pytest
from fuzzing import damaged, fuzz
from hypothesis import strategies as st
from pyarrow import parquet

import tfft.data.formats.arrow_values  # noqa: F401
from tfft.data.formats.tables import read
from tfft.data.sources import conll, squad
from tfft.preprocessing.image.image_sizes import claimed_pixels

pytestmark = pytest.mark.extras
TEXTS = ["a film", 'so "good"', "ü 漢", "", "x, y", "line\nend"] * 5
LABELS = ["pos", "neg", "1", "1.0", " a ", "nan"] * 5
TAGS = [["B-a", "O"]] * 30
COLUMNS = {"text": TEXTS, "label": LABELS}
NESTED = {"tokens": [["Ada", "came"]] * 30, "tags": TAGS, "text": TEXTS, "label": LABELS}


def separated(delimiter):
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(
        [("text", "label"), *zip(TEXTS, LABELS, strict=True)]
    )
    return file.getvalue().encode()


def json_rows():
    return [{"text": t, "label": lab} for t, lab in zip(TEXTS, LABELS, strict=True)]


def parquets():
    for columns in (COLUMNS, NESTED):
        for options in (
            {},
            {"compression": "zstd"},
            {"use_dictionary": False},
            {"row_group_size": 7},
        ):
            for version in ("1.0", "2.0"):
                file = io.BytesIO()
                parquet.write_table(pa.table(columns), file, data_page_version=version, **options)
                yield file.getvalue()


def arrows():
    views = {"text": pa.array(TEXTS, pa.string_view()), "label": LABELS}
    coded = {"text": pa.array(TEXTS).dictionary_encode(), "label": pa.array(range(30))}
    for columns in (COLUMNS, NESTED, views, coded):
        table = pa.table(columns)
        features = {"label": {"_type": "ClassLabel", "names": ["a", "b"]}}
        about = json.dumps({"info": {"features": features}}).encode()
        for each in (table, table.replace_schema_metadata({b"huggingface": about})):
            for new in (pa.ipc.new_stream, pa.ipc.new_file):
                file = io.BytesIO()
                with new(file, each.schema) as writer:
                    writer.write_table(each, max_chunksize=11)
                yield file.getvalue()


LINES = "\n".join(json.dumps(each) for each in json_rows()).encode()
SQUAD = json.dumps(
    {
        "data": [
            {
                "title": "t",
                "paragraphs": [
                    {
                        "context": "Ada came.",
                        "qas": [
                            {
                                "id": "1",
                                "question": "Who?",
                                "answers": [{"text": "Ada", "answer_start": 0}],
                            }
                        ],
                    }
                ],
            }
        ]
    }
).encode()
CONTENTS = {
    "csv": [separated(","), separated(";")],
    "tsv": [separated("\t")],
    "jsonl": [LINES],
    "json": [json.dumps(json_rows()).encode(), LINES, json.dumps(json_rows(), indent=1).encode()],
    "txt": ["\n".join(TEXTS).encode()],
    "parquet": list(parquets()),
    "arrow": list(arrows()),
    "csv.gz": [gzip.compress(separated(","))],
    "jsonl.bz2": [bz2.compress(LINES)],
    "csv.zst": [bytes(pa.compress(separated(","), codec="zstd", asbytes=True))],
}


@pytest.fixture
def file_of(tmp_path):
    def write(suffix, content):
        path = tmp_path / f"a.{suffix}"
        path.write_bytes(content)
        return str(path)

    return write


@pytest.mark.parametrize("suffix", CONTENTS)
def test_tables(suffix, file_of):
    def rows(content, labelled, classes):
        found = read(file_of(suffix, content), labelled=labelled, classes=classes)
        assert all(text.encode().strip() for text in found.texts)

    fuzz(rows, damaged(CONTENTS[suffix]), st.booleans(), st.booleans())


WORDS = b"Ada B-person\ncame O\n\nBob\tB-person\n. O\n"


@pytest.mark.parametrize("suffix", ["conll", "parquet", "arrow"])
def test_sentences(suffix, file_of):
    contents = {**CONTENTS, "conll": [WORDS * 3]}[suffix]

    def sentences(content, scheme):
        return len(conll.read(file_of(suffix, content), scheme=scheme))

    fuzz(sentences, damaged(contents), st.sampled_from(["spans", "words"]))


def test_questions(file_of):
    fuzz(lambda content: list(squad.read(file_of("json", content))), damaged([SQUAD]))


def test_folders_of_texts(tmp_path):
    def rows(content, names):
        for number, name in enumerate(names):
            folder = tmp_path / str(hash((content, *names)))
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / f"{number}.txt").write_bytes(content)
        return len(read(str(folder)).texts)

    names = st.text(
        st.characters(exclude_characters="/\0", max_codepoint=0xFFFF), min_size=1, max_size=20
    )
    names = names.filter(lambda name: name not in (".", "..") and name.isprintable())
    fuzz(rows, damaged([b"a text\n", "ü 漢".encode()]), st.lists(names, min_size=1, max_size=3))


@pytest.fixture(scope="module")
def records():
    import tensorflow as tf

    def feature(values):
        if isinstance(values, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[values]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    rows = [{"text": feature(b"a %d" % i), "label": feature([i % 2])} for i in range(20)]
    return [
        tf.train.Example(features=tf.train.Features(feature=row)).SerializeToString()
        for row in rows
    ]


def test_records(records, tmp_path):
    import tensorflow as tf

    from tfft.data.formats.tfrecord import TFRecord

    for name, kept in (("a", records), ("b", records[:1])):
        with tf.io.TFRecordWriter(str(tmp_path / name)) as writer:
            for record in kept:
                writer.write(record)

    def rows(content):
        (tmp_path / "a.tfrecord").write_bytes(content)
        return list(TFRecord(str(tmp_path / "a.tfrecord")).rows(["text", "label"]))

    fuzz(rows, damaged([(tmp_path / name).read_bytes() for name in "ab"]))


def test_records_with_right_checksums(records, tmp_path):
    import tensorflow as tf

    from tfft.data.formats.tfrecord import TFRecord

    def rows(content):
        with tf.io.TFRecordWriter(str(tmp_path / "c.tfrecord")) as writer:
            writer.write(content)
        return list(TFRecord(str(tmp_path / "c.tfrecord")).rows(["text", "label"]))

    fuzz(rows, damaged(records[:3]))


def images():
    import tensorflow as tf

    pixels = np.random.default_rng(0).integers(0, 255, (12, 9, 3), np.uint8)
    yield tf.io.encode_png(pixels).numpy()
    yield tf.io.encode_jpeg(pixels).numpy()
    head = struct.pack(
        "<2sIHHIIiiHHIIiiII", b"BM", 54 + 48, 0, 0, 54, 40, 4, 4, 1, 24, 0, 48, 0, 0, 0, 0
    )
    yield head + bytes(48)
    yield (b"GIF89a\x02\0\x02\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x02\0\x02\0\0\x02\x02D\x01\0;")


def test_headers_of_images():
    fuzz(claimed_pixels, damaged(list(images())))


def test_images(tmp_path):
    import tensorflow as tf

    from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor

    tf.config.threading.set_inter_op_parallelism_threads(1)
    contents = list(images())

    def pixels(content):
        (tmp_path / "a").write_bytes(content)
        tf.config.run_functions_eagerly(True)
        return ImagePreprocessor(8, 8).rows(tf.constant([str(tmp_path / "a")]))["pixels"].shape

    fuzz(pixels, damaged(contents))
