"""A process without a standard stream, a home, a current folder, memory or room for results."""

import errno
import os
import pwd
import subprocess
import sys

import numpy as np
import pytest

from tfft.cli import main as cli
from tfft.cli import process_faults
from tfft.storage.downloads import fetch


def shell(line, cwd):
    """Runs a line of the shell in which $TFFT stands for the command."""
    given = {**os.environ, "TFFT": f"{sys.executable} -m tfft"}
    done = subprocess.run(["sh", "-c", line], cwd=cwd, env=given, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done


def test_results_arrive_though_standard_error_is_closed(tmp_path):
    done = shell("$TFFT list 2>&-", tmp_path)
    assert done.returncode == 0 and "text_classification" in done.stdout
    assert shell("$TFFT show --gin_file=none.gin 2>&- <&-", tmp_path).returncode == 2


@pytest.mark.parametrize("where", [">&-", "> /dev/full"])
def test_results_that_cannot_be_written_are_an_error(tmp_path, where):
    done = shell(f"$TFFT list {where}", tmp_path)
    assert done.returncode == 2
    assert "standard output" in done.stderr and "Exception ignored" not in done.stderr


def test_a_user_without_a_home_folder(tmp_path, monkeypatch, capsys):
    def no_entry(number):
        raise KeyError(number)

    for name in ("HOME", "TFFT_HOME", "TFFT_STORE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    assert cli.command(["fetch", "movie_reviews"]) == 2
    shown = capsys.readouterr().err
    assert "there is no home folder" in shown and "TFFT_HOME=FOLDER" in shown
    monkeypatch.setenv("TFFT_STORE", "~/store")
    assert cli.command(["store"]) == 2
    assert "~ stands for no folder" in capsys.readouterr().err
    monkeypatch.setenv("TFFT_HOME", str(tmp_path))
    assert fetch.cache_dir() == tmp_path


def test_a_current_folder_that_was_removed(tmp_path, monkeypatch, capsys):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for verb, flag in (("show", "--gin_file=quick/text.gin"), ("predict", "--workdir=out")):
        assert cli.command([verb, flag]) == 2
        assert "the current folder was removed" in capsys.readouterr().err


class ResourceExhaustedError(Exception):
    """Stands in for TensorFlow's."""


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (MemoryError(), "there is not enough memory."),
        (np._core._exceptions._ArrayMemoryError((9, 9), np.dtype("f8")), "Unable to allocate"),
        (ResourceExhaustedError("OOM when allocating"), "enough memory: OOM when allocating"),
        (OSError(errno.ENOSPC, "No space left", "a/file"), "the disk is full while writing a/file"),
        (OSError(errno.EMFILE, "Too many open files", "b"), "cannot write b: Too many open files"),
    ],
)
def test_a_fault_of_the_machine_is_no_traceback(monkeypatch, capsys, error, text):
    def fail(options, say):
        raise error

    verb = cli.VERBS["store"]
    monkeypatch.setitem(cli.VERBS, "store", verb._replace(run=fail))
    assert cli.command(["store"]) == 2
    shown = capsys.readouterr().err
    assert f"tfft: {text}" in shown or text in shown
    assert "Traceback" not in shown and "  valid   " in shown
    assert cli.command(["store", "-v"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_a_fault_of_the_code_keeps_its_traceback():
    assert process_faults.explain(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert process_faults.explain(RuntimeError("an assumption")) is None
