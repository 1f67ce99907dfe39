"""Every file of the store, damaged in every way: it is read as it was written, or made again."""

import builtins
import os
import shutil

import numpy as np
import pytest
from damages import CHANGES, DAMAGES, damage

from tfft.errors import WorkdirError
from tfft.reports.console import Console
from tfft.storage.array_file import is_free
from tfft.storage.array_folder import find_arrays, write_arrays
from tfft.storage.cache_store import Store

KEY, OTHER = {"format": 1, "of": "abc"}, {"format": 1, "of": "abd"}
ROWS = np.arange(600, dtype=np.float32).reshape(-1, 3)
CONTENT = bytes(range(256))
TOKENS, FEATURES, INDEX = "tokens", "features", "index"
FILES = {
    TOKENS: ("content", "key.json"),
    FEATURES: ("values.bin", "parts.jsonl", "key.json"),
    INDEX: ("0.bin", "key.json"),
}
CELLS = [(kind, name) for kind, names in FILES.items() for name in names]


class Say(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warn = info


@pytest.fixture
def store(tmp_path):
    """A store with an entry of each kind by two keys, of other values but the same sizes."""
    found = Store(Say(), tmp_path / "store", limit=10**6)
    for sign, key in ((1, KEY), (-1, OTHER)):
        found.save(TOKENS, key, CONTENT[::sign], "a title")
        entry = found.open(FEATURES, key, ROWS.shape, "float32", "a title")
        entry.write(0, sign * ROWS[:120])
        entry.write(120, sign * ROWS[120:], largest_difference=0.25)
        write_arrays(found, INDEX, key, "a title", lambda w, s=sign: w.append("rows", s * ROWS))
    return found


def read(store, kind):
    """Returns what the store has of an entry: all of it, or None; it must be what was written."""
    if kind == TOKENS:
        content = store.load(TOKENS, KEY)
        assert content in (None, CONTENT)
        return content
    if kind == INDEX:
        found = find_arrays(store, INDEX, KEY)
        assert found is None or np.array_equal(found[0]["rows"], ROWS)
        return found
    entry = store.find(FEATURES, KEY)
    for part in entry.parts.values() if entry else ():
        rows = slice(part["begin"], part["end"])
        assert np.array_equal(entry.values[rows], ROWS[rows])
        assert part.get("largest_difference", 0.25) == 0.25
    return entry if entry is not None and entry.complete else None


def write_again(store, kind):
    if kind == TOKENS:
        store.save(TOKENS, KEY, CONTENT, "a title")
    elif kind == INDEX:
        write_arrays(store, INDEX, KEY, "a title", lambda writer: writer.append("rows", ROWS))
    else:
        entry = store.open(FEATURES, KEY, ROWS.shape, "float32", "a title")
        with entry.filling(store.say.info):
            for begin, end in ((0, 120), (120, 200)):
                if not entry.has(begin, end):
                    entry.write(begin, ROWS[begin:end])


@pytest.mark.parametrize("change", DAMAGES)
@pytest.mark.parametrize("kind, name", CELLS)
def test_a_damaged_entry_is_made_again(store, kind, name, change):
    damage(store.path(kind, KEY) / name, change, store.path(kind, OTHER) / name)
    again = Store(Say(), store.folder, store.limit)  # another process
    found = read(again, kind)
    if name == "parts.jsonl" and change == "byte cut":  # the last line break
        assert found is not None
        return
    unsaid = name == "parts.jsonl" and change in ("deleted", "emptied", "folder")
    assert found is None and (again.say.lines or unsaid)
    assert again.entries()
    write_again(again, kind)
    assert read(again, kind) is not None and read(Store(Say(), store.folder), kind) is not None


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("change", ["exchanged", "file"])
def test_an_exchanged_entry_is_made_again(store, kind, change):
    path = store.path(kind, KEY)
    shutil.rmtree(path)
    if change == "file":
        path.write_bytes(CONTENT)
    else:
        shutil.copytree(store.path(kind, OTHER), path)
    again = Store(Say(), store.folder, store.limit)
    assert read(again, kind) is None and "is damaged and is computed again" in again.say.lines[0]
    write_again(again, kind)
    assert read(again, kind) is not None


def test_a_store_of_another_user_is_read(store, monkeypatch):
    def refused(*arguments, **settings):
        raise PermissionError(13, "Permission denied")

    plain = open

    def reading(path, mode="r", *arguments, **settings):
        return refused() if set(mode) & set("aw+") else plain(path, mode, *arguments, **settings)

    for name in ("utime", "mkdir", "rename", "unlink"):
        monkeypatch.setattr(os, name, refused)
    written, plain_os = os.O_WRONLY | os.O_RDWR | os.O_CREAT, os.open
    monkeypatch.setattr(builtins, "open", reading)
    monkeypatch.setattr(
        os, "open", lambda *a, **s: refused() if a[1] & written else plain_os(*a, **s)
    )
    again = Store(Say(), store.folder, store.limit)
    assert all(read(again, kind) is not None for kind in FILES) and not again.say.lines
    entry = again.find(FEATURES, KEY)
    with pytest.raises(WorkdirError, match="the store cannot be written: Permission denied"):
        entry.write(0, ROWS[:120])
    with pytest.raises(WorkdirError, match="cannot write"), entry.filling(print):
        pass
    with pytest.raises(WorkdirError, match="cannot be written"):
        again.save(TOKENS, {"of": "new"}, CONTENT, "a title")


def test_an_entry_that_another_user_may_be_computing_is_not_free(store, monkeypatch):
    def refuse(*given, **settings):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    assert not is_free(store.path(FEATURES, KEY))
    monkeypatch.setattr(os, "access", lambda *given: False)
    assert is_free(store.path(FEATURES, KEY))


def test_a_damaged_key_is_listed_and_cleared(store, capsys):
    path = store.path(TOKENS, KEY) / "key.json"
    path.write_bytes(CHANGES["half"](path.read_bytes()))
    listed = {entry.name: entry for entry in store.entries()}
    assert listed[path.parent.name].about == {"title": "damaged"}
    store.clear([path.parent.name])
    assert not path.parent.exists()
