"""Shards that are streamed: the index, random access, splits, refusals, and large datasets."""

import os

import numpy as np
import pytest
import shard_files
import tensorflow as tf

from tfft.data.formats.shards import TextShard
from tfft.data.sources import shard_index, spilled_rows
from tfft.data.sources import shards as shards_module
from tfft.data.sources.base import MemorySource
from tfft.data.sources.memory import memory
from tfft.data.sources.shards import shards
from tfft.data.splits import SPLITS, stream_splits
from tfft.errors import DataError

ROWS = [(f'the "film", nümber {n}\nline two', f"class {n % 3}") for n in range(250)]
SHARES = {"validation_share": 0.2, "test_share": 0.2}


def three(folder, kind, rows=ROWS):
    """Writes rows in three shards; returns the pattern of their names."""
    for number, (begin, end) in enumerate([(0, 7), (7, 130), (130, len(rows))]):
        shard_files.write(folder / f"part-{number}.{kind}", rows[begin:end])
    return str(folder / f"part-*.{kind}")


def by_split(rows, shares=(0.2, 0.2)):
    numbers = stream_splits([text for text, _ in rows], *shares)
    return {
        split: [row for row, number in zip(rows, numbers, strict=True) if SPLITS[number] == split]
        for split in SPLITS
    }


@pytest.mark.parametrize("kind", shard_files.FORMATS)
def test_every_format_is_streamed_and_read_at_any_place(tmp_path, kind):
    source = shards(three(tmp_path, kind), **SHARES)
    assert (
        source.streamed
        and source.splits == SPLITS
        and source.labels == tuple(sorted(source.labels))
    )
    expected = by_split(ROWS)
    rng = np.random.default_rng(0)
    for split, rows in expected.items():
        assert list(source.rows(split)) == rows and source.size(split) == len(rows)
        some = np.sort(rng.choice(len(rows), 5, replace=False))
        texts, labels = source.read(split, some)
        assert list(zip(texts, labels, strict=True)) == [rows[number] for number in some]
        dataset = source.dataset(split)
        assert int(dataset.cardinality()) == len(rows)
        assert [row["text"].decode() for row in dataset.as_numpy_iterator()] == [t for t, _ in rows]
    columns = {split: tuple(zip(*rows, strict=True)) for split, rows in expected.items()}
    assert source.fingerprint() == MemorySource("m", columns).fingerprint()
    assert any("3 shards are streamed" in note for note in source.notes)
    assert any("salted hash" in note for note in source.notes)


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "tfrecord"])
def test_the_store_keeps_the_index(tmp_path, kind, monkeypatch):
    rows = [(f"text {n}", float(n % 5) + 0.5) for n in range(100)]
    path = tmp_path / f"rows.{kind}"
    first = shards(shard_files.write(path, rows), classes=False)

    def fails(*args):
        raise AssertionError("the shards are read again")

    with monkeypatch.context() as patch:
        for shard in (TextShard, *TextShard.__base__.__subclasses__()):
            patch.setattr(shard, "scan", fails)
        again = shards(str(path), classes=False)
    assert again.notes == first.notes and again.fingerprint() == first.fingerprint()
    assert again.summaries == first.summaries and again.schema == first.schema
    assert list(again.rows("train")) == list(first.rows("train"))
    assert {answer for _, answer in again.rows("train")} == {"0.5", "1.5", "2.5", "3.5", "4.5"}
    shard_files.write(path, rows[:-1])
    os.utime(path, ns=(1, 1))
    changed = shards(str(path), classes=False)
    assert sum(map(changed.size, changed.splits)) == 99


def test_own_splits_and_parts_of_a_folder(tmp_path):
    parts = {"train": ROWS[:200], "validation": ROWS[190:220], "test": ROWS[210:]}
    for split, rows in parts.items():
        shard_files.write(tmp_path / f"{split}-00000-of-00001.jsonl", rows)
    (tmp_path / "notes.jsonl").write_text("{}")
    source = shards(str(tmp_path))
    assert list(source.rows("test")) == ROWS[210:]
    assert list(source.rows("validation")) == ROWS[190:210]
    assert list(source.rows("train")) == ROWS[:190]
    notes = "\n".join(source.notes)
    assert "10 rows of validation dropped: their text is also in test" in notes
    assert "10 rows of train dropped: their text is also in validation or test" in notes
    assert "not read: notes.jsonl" in notes
    paths = {split: str(tmp_path / f"{split}-*") for split in parts}
    assert shards(**paths).fingerprint() == source.fingerprint()


def test_large_held_out_splits_are_samples(tmp_path):
    source = shards(three(tmp_path, "jsonl"), **SHARES, max_held_out=5)
    every = by_split(ROWS)
    assert source.size("validation") == source.size("test") == 5
    assert set(source.rows("test")) < set(every["test"])
    assert source.size("train") == len(every["train"])
    assert f"test: a random sample of 5 of {len(every['test'])} rows" in "\n".join(source.notes)
    assert sum(source.label_counts("test").values()) == 5


def test_a_rare_label_is_in_training(tmp_path):
    held = next(text for text, _ in by_split(ROWS)["test"])
    rows = [(text, "rare" if text == held else label) for text, label in ROWS]
    source = shards(three(tmp_path, "jsonl", rows), **SHARES)
    assert (held, "rare") in set(source.rows("train"))


def refused(match, *args, **settings):
    with pytest.raises(DataError, match=match) as caught:
        shards(*args, **settings)
    assert caught.value.valid and caught.value.set_in
    return caught.value


def test_what_is_wrong_is_named_with_its_file_and_row(tmp_path):
    one, two = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    shard_files.write(one, ROWS)
    shard_files.write(two, [*ROWS[:3], (" ", "class 1")])
    assert "b.jsonl:4" in str(refused("'text' is empty", str(tmp_path)))
    two.write_text('{"text": "a", "label": "class 1"}\n{"text": \n')
    assert "b.jsonl:2" in str(refused("is not JSON", str(tmp_path)))
    shard_files.write(two, ROWS, ("text", "kind"))
    refused("b.jsonl has no column 'label', unlike the first shard", str(tmp_path))
    refused("has no column 'body'", str(one), text="body")
    refused("there are no shards in", str(tmp_path / "*.parquet"))
    (tmp_path / "c.jsonl.gz").write_bytes(b"")
    assert "gunzip" in str(refused("is no shard", str(tmp_path / "c.jsonl.gz")))
    refused("has no validation or test split", str(one), validation_share=0.0, test_share=0.0)


def test_damaged_binary_shards(tmp_path):
    path = tmp_path / "a.parquet"
    shard_files.write(path, ROWS)
    path.write_bytes(path.read_bytes()[:-20])
    refused("a.parquet is not readable Parquet", str(path))
    for number, names in enumerate([("text", "label"), ("text", "kind")]):
        shard_files.write(tmp_path / f"b{number}.parquet", ROWS, names)
    refused("b1.parquet has no column 'label'", [str(tmp_path / f"b{n}.parquet") for n in (0, 1)])
    path = tmp_path / "a.tfrecord"
    shard_files.write(path, ROWS)
    content = bytearray(path.read_bytes())
    content[-30] ^= 255
    path.write_bytes(content)
    assert "row 250" in str(refused("record 250 cannot be read", str(path)))
    path.write_bytes(b"no records")
    refused("record 1 cannot be read", str(path))


def test_a_large_dataset_is_written_to_files(monkeypatch):
    pairs = [(f"text {n}", n % 2) for n in range(300)]
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(pairs),
        output_signature=(tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.int64)),
    )
    small = memory(dataset)
    assert not small.streamed
    monkeypatch.setattr(spilled_rows, "MAX_BYTES", 5_000)
    large = memory(dataset)
    assert large.streamed and large.inputs == ("text",) and large.labels == ("0", "1")
    assert "written to" in large.notes[0]
    every = sorted(row for split in large.splits for row in large.rows(split))
    assert every == sorted((text, str(label)) for text, label in pairs)
    given = memory(dataset, dataset.take(10), label_names=["down", "up"])
    assert given.splits == ("train", "validation") and given.size("validation") == 10
    assert given.labels == ("down", "up")
    assert not memory(pairs).streamed  # a list is in memory anyway


def test_answers_that_are_not_counted_are_noted(tmp_path, monkeypatch):
    monkeypatch.setattr(shard_index, "MAX_LABELS", 40)
    monkeypatch.setattr(shards_module, "MAX_LABELS", 40)
    rows = [(f"film {n}", str(n / 2)) for n in range(250)]
    for _ in range(2):  # the second index is from the store
        source = shards(three(tmp_path, "jsonl", rows), classes=False, **SHARES)
        [note] = [note for note in source.notes if note.startswith("train: 40 different answers")]
        assert f"those of 40 of {source.size('train'):,} examples" in note
