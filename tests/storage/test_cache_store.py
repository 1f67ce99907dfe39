"""What is kept on disk: parts, damage, locks, room, and the commands that list and clear it."""

import fcntl
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tfft.cli import main as cli
from tfft.errors import UserError, WorkdirError
from tfft.reports.console import Console
from tfft.storage.cache_store import TAG, Store, limit_bytes, store_dir

KEY = {"depth": 2, "tokens": "abc"}


class Say(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warn = info


@pytest.fixture
def store(tmp_path):
    return Store(Say(), tmp_path / "store", limit=10_000)


def rows(begin, end):
    return np.arange(begin * 3, end * 3, dtype=np.float32).reshape(-1, 3)


def half_filled(store):
    entry = store.open("features", KEY, (10, 3), "float32", "a title")
    entry.write(0, rows(0, 4))
    entry.write(7, rows(7, 10))
    return entry


def test_parts_are_read_back_by_another_process_of_the_same_key(store):
    half_filled(store)
    again = store.open("features", dict(reversed(KEY.items())), (10, 3), "float32", "a title")
    assert again.has(0, 4) and again.has(7, 10) and not again.has(4, 7)
    assert not again.complete
    again.write(4, rows(4, 7))
    assert again.complete
    assert np.array_equal(store.find("features", KEY).values, rows(0, 10))
    assert not store.say.lines


@pytest.mark.parametrize("field", ["depth", "tokens"])
def test_another_key_is_another_entry(store, field):
    half_filled(store)
    assert store.find("features", {**KEY, field: "other"}) is None


def test_a_torn_journal_and_flipped_bits_are_noticed(store):
    entry = half_filled(store)
    with open(entry.path / "parts.jsonl", "a") as file:
        file.write('{"begin": 4, "end": 7, "crc')
    assert sorted(store.find("features", KEY).parts) == [0, 7]
    with open(entry.path / "values.bin", "r+b") as file:
        file.seek(5)
        file.write(b"?")
    found = store.find("features", KEY)
    assert sorted(found.parts) == [7]
    assert "1 parts are damaged and are computed again" in store.say.lines[-1]
    found.write(0, rows(0, 4))
    found.write(4, rows(4, 7))
    assert store.find("features", KEY).complete


def test_bytes_are_kept_and_damage_is_noticed(store):
    assert store.load("tokens", KEY) is None
    store.save("tokens", KEY, b"content", "a title")
    assert store.load("tokens", KEY) == b"content"
    (store.path("tokens", KEY) / "content").write_bytes(b"conten")
    assert store.load("tokens", KEY) is None
    assert "damaged" in store.say.lines[-1]


def test_bfloat16_is_kept(store):
    import ml_dtypes

    values = rows(0, 2).astype(ml_dtypes.bfloat16)
    store.open("features", KEY, (2, 3), "bfloat16", "").write(0, values)
    assert np.array_equal(store.find("features", KEY).values, values)


def test_the_least_recently_used_entry_makes_room(store):
    for name in "abc":
        store.save("tokens", {"name": name}, b"x" * 3000, name)
    assert store.load("tokens", {"name": "a"})
    store.save("tokens", {"name": "d"}, b"x" * 3000, "d")
    left = {entry.about["title"] for entry in store.entries()}
    assert left == {"a", "c", "d"}
    assert "removed" in store.say.lines[-1]


def test_what_can_never_fit_is_refused(store):
    with pytest.raises(WorkdirError, match="do not fit into the store's limit") as caught:
        store.open("features", KEY, (10_000, 3), "float32", "")
    assert "TFFT_STORE_GB" in caught.value.set_in
    assert not store.entries()


def test_an_entry_that_is_being_written_stays(store):
    entry = half_filled(store)
    with open(entry.path / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="a process is computing"):
            store.clear([entry.path.name])
        store.limit = entry.values.nbytes + 350
        with pytest.raises(WorkdirError, match="other processes"):
            store.make_room(400)
        assert store.entries()
    assert store.clear() > 0
    assert not store.entries()


def test_a_folder_that_cannot_be_written_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match="the store cannot be written"):
        Store(Say(), tmp_path / "file" / "store").save("tokens", KEY, b"", "")


def test_a_limit_that_is_no_number(monkeypatch):
    monkeypatch.setenv("TFFT_STORE_GB", "0.5")
    assert limit_bytes() == 2**29
    monkeypatch.setenv("TFFT_STORE_GB", "much")
    with pytest.raises(UserError, match="is no size"):
        limit_bytes()


def test_the_command_lists_and_clears(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path))
    half_filled(Store(Say()))
    Store(Say()).save("tokens", KEY, b"content", "train of reviews")
    names = [entry.name for entry in Store(Say()).entries()]
    assert cli.command(["store"]) == 0
    shown = capsys.readouterr().out
    assert all(name in shown for name in names)
    assert "partial" in shown and "2 entries" in shown and " 10 " in shown
    assert cli.command(["store", "clear", "features-12"]) == 2
    assert names[1] in capsys.readouterr().err or names[0]
    assert cli.command(["store", "clear", names[0]]) == 0
    assert [entry.name for entry in Store(Say()).entries()] == names[1:]
    assert cli.command(["store", "clear"]) == 0
    assert "freed" in capsys.readouterr().out
    assert cli.command(["store"]) == 0
    assert "0 entries" in capsys.readouterr().out
    assert cli.command(["store", "empty"]) == 2


def test_what_cannot_be_read_at_all_is_made_anew(store):
    for damage in ("key.json", "values.bin"):
        path = half_filled(store).path
        with open(path / damage, "r+b") as file:
            file.truncate(10)
        assert store.find("features", KEY) is None
        assert "is damaged and is computed again" in store.say.lines[-1]
        assert not half_filled(store).complete


def test_no_room_beside_what_others_compute_is_said(store):
    entry = half_filled(store)
    with open(entry.path / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(WorkdirError, match="beside what other processes compute"):
            store.make_room(store.limit)
    store.make_room(store.limit)
    assert not store.entries()


def test_a_folder_that_was_never_finished_is_removed(store):
    left = store.folder / ".features-0123456789abcdef-1-1"
    left.mkdir(parents=True)
    (store.folder / f".{TAG}-1-1").write_text("Signa")
    with store.new_folder(store.path("features", KEY)) as other:
        store.make_room(1)
        assert other.exists()  # a process is at it
    assert not left.exists()
    assert [path.name for path in store.folder.glob(".*")] == []


def test_a_second_process_waits_and_finds_it_done(store):
    one, two = half_filled(store), Store(Say(), store.folder, store.limit)
    other = two.open("features", KEY, (10, 3), "float32", "a title")
    waiting = threading.Event()

    def second():
        with other.filling(lambda line: (two.say.info(line), waiting.set())):
            pass

    thread = threading.Thread(target=second)
    with one.filling(store.say.info):
        thread.start()
        assert waiting.wait(10)
        one.write(4, rows(4, 7))
    thread.join(10)
    assert other.complete and "waiting for it" in two.say.lines[0]


def test_the_command_needs_no_tensorflow(tmp_path):
    code = (
        "import sys; from tfft.cli import main as cli; cli.command(['store', 'clear']); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    environment = {**os.environ, "TFFT_STORE": str(tmp_path)}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


def test_the_key_is_told_in_words(store):
    entry = half_filled(store)
    about = json.loads((entry.path / "key.json").read_text())
    assert about["key"] == KEY and about["title"] == "a title"


def old(path):
    """Makes a folder with a file in it that is older than an hour."""
    path.mkdir(parents=True)
    (path / "file").write_text("kept")
    os.utime(path, (0, 0))
    return path


OTHERS = (
    *(".vscode-server", ".ssh-keys", "my-notes", "tokens-0123", "features-0123456789abcdeg"),
    ".tokens-0123456789abcdef-x",
)


def test_a_folder_of_somebody_else_is_refused_and_stays(tmp_path, monkeypatch, capsys):
    home = tmp_path / "home"
    kept = [old(home / name) for name in OTHERS]
    monkeypatch.setenv("TFFT_STORE", str(home))
    store = Store(Say())
    uses = (
        lambda: store.save("tokens", KEY, b"content", ""),
        lambda: store.open("features", KEY, (2, 3), "float32", ""),
        lambda: store.find("features", KEY),
        lambda: store.make_room(1),
        store.entries,
        store.clear,
    )
    for use in uses:
        with pytest.raises(WorkdirError, match="holds files that tfft did not write") as caught:
            use()
        assert "TFFT_STORE" in caught.value.set_in and str(home / "tfft") in caught.value.valid
    assert cli.command(["store", "clear"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert sorted(path.name for path in home.iterdir()) == sorted(OTHERS)
    assert all((path / "file").read_text() == "kept" for path in kept)


def test_what_is_put_into_the_store_later_stays(store):
    store.save("tokens", KEY, b"content", "a title")
    kept = [old(store.folder / name) for name in OTHERS]
    store.make_room(1)
    store.clear()
    assert all((path / "file").read_text() == "kept" for path in kept)
    assert not store.entries()


def test_the_folder_is_marked_as_a_cache(store):
    store.save("tokens", KEY, b"content", "a title")
    tag = (store.folder / TAG).read_text()
    assert tag.startswith("Signature: 8a477f597d28d172789f06886806bc55\n") and "tfft" in tag
    assert len(list(store.folder.iterdir())) == 2


def test_the_tag_of_another_cache_is_no_leave(store):
    store.folder.mkdir()
    (store.folder / TAG).write_text("Signature: 8a477f597d28d172789f06886806bc55\n# another\n")
    with pytest.raises(WorkdirError, match="such as 'CACHEDIR.TAG'"):
        store.save("tokens", KEY, b"content", "a title")


def test_a_store_without_a_tag_is_taken_over(store):
    half_filled(store)
    (store.folder / TAG).unlink()  # as version 0.1.0 left it
    assert store.find("features", KEY) and len(store.entries()) == 1
    store.save("tokens", KEY, b"content", "a title")
    assert (store.folder / TAG).exists()


@pytest.mark.parametrize("name", ["tokens-0123456789abcdef", ".tokens-0123456789abcdef-1-1"])
def test_a_link_is_never_followed(store, tmp_path, name):
    other = old(tmp_path / "other")
    (other / "key.json").write_text('{"title": "theirs"}')
    os.utime(other, (0, 0))
    store.save("tokens", KEY, b"content", "a title")
    (store.folder / name).symlink_to(other)
    store.make_room(store.limit)
    store.clear()
    assert (other / "file").read_text() == "kept"
    link = store.path("tokens", {"another": 1})
    link.symlink_to(other)
    assert store.load("tokens", {"another": 1}) is None
    assert (other / "file").read_text() == "kept" and not link.is_symlink()


def test_the_variable_may_begin_with_a_tilde(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("TFFT_STORE", "~/store")
    assert str(store_dir()) == "/somewhere/store"
