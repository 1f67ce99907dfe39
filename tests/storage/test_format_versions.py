"""Workdirs and exports of another version are refused by number, before anything else of them."""

import json

import finished_runs
import pytest

import tfft
from tfft.cli import main as cli
from tfft.errors import ExportError, WorkdirError
from tfft.export.exported_model import read_card
from tfft.reports.console import Console
from tfft.storage import format_versions
from tfft.storage.cache_store import Store
from tfft.storage.workdir import Workdir


def change_format(path, number):
    """Rewrites the format of a JSON file; None is that of version 0.1.0, which states none."""
    content = json.loads(path.read_text())
    del content["format"]
    content.pop("integrity", None)
    path.write_text(json.dumps({**content, **({} if number is None else {"format": number})}))


@pytest.fixture
def home(finished_run, tmp_path, monkeypatch):
    found = finished_runs.copy_of(finished_run(finished_runs.reviews), tmp_path / "home")
    monkeypatch.chdir(found)
    return found


@pytest.mark.parametrize("number", [None, format_versions.WORKDIR + 1, "2"])
@pytest.mark.parametrize("verb", ["train", "check", "evaluate", "predict", "export"])
def test_a_workdir_of_another_version_is_refused(home, capsys, verb, number):
    change_format(home / "out" / "run.json", number)
    (home / "out" / "config.gin").write_text("Stage.accumulate = 2\n")  # what it cannot read either
    config = ["--gin_file=run.gin"] if verb in ("train", "check") else []
    read = ["--input=data/reviews.csv"] if verb == "predict" else []
    assert cli.command([verb, *config, "--workdir=out", *read]) == 2
    error = capsys.readouterr().err
    assert f"workdir format {1 if number is None else number!r}" in error
    assert f"reads format {format_versions.WORKDIR}" in error and "Traceback" not in error


def test_a_body_of_a_run_of_another_version_is_refused(home):
    change_format(home / "out" / "run.json", None)
    with pytest.raises(WorkdirError, match="workdir format 1"):
        tfft.backbones.from_run(tfft.backbones.tiny(), "out")


@pytest.mark.parametrize("number", [None, format_versions.EXPORT + 1])
def test_an_export_of_another_version_is_refused(home, number):
    [card] = (home / "out" / "export").glob("*/tfft.json")
    change_format(card, number)
    with pytest.raises(ExportError, match=f"export format {number or 1}; this version"):
        read_card("out/export")


def test_a_run_states_its_format(home):
    assert Workdir("out").read_json("run.json")["format"] == format_versions.WORKDIR
    assert read_card("out/export")["format"] == format_versions.EXPORT


def test_a_cache_entry_of_another_version_is_named_and_made_again(tmp_path, monkeypatch):
    key = {"format": 2, "data": "abc", "shape": (3, 4)}
    Store(Console(quiet=True), tmp_path / "store").save("tokens", {**key, "format": 1}, b"x", "t")
    lines = []
    monkeypatch.setattr(Console, "info", lambda self, line: lines.append(line))
    store = Store(Console(quiet=True), tmp_path / "store")
    assert [store.load("tokens", key) for _ in range(2)] == [None, None]
    [line] = lines
    assert "cache format 1; this version of tfft reads format 2: it is computed again" in line
