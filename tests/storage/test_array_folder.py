"""Arrays that are written chunk by chunk: read back, damaged, and without room."""

import numpy as np
import pytest
from test_cache_store import Say

from tfft.storage.array_folder import find_arrays, write_arrays
from tfft.storage.cache_store import Store

KEY = {"rows": "abc"}


@pytest.fixture
def store(tmp_path):
    return Store(Say(), tmp_path / "store", limit=10_000)


def fill(writer):
    for begin in range(0, 30, 10):
        writer.append("numbers", np.arange(begin, begin + 10, dtype=np.int64))
        writer.append("pairs", np.full((10, 2), begin, np.int32))
        writer.append("none", np.zeros(0, np.float32))
    return {"names": ["a"]}


def check(arrays, content):
    assert np.array_equal(arrays["numbers"], np.arange(30)) and content == {"names": ["a"]}
    assert arrays["pairs"].shape == (30, 2) and arrays["pairs"][-1].tolist() == [20, 20]
    assert arrays["none"].shape == (0,)


def test_arrays_are_found_again(store):
    assert find_arrays(store, "index", KEY) is None
    check(*write_arrays(store, "index", KEY, "a title", fill))
    check(*find_arrays(store, "index", KEY))
    (entry,) = store.entries()
    assert entry.complete and entry.about["title"] == "a title" and not store.say.lines
    assert find_arrays(store, "index", {"rows": "other"}) is None


def test_a_damaged_array_is_removed(store):
    write_arrays(store, "index", KEY, "a title", fill)
    path = store.path("index", KEY) / "0.bin"
    path.write_bytes(b"\1" + path.read_bytes()[1:])
    assert find_arrays(store, "index", KEY) is None
    assert "damaged" in store.say.lines[0] and not store.entries()
    write_arrays(store, "index", KEY, "a title", fill)
    path.write_bytes(path.read_bytes()[:-1])
    assert find_arrays(store, "index", KEY) is None


def test_without_room_or_key_the_arrays_are_temporary(store):
    check(*write_arrays(store, "tokens", None, "targets", fill))
    assert not store.say.lines and not store.entries()
    store.limit = 100
    check(*write_arrays(store, "index", KEY, "a title", fill))
    assert "not kept for other runs" in store.say.lines[0]
    assert not store.entries() and not list(store.folder.glob(".index*"))


def test_a_store_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    store = Store(Say(), tmp_path / "file", limit=10_000)
    check(*write_arrays(store, "index", KEY, "a title", fill))
    assert "not kept for other runs" in store.say.lines[0]
