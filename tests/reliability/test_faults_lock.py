"""The lock of a run: whose it is, what stands in its place, and a folder that goes away."""

import errno
import fcntl
import os
import shutil
import stat
import subprocess
import sys

import pytest

from tfft.errors import WorkdirError
from tfft.storage.locks import open_lock, try_lock
from tfft.storage.workdir import Workdir

NOBODY = 65534
HOLD = """
import fcntl, sys, time
fcntl.flock(open(sys.argv[1]), fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(60)
"""


FORK = """
import os, sys, time
from tfft.storage.workdir import Workdir
with Workdir(sys.argv[1]).open({}):
    if not os.fork():
        os.closerange(0, 3)
        time.sleep(8)
        os._exit(0)
with Workdir(sys.argv[1]).open({}):
    pass
"""


def in_place(kind, path, tmp_path):
    if kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    elif kind == "link to a file":
        (tmp_path / "file").write_text("mine")
        path.symlink_to(tmp_path / "file")
    elif kind == "folder":
        path.mkdir()
    else:
        os.mkfifo(path)


@pytest.mark.parametrize("kind", ["link", "link to a file", "folder", "pipe"])
def test_what_is_no_regular_file_is_refused(tmp_path, kind):
    run = tmp_path / "run"
    run.mkdir()
    in_place(kind, run / ".lock", tmp_path)
    before = sorted(path.name for path in tmp_path.iterdir())
    for use in (Workdir(run).open({}).__enter__, lambda: Workdir(run).check({})):
        with pytest.raises(WorkdirError, match=r"\.lock is a symbolic link or no regular file"):
            use()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_only_the_owner_can_open_a_lock(tmp_path):
    (tmp_path / ".lock").touch(0o644)  # of an earlier version
    for folder in (tmp_path, tmp_path / "new"):
        with Workdir(folder).open({}):
            assert stat.S_IMODE((folder / ".lock").stat().st_mode) == 0o600


def test_a_lock_with_a_second_name_keeps_its_mode(tmp_path):
    (tmp_path / "file").touch(0o644)
    os.link(tmp_path / "file", tmp_path / ".lock")
    with Workdir(tmp_path).open({}):
        assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_another_user_holds_an_old_lock_once_and_never_a_new_one(tmp_path):
    for parent in (tmp_path, *tmp_path.parents):
        if not parent.stat().st_mode & stat.S_IXOTH:
            pytest.skip(f"{parent} is closed to others")
    (tmp_path / ".lock").touch(0o644)
    command = [sys.executable, "-c", HOLD, str(tmp_path / ".lock")]
    settings = {"user": NOBODY, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **settings) as holder:
        assert holder.stdout.readline() == "held\n"
        match = rf"another process is running in .* \(process {holder.pid} of user \w+\)"
        with pytest.raises(WorkdirError, match=match) as caught, Workdir(tmp_path).open({}):
            pass
        assert f"remove {tmp_path / '.lock'}" in caught.value.valid
        holder.kill()
    second = subprocess.run(command, stderr=subprocess.PIPE, **settings)
    assert "PermissionError" in second.stderr
    with Workdir(tmp_path).open({}):
        pass


def test_a_lock_is_shared_by_readers_and_excludes_a_writer(tmp_path):
    with open_lock(tmp_path / "l") as one, open_lock(tmp_path / "l", create=False) as two:
        assert try_lock(one, shared=True) and try_lock(two, shared=True)
        assert not try_lock(one)
        fcntl.flock(two, fcntl.LOCK_UN)
        assert try_lock(one)


def test_a_forked_child_does_not_hold_a_lock(tmp_path):
    command = [sys.executable, "-c", FORK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(*given):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", refuse)
    (tmp_path / ".lock").touch()
    for use in (Workdir(tmp_path).open({}).__enter__, lambda: Workdir(tmp_path).check({})):
        with pytest.raises(WorkdirError, match=r"\.lock: No locks available") as caught:
            use()
        assert "a file system that has locks" in caught.value.valid


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_that_goes_away_ends_the_run(tmp_path, again):
    run = tmp_path / "run"
    files = Workdir(run)
    with (
        pytest.raises(WorkdirError, match="was removed or replaced while this run"),
        files.open({}),
    ):
        files.write("a.json", "{}")
        shutil.rmtree(run)
        if again:
            with Workdir(run).open({}):
                pass
        files.write("b.json", "{}")
    assert run.exists() == again and not (run / "b.json").exists()
