"""What `--output` may name: files, links, devices, FIFOs, and what is refused."""

import os
import pathlib
import socket
import stat
import subprocess
import sys
import threading

import pytest

from tfft.errors import UserError, WorkdirError
from tfft.storage.atomic_write import refuse_existing, write_atomic

ROOT = os.geteuid() == 0


def write(path, content="new\n"):
    """Does what predict and compare do with `--output` and `--force`."""
    refuse_existing(str(path), force=True)
    write_atomic(path, content)


def test_a_file_is_replaced_with_force_alone(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    with pytest.raises(WorkdirError, match="exists") as caught:
        refuse_existing(str(file), force=False)
    assert caught.value.set_in == "--output" and "--force" in caught.value.valid
    write(file)
    assert file.read_text() == "new\n"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o755])
def test_a_replaced_file_keeps_its_permissions(tmp_path, mode):
    file = tmp_path / "file"
    file.write_text("old")
    file.chmod(mode)
    write(file)
    assert stat.S_IMODE(file.stat().st_mode) == mode


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner(tmp_path):
    file = tmp_path / "file"
    file.write_text("old")
    os.chown(file, 1234, 2345)
    write(file)
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


def test_a_link_stays_and_its_file_is_written(tmp_path):
    (tmp_path / "there").mkdir()
    file = tmp_path / "there" / "file"
    file.write_text("old")
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("there/file")
    write(tmp_path / "one")
    assert (tmp_path / "one").is_symlink() and file.read_text() == "new\n"
    assert [path.name for path in file.parent.iterdir()] == ["file"]
    (tmp_path / "new").symlink_to("there/fresh")
    write(tmp_path / "new")
    assert (tmp_path / "there" / "fresh").read_text() == "new\n"


def test_a_loop_of_links_is_refused(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    for use in (write, lambda path: write_atomic(path, "")):
        with pytest.raises(WorkdirError, match="Too many levels of symbolic links"):
            use(tmp_path / "one")


def test_a_fifo_is_written_to(tmp_path):
    fifo, read = tmp_path / "fifo", []
    os.mkfifo(fifo)
    thread = threading.Thread(target=lambda: read.append(fifo.read_text()))
    thread.start()
    refuse_existing(str(fifo), force=False)  # nothing is replaced
    write(fifo)
    thread.join(10)
    assert read == ["new\n"] and stat.S_ISFIFO(fifo.stat().st_mode)


def test_a_device_is_written_to():
    for name in ("/dev/null", "/dev/zero"):
        before = os.stat(name).st_rdev
        write(name)
        assert stat.S_ISCHR(os.stat(name).st_mode) and os.stat(name).st_rdev == before
    with pytest.raises(WorkdirError, match="the disk is full while writing /dev/full"):
        write("/dev/full")
    assert stat.S_ISCHR(os.stat("/dev/full").st_mode)


def test_folders_and_sockets_are_refused(tmp_path):
    with pytest.raises(WorkdirError, match="is a folder, not a file"):
        write(tmp_path)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        with pytest.raises(WorkdirError, match="is a socket, not a file"):
            write(tmp_path / "socket")
    assert stat.S_ISSOCK((tmp_path / "socket").stat().st_mode)


@pytest.mark.parametrize("name", ["file/below", "x" * 300, "null\0character", ""])
def test_a_path_that_cannot_be_is_a_user_error(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        write(f"{tmp_path}/{name}" if name else "")
    assert "--output" in caught.value.set_in


CODE = """
import sys
from tfft.storage.atomic_write import refuse_existing, write_atomic
print("before")
for name in sys.argv[1:]:
    refuse_existing(name, False)
    write_atomic(name, "content\\n")
print("after")
"""


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_the_device_of_standard_output_prints(tmp_path, name):
    (tmp_path / "link").symlink_to("/dev/stdout")
    kept = tmp_path / "kept"
    kept.write_text("kept\n")
    with open(kept, "a") as out:  # as `>> kept`
        command = [sys.executable, "-c", CODE, name]
        subprocess.run(command, stdout=out, cwd=tmp_path, check=True, env=_environment())
    assert kept.read_text() == "kept\nbefore\ncontent\nafter\n"
    assert (tmp_path / "link").is_symlink()


def test_standard_error_is_written_to(tmp_path):
    command = [sys.executable, "-c", CODE, "/dev/stderr"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment())
    assert (done.stdout, done.stderr) == ("before\nafter\n", "content\n")


def test_a_descriptor_that_is_not_open_is_a_user_error():
    with pytest.raises(WorkdirError, match="Bad file descriptor"):
        write("/dev/fd/987")


def _environment():
    return {**os.environ, "PYTHONPATH": str(pathlib.Path(__file__).parents[2])}
