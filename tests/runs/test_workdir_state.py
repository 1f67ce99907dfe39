"""`check` with the workdir of `train`: what train would do with it, and nothing is written."""

import fcntl
import os

import pytest
from test_api import STAGES
from trainings import stopped_after

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.errors import WorkdirError
from tfft.reports.console import Console


def parts(**changes):
    settings = {"stages": STAGES, "seed": 0} | changes
    return (tfft.tasks.TextClassification(), tiny(), synthetic(64)), settings


def train(folder, **changes):
    three, settings = parts(**changes)
    return api.train(
        *three, workdir=folder, say=Console(quiet=True), checkpoint_steps=1, **settings, plots=False
    )


def check(folder, capsys, **changes):
    three, settings = parts(**changes)
    before = contents(folder)
    capsys.readouterr()
    try:
        api.check(*three, workdir=folder, say=Console(quiet=True), **settings)
    finally:
        assert contents(folder) == before
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "ready"
    (line,) = [line for line in lines if line.startswith("workdir")]
    return line.removeprefix(f"workdir {folder}: ")


def contents(folder):
    """Returns all that is below a folder, with what tells a change."""
    found = [folder, *folder.rglob("*")] if folder.exists() else []
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in found}


def test_a_new_folder(tmp_path, capsys):
    assert check(tmp_path / "deep" / "new", capsys) == "train would begin a new run"
    (tmp_path / "notes.txt").write_text("")
    assert check(tmp_path, capsys) == "train would begin a new run, beside 1 other files"


@pytest.mark.slow
def test_the_stages_of_a_run(tmp_path, capsys):
    folder = tmp_path / "run"
    with stopped_after(4):
        train(folder)
    assert check(folder, capsys) == (
        "train would continue this run at stage 2 of 2, epoch 2, batch 1"
    )
    with pytest.raises(WorkdirError, match="holds another run"):
        check(folder, capsys, seed=1)
    with open(folder / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(WorkdirError, match="another process is running in"):
            check(folder, capsys)
    train(folder)
    assert check(folder, capsys) == "this run is complete; train would show its report"


@pytest.mark.slow
def test_several_runs(tmp_path, capsys):
    folder = tmp_path / "plan"
    plan = {"seeds": 2, "stages": STAGES[:1]}
    assert check(folder, capsys, **plan) == "train would begin a new run"
    train(folder, **plan)
    assert check(folder, capsys, **plan) == "2 of 2 runs are complete; train would report on them"
    (folder / "seed-1" / "report.json").unlink()
    assert check(folder, capsys, **plan) == "1 of 2 runs are complete; train would continue"
    with pytest.raises(WorkdirError, match="holds another run"):
        check(folder, capsys, stages=STAGES[:1])


def test_a_folder_that_train_could_not_use(tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(WorkdirError, match="cannot write .*Not a directory"):
            check(folder, capsys)
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(WorkdirError, match="it is not a JSON object"):
        check(tmp_path, capsys)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(WorkdirError, match="cannot write .*Permission denied"):
        check(tmp_path / "new", capsys)
