"""A file operation that fails: the error names the file, and the command goes on when it can."""

import errno
import re
import shutil
import subprocess
import sys

import file_operations
import pytest
from file_operations import EXPORT, GO, TRAIN, make_home, results, run, temporary_files

NEEDS_ROOM = {"open", "write", "flush", "close", "fsync", "allocate", "mkdir", "truncate", "rename"}
# The operations that a fault lets fail from its beginning on; None: that operation alone.
FAULTS = {
    errno.ENOSPC: NEEDS_ROOM,
    errno.EDQUOT: NEEDS_ROOM,
    errno.EMFILE: {"open"},
    errno.EACCES: {"open", "mkdir", "rename", "chmod"},
    errno.EROFS: {*NEEDS_ROOM, "unlink", "rmdir", "chmod", "chown", "utime"},
    errno.EIO: None,
}
COMMANDS = (TRAIN, EXPORT)
PLACES = 10  # in `make test-all`, evenly spaced


class Fault:
    """Fails at the first operation at a place that is not known yet, and as long as it lasts.

    Args:
      number: the errno.
      known: the places where an operation failed before; the new one is added.
    """

    def __init__(self, number, known):
        self.number, self.known, self.place = number, known, None

    def __call__(self, operation, path):
        lasting = FAULTS[self.number]
        if self.place is not None:
            return self.number if lasting and operation in lasting else GO
        place = at(operation, file_operations.normal(path))
        if place in self.known or (lasting and operation not in lasting):
            return GO
        self.place = place
        self.known.add(place)
        return self.number


def at(operation, path):
    """Returns an operation and the kind of file that it is at."""
    return operation, re.sub(r"[0-9a-f]{16}|\d{9}", "N", path)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Returns what an undisturbed run ends with, and its operations."""
    home = make_home(tmp_path_factory.mktemp("whole") / "home")
    recorder = file_operations.Recorder()
    assert run(home, recorder, COMMANDS).returncode == 0
    return results(home), recorder.seen


def failing_runs(home, number, known, most):
    """Runs a command again and again, each time with a fault at a new place; returns the places."""
    found = []
    while len(found) < most:
        fault, before = Fault(number, known), temporary_files(home)
        done = run(home, fault, COMMANDS)
        if fault.place is None:
            return found
        found.append((*fault.place, done.returncode))
        check(done, fault)
        # Where nothing can be removed the next start does it.
        if number != errno.EROFS and fault.place[0] not in ("unlink", "rmdir"):
            assert set(temporary_files(home)) <= set(before), fault.place
    return found


def check(done, fault):
    """Checks how a command ended in which an operation failed."""
    seen = errno.errorcode[fault.number], fault.place, done.stderr
    assert "Traceback" not in done.stderr, seen
    assert done.returncode in (0, 2), seen
    if done.returncode == 2:
        error = done.stderr.partition("tfft: ")[2]
        assert re.search(r"\b(out|store)/|\b(out|store)\b", error), seen
        assert "\n  valid   " in error or "\n  see     " in error, seen
    elif fault.place[0] not in ("utime", "unlink", "rmdir", "chown", "close"):
        assert "warning: " in done.stderr, seen


def goes_on(home, expected):
    done = run(home, None, COMMANDS)
    assert done.returncode == 0, done.stderr
    assert temporary_files(home) == []
    versions = sorted((home / "out" / "export").iterdir())
    for version in versions[1:]:
        shutil.rmtree(version)
    assert results(home) == expected


@pytest.mark.slow
def test_a_run_goes_on_after_faults(whole, tmp_path):
    expected, seen = whole
    home = make_home(tmp_path / "home")
    for step in range(PLACES):
        number = list(FAULTS)[step % len(FAULTS)]
        known = {at(*each) for each in seen[: round(step * len(seen) / PLACES)]}
        failing_runs(home, number, known, 1)
    goes_on(home, expected)


@pytest.mark.extras
@pytest.mark.parametrize("number", FAULTS, ids=errno.errorcode.get)
def test_every_place(whole, tmp_path, number):
    home = make_home(tmp_path / "home")
    found = failing_runs(home, number, set(), 1000)
    print(f"{errno.errorcode[number]}: {len(found)} places")
    goes_on(home, whole[0])


# A file system of a namespace of this process's own, which grows until the run ends.
SMALL = """
import os, pathlib, shutil, subprocess, sys
import tensorflow as tf
from tfft.cli.main import command
from tfft.export import saved_model

tf.config.run_functions_eagerly(True)
saved_model._fresh_process = lambda path, name, each: each.served.answers(each.inputs)
home, place, target, *limits = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", limits[0], "tmpfs", place], check=True)
shutil.copytree(home, f"{place}/home")
os.environ["TFFT_STORE"] = f"{place}/home/store"
os.chdir(f"{place}/home")
for limit in limits:
    subprocess.run(["mount", "-o", f"remount,{limit}", place], check=True)
    print(f"with {limit}", file=sys.stderr, flush=True)
    for line in COMMANDS:
        if status := command(line.split()):
            break
    print(status, file=sys.stderr, flush=True)
    left = [p.name for p in pathlib.Path("out").rglob(".*") if p.name != ".lock"]
    assert not left, left
    if not status:
        break
shutil.copytree(f"{place}/home", target)
"""
LIMITS = {
    "size": [f"size={size}k,nr_inodes=9999" for size in (40, *range(64, 1600, 96))],
    "inodes": [f"size=64m,nr_inodes={count}" for count in (8, *range(10, 120, 5))],
}


@pytest.mark.extras
@pytest.mark.parametrize("kind", LIMITS)
def test_a_file_system_that_is_small_at_first(whole, tmp_path, kind):
    if subprocess.run(["unshare", "-rm", "true"]).returncode:
        pytest.skip("no namespace of mounts can be made here")
    make_home(tmp_path / "home")
    (tmp_path / "place").mkdir()
    code = SMALL.replace("COMMANDS", repr(COMMANDS))
    words = [str(tmp_path / name) for name in ("home", "place", "target")]
    command = ["unshare", "-rm", sys.executable, "-c", code, *words, *LIMITS[kind]]
    done = subprocess.run(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
    runs = done.stderr.split("with size=")[1:]
    ends = [run.rstrip().rpartition("\n")[2] for run in runs]
    assert ends[-1] == "0" and set(ends[:-1]) == {"2"}, done.stderr
    errors = [re.findall("tfft: (.*)", run)[-1] for run in runs[:-1]]
    print(kind, len(errors), "errors", *sorted(set(errors)), sep="\n  ")
    assert all("No space left" in error or "is full" in error for error in errors), errors
    assert results(tmp_path / "target") == whole[0]
