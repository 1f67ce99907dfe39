"""Impossible folders: each command works or refuses, and says why.

Damaged files of runs are in tests/reliability/test_damage_matrix.py, of exports in
test_export_damage.py.
"""

import contextlib
import json
import pathlib

import numpy as np
import pytest
from finished_runs import copy_of, reviews

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.errors import WorkdirError
from tfft.evaluation import inference
from tfft.reports.console import Console
from tfft.runs import restore
from tfft.storage import manifest
from tfft.storage.workdir import BEST, Workdir

INPUT = "--input=data/reviews.csv"


@pytest.fixture
def home(finished_run, tmp_path, monkeypatch):
    """A copy of a folder with data, a config, and a finished run with its export."""
    monkeypatch.chdir(copy_of(finished_run(reviews), tmp_path / "home"))
    return tmp_path / "home"


def ends_well(capsys, *arguments):
    """Says whether a command succeeds; fails if it ends in another way than by a `UserError`."""
    capsys.readouterr()
    status = cli.command(arguments)
    shown = capsys.readouterr()
    assert status in (0, 2)
    if status == 2:
        assert "tfft: " in shown.err and "Traceback" not in shown.err
        assert "\n  valid   " in shown.err or "\n  see     " in shown.err, shown.err
    return status == 0


@pytest.mark.parametrize("verb", ["evaluate", "predict", "export", "compare", "train"])
@pytest.mark.parametrize("workdir", ["run.gin", "run.gin/out", "missing/out", "x" * 300])
def test_an_impossible_workdir_is_refused(home, capsys, verb, workdir):
    words = [workdir] if verb == "compare" else [f"--workdir={workdir}"]
    words += [INPUT] if verb in ("evaluate", "predict") else []
    words += ["--gin_file=run.gin"] if verb == "train" else []
    if (verb, workdir) != ("train", "missing/out"):
        assert not ends_well(capsys, verb, *words)


@pytest.mark.parametrize("name", ["manifest.json", "best/decision.json"])
def test_a_run_without_a_file_that_completes_it_is_refused(home, capsys, name):
    (home / "out" / name).unlink()
    assert not ends_well(capsys, "predict", "--workdir=out", INPUT)


def test_a_folder_as_output_is_refused(home, capsys):
    arguments = ["--workdir=out", INPUT, "--output=out", "--force"]
    assert not ends_well(capsys, "predict", *arguments)
    assert (home / "out" / "report.json").exists()


@contextlib.contextmanager
def diverged(home):
    """Makes one of the best weights NaN."""
    files = Workdir(home / "out")
    arrays, state = files.load(BEST)
    name = next(name for name in arrays if name.startswith("head/") and "kernel" in name)
    arrays[name][0, 0] = np.nan
    decision = restore.read_decision(files)
    files.save(BEST, arrays, state)
    restore.write_decision(files, decision)
    manifest.write(files)
    yield name


@pytest.mark.parametrize("verb", ["predict", "evaluate", "export"])
def test_weights_that_are_not_finite_are_refused(home, capsys, verb):
    with diverged(home) as name:
        words = ["--output=new.jsonl"] if verb == "predict" else []
        words += [INPUT] if verb != "export" else []
        assert cli.command([verb, "--workdir=out", *words]) == 2
    shown = capsys.readouterr().err
    assert "the training diverged: 1 of " in shown and name in shown
    assert not pathlib.Path("new.jsonl").exists()
    assert [path.name for path in (home / "out/export").iterdir()] == ["1"]


def test_outputs_that_are_not_finite_are_refused(home, capsys, monkeypatch):
    plain = inference.predict

    def overflows(*arguments, **settings):
        outputs = np.array(plain(*arguments, **settings))
        outputs[2:4] = np.inf
        return outputs

    monkeypatch.setattr("tfft.api.inference.predict", overflows)
    task = tfft.tasks.TextClassification()
    settings = {"input": "data/reviews.csv", "say": Console(quiet=True)}
    for verb, more in ((api.predict, {"output": "new.jsonl"}), (api.evaluate, {})):
        with pytest.raises(WorkdirError, match="2 of 160 examples, first for example 3"):
            verb(task, tiny(), "out", **settings, **more)
    with pytest.raises(WorkdirError, match="not finite"):
        api.export(task, tiny(), "out", say=Console(quiet=True))
    assert not pathlib.Path("new.jsonl").exists()


def test_json_files_hold_no_nan(tmp_path):
    files = Workdir(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json("a.json", {"loss": float("nan")})
    assert not (tmp_path / "a.json").exists()
    files.write_records([{"loss": float("nan"), "epoch": 1}, {"loss": 0.5, "epoch": 2}])
    rows = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(row)["loss"] for row in rows] == [None, 0.5]
