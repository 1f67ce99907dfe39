"""Images from folders and tables, Fashion-MNIST's files, and splits that follow the contents."""

import gzip
import json
import shutil
import struct

import numpy as np
import pictures
import pytest
import tensorflow as tf

from tfft.data.folds import FoldSource, lists
from tfft.data.sources.demo.fashion_mnist import LABELS, fashion_mnist, png
from tfft.data.sources.images import images, read_images
from tfft.errors import DataError
from tfft.preprocessing.media_files import content, name_of
from tfft.runs import repeat


def pairs(source):
    return {split: sorted(source.rows(split)) for split in source.splits}


def test_a_folder_a_class_is_split_by_the_contents(tmp_path):
    folder = pictures.folder(tmp_path / "one", 60)
    (folder / "notes.txt").write_text("nothing")
    (folder / "red/notes.txt").write_text("nothing")
    found = images(str(folder), validation_share=0.2, test_share=0.2)
    assert found.labels == ("green", "red") and found.inputs == ("image",)
    assert [found.size(split) for split in found.splits] == [36, 12, 12]
    assert {split: found.label_counts(split)["red"] for split in found.splits} == {
        "train": 18,
        "validation": 6,
        "test": 6,
    }
    assert any("1 files that are no images not read" in note for note in found.notes)
    # Under other names, in another place: the same splits and the same fingerprint.
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    for path in [*other.glob("red/*.png")]:
        path.rename(path.with_stem("z" + path.stem))
    again = images(str(other), validation_share=0.2, test_share=0.2)
    assert again.fingerprint() == found.fingerprint()
    for split in found.splits:
        sides = [[content(path) for path, _ in each.rows(split)] for each in (found, again)]
        assert sides[0] == sides[1]
    path = next(again.rows("train"))[0]
    with open(path, "ab") as file:
        file.write(b"more")
    assert images(str(other), validation_share=0.2, test_share=0.2).fingerprint() != (
        found.fingerprint()
    )


def test_folds_follow_the_contents_too(tmp_path):
    folder = pictures.folder(tmp_path / "one", 20)
    shutil.copy(folder / "red/000.png", folder / "red/copy.png")

    def folds():
        source = images(str(folder), validation_share=0.0, test_share=0.0)
        numbers = {"train": np.arange(15), "validation": np.arange(15, 21)}
        return source, FoldSource(source, lists(source, ["train"]), numbers)

    source, before = folds()
    assert before.identified(next(before.rows("train"))) != next(before.rows("train"))
    (folder / "green/001.png").write_bytes((folder / "green/003.png").read_bytes())
    _, after = folds()
    assert list(after.rows("train")) == list(before.rows("train"))
    assert after.summaries["train"].digest != before.summaries["train"].digest
    parts = repeat._parts(repeat.RepeatPlan(0, 1, 3), source)
    [_, numbers, _], *_ = list(parts)
    places = [path for path, _ in source.rows("train")]
    pair = [places.index(str(folder / f"red/{name}.png")) for name in ("000", "copy")]
    assert len({place in numbers["validation"] for place in pair}) == 1


def test_given_splits_and_copies(tmp_path):
    for seed, split in enumerate(("train", "val", "test")):
        pictures.folder(tmp_path / split, 8, seed=seed)
    shutil.copy(tmp_path / "test/red/000.png", tmp_path / "train/red/copy.png")
    found = images(str(tmp_path))
    assert [found.size(split) for split in ("train", "validation", "test")] == [8, 8, 8]
    assert any("1 rows of train dropped: their image is also in" in note for note in found.notes)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_of_paths(tmp_path, kind):
    folder = pictures.folder(tmp_path / "pictures", 40)
    rows = [
        {"photo": str(path.relative_to(tmp_path)), "kind": path.parent.name, "place": "here"}
        for path in sorted(folder.glob("*/*.png"))
    ]
    table = tmp_path / f"all.{kind}"
    lines = [json.dumps(row) for row in rows]
    if kind == "csv":
        lines = [",".join(rows[0]), *(",".join(row.values()) for row in rows)]
    table.write_text("\n".join(lines) + "\n")
    found = images(str(table), label="kind", columns=("place",), validation_share=0.2)
    of_folder = images(str(folder), validation_share=0.2)
    assert found.size("train") == of_folder.size("train")
    assert pairs(found) == pairs(of_folder)
    assert set(found.columns("test")["place"]) == {"here"}
    assert read_images(str(table), labelled=False).texts == [
        str(tmp_path / r["photo"]) for r in rows
    ]


def test_what_predict_reads(tmp_path):
    folder = pictures.folder(tmp_path / "pictures", 4)
    expected = sorted(map(str, folder.glob("*/*.png")))
    found = read_images(str(folder), labelled=False)
    assert found.texts == expected and found.labels is None
    (tmp_path / "list.txt").write_text("\n".join(expected) + "\n")
    assert read_images(str(tmp_path / "list.txt"), labelled=False).texts == expected


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(DataError, match="holds no folder with images in it") as caught:
        images(str(tmp_path))
    assert ".jpg" in caught.value.valid
    (tmp_path / "all.csv").write_text("path,label\nnone.png,a\nnone.png,b\n")
    with pytest.raises(DataError, match="none.png cannot be read: No such file"):
        images(str(tmp_path / "all.csv"))


def idx(array):
    head = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(head + array.astype(np.uint8).tobytes())


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The four files of the package with few made images, as if they had been fetched."""
    rng, folder = np.random.default_rng(0), tmp_path / "fashion_mnist"
    folder.mkdir()
    made = {}
    for split, size in (("train", 400), ("t10k", 20)):
        made[split] = rng.integers(0, 256, (size, 28, 28)), np.arange(size) % 10
        for kind, array in zip(("images-idx3", "labels-idx1"), made[split], strict=True):
            (folder / f"{split}-{kind}-ubyte.gz").write_bytes(idx(array))
    monkeypatch.setattr("tfft.storage.downloads.fetch.path", lambda name: tmp_path / name)
    return folder, made


def test_fashion_mnist_keeps_its_test_split(package):
    _, made = package
    found = fashion_mnist(validation_share=0.3)
    assert found.size("test") == 20 and found.size("train") + found.size("validation") == 400
    for number, (value, label) in enumerate(found.rows("test")):
        assert (name_of(value), label) == (f"t10k {number}", LABELS[number % 10])
        pixels = tf.io.decode_png(content(value)).numpy()[..., 0]
        np.testing.assert_array_equal(pixels, made["t10k"][0][number])
    few = fashion_mnist(validation_share=0.3, train_images=200)
    assert few.size("train") + few.size("validation") == 200
    assert "the first 200 training images alone" in few.notes


def test_other_files_are_refused(package, monkeypatch):
    folder, _ = package
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(b"something"))
    with pytest.raises(DataError, match="is no IDX file of 3 axes"):
        fashion_mnist()

    def missing(name):
        raise DataError("fashion_mnist is not on this machine.")

    monkeypatch.setattr("tfft.storage.downloads.fetch.path", missing)
    with pytest.raises(DataError, match="is not the file of the known package"):
        fashion_mnist(installed=str(folder))
    with pytest.raises(DataError, match="is not on this machine"):
        fashion_mnist(installed=str(folder / "nowhere"))


def test_a_png_is_the_same_everywhere():
    pixels = np.arange(12).reshape(3, 4).astype(np.uint8)
    np.testing.assert_array_equal(tf.io.decode_png(png(pixels)).numpy()[..., 0], pixels)


def test_images_of_a_group_are_in_the_same_split(tmp_path):
    folder = pictures.folder(tmp_path / "one", 40)
    paths = sorted(folder.glob("*/*.png"))
    rows = [f"{path},{path.parent.name},scene {number // 4}" for number, path in enumerate(paths)]
    (tmp_path / "table.csv").write_text("\n".join(["image,label,scene", *rows]) + "\n")
    source = images(
        str(tmp_path / "table.csv"), group="scene", validation_share=0.2, test_share=0.2
    )
    scenes = [set(source.columns(split)["scene"]) for split in source.splits]
    assert sum(map(len, scenes)) == 10 and not scenes[0] & scenes[2]
    assert [source.size(split) for split in source.splits] == [24, 8, 8]
