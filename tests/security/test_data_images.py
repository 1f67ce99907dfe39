"""Hostile images: sizes in headers, files outside of the table's folder, special files, names."""

import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
from hostile_children import call, refused

from tfft.data.sources.images import images, read_images
from tfft.errors import DataError
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor
from tfft.preprocessing.image.image_sizes import claimed_pixels

PNG = tf.io.encode_png(np.zeros((6, 5, 3), np.uint8)).numpy()
JPEG = tf.io.encode_jpeg(np.zeros((6, 5, 3), np.uint8)).numpy()


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width, height):
    header = chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def gif(width, height, frames=1):
    frame = b",\0\0\0\0" + struct.pack("<HH", width, height) + b"\0\x02\x01\0\0"
    return b"GIF89a" + struct.pack("<HH", width, height) + b"\0\0\0" + frame * frames + b";"


def jpeg(width, height):
    place = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:place] + struct.pack(">HH", height, width) + JPEG[place + 4 :]


def bmp(width, height):
    return struct.pack("<2sIHHIIiiHH", b"BM", 54, 0, 0, 54, 40, width, height, 1, 24) + bytes(24)


def webp(width, height):
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + sides


HEADERS = {"png": png, "gif": gif, "jpeg": jpeg, "bmp": bmp, "webp": webp}


@pytest.mark.parametrize("kind", HEADERS)
def test_pixels_that_a_header_claims(kind):
    frames = 2 if kind == "gif" else 1  # the canvas, and a frame
    assert claimed_pixels(HEADERS[kind](300, 200)) == frames * 60_000


def test_headers_before_the_end_of_a_damaged_file_count():
    assert claimed_pixels(jpeg(300, 200)[:-2] + b"\xff\xc0\x00\x11") == 60_000
    assert claimed_pixels(gif(300, 200, frames=4)[:-3]) == 5 * 60_000


def test_data_behind_a_photograph_are_not_its_size():
    film = b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff" + bytes(20)
    assert claimed_pixels(jpeg(300, 200) + film) == 60_000


def decode(path):
    return ImagePreprocessor(8, 8).rows(tf.constant([str(path)]))


@pytest.mark.parametrize("kind", HEADERS)
def test_images_that_are_huge_by_their_headers(kind, tmp_path):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(HEADERS[kind](16_000, 16_000))
    with pytest.raises(DataError, match=r"a\.\w+ has \d+,000,000 pixels"):
        decode(path)
    path.write_bytes(gif(1000, 1000, frames=200))
    with pytest.raises(DataError, match="has 201,000,000 pixels"):
        decode(path)


@pytest.mark.parametrize("content", [PNG[:-20], JPEG[:-300], png(5, 6), b"", b"GIF89a", b"BM"])
def test_images_that_are_cut(content, tmp_path):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(DataError, match="is no image that can be read"):
        decode(tmp_path / "a.png")


@pytest.mark.slow
def test_files_that_are_too_large_or_none(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    (tmp_path / "large.png").touch()
    os.truncate(tmp_path / "large.png", 2**40)
    for name, message in (("pipe", "a pipe"), ("device", "a device"), ("large", "more than")):
        refused(decode, tmp_path / f"{name}.png", names=[f"{name}.png", message])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "data/inside").mkdir(parents=True)
    for name in ("outside.png", "data/a.png", "data/inside/b.png"):
        (tmp_path / name).write_bytes(PNG)
    (tmp_path / "data/link.png").symlink_to(tmp_path / "outside.png")
    (tmp_path / "data/up").symlink_to(tmp_path)
    return tmp_path / "data"


def write(folder, *names):
    lines = "".join(f"{name},x\n" for name in names)
    (folder / "all.csv").write_text(f"image,label\n{lines}")
    return str(folder / "all.csv")


@pytest.mark.parametrize(
    "name",
    ["../outside.png", "/etc/passwd", "link.png", "up/outside.png", "inside/../../outside.png"],
)
def test_images_outside_of_the_folder_of_a_table(name, folder):
    path = write(folder, "a.png", name)
    with pytest.raises(DataError, match=r"all\.csv:3: the file .* is outside of") as found:
        read_images(path)
    assert "--trust_data" in found.value.valid
    assert len(read_images(path, trust_data=True).texts) == 2
    with pytest.raises(DataError, match="is outside of"):
        images(path, trust_data=("numpy",))  # modules that may be imported, see `tfds`


def test_images_inside_of_the_folder_of_a_table(folder, monkeypatch):
    path = write(folder, "a.png", "./inside/b.png", str(folder / "a.png"), "inside/../a.png")
    assert len(read_images(path).texts) == 4
    monkeypatch.chdir(folder.parent)
    assert len(read_images("data/up/data/all.csv").texts) == 4


@pytest.mark.parametrize("name", ["z" * 300 + ".png", "y" * 5000, "a\0.png", "~nobody/a.png"])
def test_names_that_no_image_can_have(name, folder):
    path = write(folder, "a.png", name)
    outcome = call(images, path)
    assert outcome.kind == "error" and len(outcome.detail) < 20_000, outcome


@pytest.mark.parametrize("name", ["a'b.png", "a[1].png", "{a}.png", "a b.png", "ü.png"])
def test_names_with_quotes_and_brackets(name, folder):
    (folder / name).write_bytes(PNG)
    found = read_images(write(folder, name)).texts
    assert found == [str(folder / name)] and decode(found[0])["pixels"].shape == (1, 8, 8, 3)


def test_names_in_a_folder_that_are_not_utf8(folder):
    with open(os.fsencode(folder) + b"/inside/\xff.png", "wb") as file:
        file.write(PNG)
    with pytest.raises(DataError, match="its name is not UTF-8"):
        images(str(folder))
