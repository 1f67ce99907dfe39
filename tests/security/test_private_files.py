"""What others may read: permissions of new files, and the paths of the machine in reports."""

import json
import os
import pathlib
import shlex
import shutil
import threading

import finished_runs
import pytest

from tfft.cli import main as cli
from tfft.reports.printable import portable, portable_path, without_folder
from tfft.runs.final_evaluation import repeat_command
from tfft.storage.atomic_write import write_atomic


@pytest.fixture
def umask():
    """Returns a function that sets the umask for the rest of a test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def mode(path):
    return oct(path.stat().st_mode & 0o777)


@pytest.mark.parametrize(
    ("mask", "file"), [(0o077, "0o600"), (0o022, "0o644"), (0o027, "0o640"), (0o002, "0o664")]
)
def test_a_new_file_has_the_permissions_of_the_umask(tmp_path, umask, mask, file):
    umask(mask)
    write_atomic(tmp_path / "deep" / "predictions.jsonl", "x")
    assert mode(tmp_path / "deep" / "predictions.jsonl") == file
    assert mode(tmp_path / "deep") == oct(0o777 & ~mask)


def test_a_replaced_file_keeps_its_permissions_and_is_never_more_open(tmp_path, umask, monkeypatch):
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o640)
    seen = []
    rename = os.replace
    monkeypatch.setattr("os.fsync", lambda handle: seen.append(os.fstat(handle).st_mode & 0o777))
    monkeypatch.setattr("os.replace", lambda old, new: rename(old, new))
    umask(0o000)
    write_atomic(path, "new")
    assert (mode(path), path.read_text(), seen) == ("0o640", "new", [0o600])


def test_writes_in_threads_do_not_change_the_umask(tmp_path, umask):
    umask(0o077)
    found = []

    def write(number):
        for turn in range(20):
            path = tmp_path / f"{number}-{turn}"
            write_atomic(path, "x")
            pathlib.Path(f"{path}.plain").write_text("x")
            found.extend([mode(path), mode(pathlib.Path(f"{path}.plain"))])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {"0o600"} and len(found) == 160


def test_paths_are_relative_or_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert portable_path(str(tmp_path / "a" / "b.csv")) == "a/b.csv"
    assert portable_path("/home/me/secret project/b.csv") == "b.csv"
    assert portable_path("../b.csv") == "../b.csv"
    text = "/home/me/b.csv: 5 rows, text in 'a/b', and/or n/a; http://a.b/c, '/x/y'"
    assert portable(text) == "b.csv: 5 rows, text in 'a/b', and/or n/a; http://a.b/c, 'y'"
    data = "/home/me/my data/b.csv"
    assert portable([f"{data}: 5", {"a": "/home/me/my data/val.csv: 2"}], data) == [
        "b.csv: 5",
        {"a": "val.csv: 2"},
    ]
    assert without_folder({"text": "/home/me/my data/1.png"}, data) == {"text": "1.png"}
    assert without_folder({"text": "see /etc/x"}, data) == {"text": "see /etc/x"}
    inside = f"{tmp_path}/my data/b.csv"
    assert portable([inside, f"{tmp_path}/my data/1.png"], inside) == [
        "my data/b.csv",
        "my data/1.png",
    ]


@pytest.mark.parametrize(
    "name", ["plain", "two words", "it's", "$(touch x)", "a;b", "a\nb", '"', "-x"]
)
def test_the_repeat_command_is_quoted(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / name
    folder.mkdir()
    (folder / "config.gin").write_text("import my_tasks\n")
    for path in (folder, pathlib.Path(name)):
        words = shlex.split(repeat_command(path / "config.gin"))
        assert words == [
            "tfft",
            "train",
            f"--gin_file={name}/config.gin",
            "--allow_imports=my_tasks",
            "--workdir=FOLDER",
        ]


@pytest.mark.slow
def test_a_run_with_absolute_paths_says_no_path_of_the_machine(
    finished_run, tmp_path, monkeypatch, umask, capsys
):
    """The model and the report of a run, its export, predictions, and the page of a comparison."""
    umask(0o077)
    home = tmp_path / "secret place"
    shutil.copytree(finished_run(finished_runs.reviews), home)
    (home / "out").rename(home / "first")
    data = home / "data" / "reviews.csv"
    config = finished_runs.CONFIG.replace('"data/reviews.csv"', repr(str(data)))
    (home / "run.gin").write_text(config + f"train.against = {str(home / 'first')!r}\n")
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    call = [f"--workdir={home / 'out'}", "--quiet"]
    assert cli.command(["train", f"--gin_file={home / 'run.gin'}", *call]) == 0
    assert cli.command(["export", *call]) == 0
    output = home / "predictions.jsonl"
    assert cli.command(["predict", *call, f"--input={data}", f"--output={output}"]) == 0
    page = home / "page.html"
    runs = [str(home / "out"), str(home / "first")]
    assert cli.command(["compare", *runs, f"--output={page}"]) == 0
    shown = [home / "out" / f"report.{kind}" for kind in ("json", "html", "md")]
    shown += [home / "out" / "export" / "1" / "tfft.json", page, output]
    for path in shown:
        assert "secret" not in path.read_text(), path
        assert mode(path) == "0o600"
    content = json.loads(shown[0].read_text())
    assert content["data"] == "reviews.csv" and content["notes"][0].startswith("reviews.csv: 160")
    assert content["command"] == "tfft train --gin_file=config.gin --workdir=FOLDER"
    assert content["comparisons"][-1]["base"] == "first"
    assert '<th scope="row">out</th>' in page.read_text()
    assert json.loads((home / "out" / "run.json").read_text())["data"]["name"] == str(data)
    made = [home / "out", *(home / "out").rglob("*")]
    assert {path for path in made if path.stat().st_mode & 0o077} == set()
