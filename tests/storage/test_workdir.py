"""A workdir: whole files, one owner, one run."""

import errno
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tfft.errors import WorkdirError
from tfft.storage.atomic_write import write_atomic
from tfft.storage.format_versions import WORKDIR
from tfft.storage.workdir import Workdir

IDENTITY = {"config": "a = 1\nb = 2", "seed": 0}


def test_a_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    write_atomic(tmp_path / "file", "old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkdirError, match="disk is full while writing"):
        write_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(WorkdirError, match="cannot write"), Workdir(tmp_path / "file/run").open({}):
        pass


def test_a_read_only_folder_is_named(tmp_path, monkeypatch):
    def read_only(*args, **kwargs):
        raise OSError(errno.EROFS, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr("os.open", read_only)
        with pytest.raises(WorkdirError, match="Read-only file system"):
            write_atomic(tmp_path / "file", "x")


def test_another_run_is_refused_with_the_difference(tmp_path):
    files = Workdir(tmp_path)
    with files.open(IDENTITY):
        files.write_json("run.json", {"format": WORKDIR, "identity": IDENTITY})
    other = {"config": "a = 1\nb = 3", "seed": 0}
    with pytest.raises(WorkdirError) as caught, files.open(other):
        pass
    assert "holds another run" in str(caught.value)
    assert "-b = 2" in str(caught.value) and "+b = 3" in str(caught.value)
    assert "a = 1" not in str(caught.value)
    with (
        pytest.raises(WorkdirError, match="seed: there 0, now 1"),
        files.open(IDENTITY | {"seed": 1}),
    ):
        pass


def test_a_second_process_is_refused(tmp_path):
    code = (
        "import sys; from tfft.storage.workdir import Workdir\n"
        f"with Workdir({str(tmp_path)!r}).open({{}}): print('inside')"
    )
    with Workdir(tmp_path).open({}):
        second = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "another process is running in" in second.stderr
    after = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert after.stdout.strip() == "inside"


def test_checkpoints_keep_shapes_and_the_newest_two(tmp_path):
    files = Workdir(tmp_path)
    for step in (1, 2, 3):
        files.save_checkpoint(step, {"scalar": np.array(step), "row": np.ones(2)}, {"step": step})
    assert len(files.checkpoints()) == 2
    arrays, state = files.newest_checkpoint(print)
    assert state == {"step": 3} and arrays["scalar"].shape == () and arrays["scalar"] == 3


def test_files_beside_the_checkpoints_stay(tmp_path):
    files = Workdir(tmp_path)
    own = tmp_path / "checkpoints" / "step-000-mine.safetensors"
    own.parent.mkdir()
    own.write_text("mine")
    for step in (1, 2, 3):
        files.save_checkpoint(step, {"row": np.ones(2)}, {"step": step})
    assert own.read_text() == "mine" and len(files.checkpoints()) == 2


def test_a_torn_checkpoint_is_passed_over_with_a_line(tmp_path):
    files = Workdir(tmp_path)
    for step in (1, 2):
        files.save_checkpoint(step, {"row": np.ones(200)}, {"step": step})
    newest = tmp_path / files.checkpoints()[0]
    newest.write_bytes(newest.read_bytes()[:300])
    said = []
    assert files.newest_checkpoint(said.append)[1] == {"step": 1}
    assert "is damaged" in said[0] and newest.name in said[0]


def test_writing_in_the_background_keeps_its_order_and_ends_before_the_lock(tmp_path):
    files, seen, go = Workdir(tmp_path), [], threading.Event()

    def slow() -> None:
        go.wait(10)
        seen.append("first")

    with files.open({}):
        files.later(slow)
        assert seen == []
        go.set()
        files.later(lambda: seen.append("second"))
    assert seen == ["first", "second"]


def test_a_full_disk_in_the_background_is_an_error_of_the_run(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    files = Workdir(tmp_path)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WorkdirError, match="disk is full while writing"), files.open({}):
        files.later(lambda: files.save("weights", {"row": np.ones(2)}, {}))
