"""Fetched files are compared with their pinned hashes when they are read, once for each state."""

import dataclasses
import hashlib
import os

import pytest

from tfft.errors import DataError
from tfft.storage.downloads import fetch, pinned_files
from tfft.storage.downloads.download_index import ITEMS


@pytest.fixture
def item(tmp_path, monkeypatch):
    """A fetched item; returns its folder."""
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))
    folder, content = tmp_path / "thing", {"model": b"weights" * 1000, "LICENSE": b"MIT"}
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)
    made = dataclasses.replace(
        ITEMS["minilm_l6"],
        members={name: name for name in content},
        hashes={name: hashlib.sha256(data).hexdigest() for name, data in content.items()},
    )
    (folder / fetch.MARKER).write_text(made.sha256 + "\n")
    monkeypatch.setattr(fetch, "ITEMS", {"thing": made})
    return folder


def change(path, later=1.0):
    """Flips a bit in the middle of a file, whose time becomes another one."""
    data, state = bytearray(path.read_bytes()), path.stat()
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + int(later * 1e9)))


def test_every_unpacked_file_has_a_pinned_hash():
    for name, one in ITEMS.items():
        assert one.hashes.keys() == set(one.members.values()), name
        whole = one.members.get("")  # the archive as it is
        assert whole is None or one.hashes[whole] == one.sha256


def test_a_flipped_bit_and_a_lost_block_are_refused_until_the_item_is_fetched_again(item):
    assert fetch.path("thing") == item
    original = (item / "model").read_bytes()
    for damage in (change, lambda path: path.write_bytes(original[:-512] + bytes(512))):
        damage(item / "model")
        for _ in range(2):  # the damage is not remembered as what is right
            with pytest.raises(DataError) as caught:
                fetch.path("thing")
        error = caught.value
        assert error.problem == f"{item / 'model'} is damaged: its SHA-256 is not the pinned one."
        assert error.see == "tfft fetch thing"
        (item / "model").write_bytes(original)
        assert fetch.path("thing") == item


def test_a_file_is_read_once_for_each_state(item, monkeypatch):
    read = []
    digest = pinned_files.file_digest
    monkeypatch.setattr(pinned_files, "file_digest", lambda p: read.append(p.name) or digest(p))
    for _ in range(3):
        fetch.path("thing")
    assert sorted(read) == ["LICENSE", "model"]
    os.utime(item / "model", ns=(0, 0))
    fetch.path("thing")
    fetch.path("thing")
    assert read[2:] == ["model"]


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"[" * 100_000, b'{"thing/model": 3}'])
def test_a_damaged_memory_is_made_again(item, content):
    (item.parent / pinned_files.NAME).write_bytes(content)
    assert fetch.path("thing") == item
    change(item / "model")
    with pytest.raises(DataError, match="is damaged"):
        fetch.path("thing")


def test_a_folder_that_cannot_remember_is_compared_each_time(item):
    (item.parent / pinned_files.NAME).mkdir()
    assert fetch.path("thing") == item
    change(item / "model")
    with pytest.raises(DataError, match="is damaged"):
        fetch.path("thing")


def test_fetch_replaces_a_damaged_item(item, monkeypatch):
    change(item / "model")
    fetched = []
    monkeypatch.setattr(fetch, "_fetch_one", lambda name, *_: fetched.append(name))
    fetch.fetch(["thing"], lambda line: None)
    assert fetched == ["thing"]
