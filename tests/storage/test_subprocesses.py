"""Other programs run nothing that lies in the folder in which tfft was started."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import types

import pytest
from test_fetch import CONTENT, MEMBERS, WHEEL, shop, wheel_of  # noqa: F401

import tfft
from tfft.errors import UserError
from tfft.storage.downloads import fetch
from tfft.storage.subprocesses import find_program, git_commit, python_command, run_aside

MODULES = ("pip", "logging", "json", "sitecustomize", "usercustomize", "tensorflow", "numpy", "ssl")
PROGRAMS = ("git", "npm", "apt-get", "node", "python", "python3", "sh")


@pytest.fixture
def trap(tmp_path, monkeypatch):
    """Makes a folder of modules and programs that leave a mark when they run the current one."""
    folder, mark = tmp_path / "trap", tmp_path / "mark"
    folder.mkdir()
    for name in MODULES:
        line = f"open({str(mark)!r}, 'a').write({name!r})\n"
        (folder / f"{name}.py").write_text(line)
    for name in PROGRAMS:
        (folder / name).write_text(f"#!/bin/sh\necho {name} >> {mark}\n")
        (folder / name).chmod(0o755)
    (folder / ".npmrc").write_text("registry=http://localhost:1/\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", f"{os.pathsep}.{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f".{os.pathsep}")
    return mark


def test_pip_runs_no_module_of_the_current_folder(shop, trap):  # noqa: F811
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    assert (folder / "a.txt").read_text() == "alpha"
    assert not trap.exists()


def test_pip_reads_relative_settings_of_the_caller(shop, tmp_path, monkeypatch):  # noqa: F811
    shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PIP_FIND_LINKS", "nowhere mirror")
    (folder,) = fetch.fetch(["thing"], lambda line: None)
    assert (folder / "a.txt").read_text() == "alpha"


@pytest.mark.skipif(not shutil.which("npm"), reason="needs npm")
def test_npm_reads_no_settings_of_the_current_folder(shop, trap, tmp_path, monkeypatch):  # noqa: F811
    """The real npm prints its registry in the folder in which tfft runs it."""
    item = shop(WHEEL, wheel_of(CONTENT), MEMBERS)
    seen = tmp_path / "seen"
    room = tmp_path / "room"
    room.mkdir()
    code = f'"$0" config get registry --cache={room} > {seen}; pwd >> {seen}'
    npm = find_program("npm")
    fetch._run(["/bin/sh", "-c", code, npm], item, room, lambda line: None)
    registry, folder = seen.read_text().split()
    assert registry != "http://localhost:1/"
    assert pathlib.Path(folder) == room / "empty"
    assert not trap.exists()


def test_a_fresh_python_imports_nothing_of_the_current_folder(trap):
    done = run_aside(python_command("-c", "import json, logging, numpy; print(json.__file__)"))
    assert done.returncode == 0, done.stderr
    assert str(trap.parent) not in done.stdout
    assert not trap.exists()


def test_programs_of_the_current_folder_are_not_found(trap, monkeypatch):
    assert find_program("git") == shutil.which("git", path="/usr/bin:/bin:/usr/local/bin")
    monkeypatch.setenv("PATH", f".{os.pathsep}")
    assert find_program("git") is None
    assert git_commit(pathlib.Path.cwd()) is None


def test_a_commit_that_cannot_be_read_stops_no_run(monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", full)
    assert git_commit(pathlib.Path.cwd()) is None


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_the_commit_is_that_of_the_folder_and_its_settings_run_nothing(trap):
    folder = trap.parent / "repository"

    def git(*words):
        name = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
        command = [find_program("git"), *name, "-C", str(folder), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    folder.mkdir()
    assert git_commit(folder) is None
    git("init", "--quiet")
    git("commit", "--quiet", "--allow-empty", "--message=one")
    for setting in ("core.fsmonitor", "core.pager", "core.sshCommand", "alias.rev-parse"):
        git("config", setting, f"!touch {trap}" if "alias" in setting else f"touch {trap}")
    assert git_commit(folder) == git("rev-parse", "HEAD")
    assert not trap.exists()


def test_the_command_runs_nothing_of_the_current_folder(trap, tmp_path):
    """`tfft` itself, as the installed command is called."""
    command = pathlib.Path(sys.executable).with_name("tfft")
    environment = {**os.environ, "TFFT_HOME": str(tmp_path / "home")}
    del environment["PYTHONPATH"]  # of the person's own making
    for words in (["list"], ["show", "Stage"], ["store"], ["fetch", "nothing"]):
        done = subprocess.run([command, *words], capture_output=True, text=True, env=environment)
        assert done.returncode in (0, 2), done.stderr
    assert not trap.exists()


def test_an_export_is_loaded_by_a_safe_process_in_a_folder_of_its_own(trap, monkeypatch):
    from tfft.export import saved_model

    calls = []

    def run(command, **options):
        calls.append((command, pathlib.Path(options["cwd"])))
        return subprocess.CompletedProcess(command, 1, "", "stopped here")

    monkeypatch.setattr(saved_model.subprocess, "run", run)
    with pytest.raises(UserError, match="stopped here"):
        served = types.SimpleNamespace(inputs=["text"])
        compared = saved_model.Comparison(served, (["a"],), lambda answers: 0.0)
        saved_model._fresh_process(trap.parent, "serving_default", compared)
    ((command, folder),) = calls
    assert command[:3] == [sys.executable, "-P", "-c"]
    assert folder.is_absolute() and folder != pathlib.Path.cwd()


def test_only_these_modules_start_processes():
    """A new one takes its command from `tfft.storage.subprocesses`."""
    package = pathlib.Path(tfft.__file__).parent
    starts = re.compile(r"import subprocess|os\.(exec|spawn|system|popen)|multiprocessing")
    found = {
        str(path.relative_to(package))
        for path in package.rglob("*.py")
        if starts.search(path.read_text())
    }
    first, *others = (
        "storage/subprocesses.py",
        "storage/downloads/fetch.py",
        "export/saved_model.py",
    )
    assert found == {first, *others}
    assert all("python_command(" in (package / name).read_text() for name in others)
