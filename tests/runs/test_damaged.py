"""Damaged files of a finished run: each command works or refuses, and says why."""

import contextlib
import json
import pathlib
import random

import numpy as np
import pytest
from finished_runs import copy_of, reviews
from safetensors.numpy import load_file, save_file
from trainings import newest

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.errors import WorkdirError
from tfft.evaluation import inference
from tfft.reports.console import Console
from tfft.storage.workdir import Workdir

CHECKPOINT = "the newest checkpoint"
INPUT = "--input=data/reviews.csv"
PREDICT = ("predict", "--workdir=out", INPUT, "--output=predictions.jsonl")
EVALUATE = (
    ("evaluate", "--workdir=out"),
    ("evaluate", "--workdir=out", INPUT),
)
EXPORT, COMPARE = ("export", "--workdir=out"), ("compare", "out")
TRAIN = ("train", "--gin_file=run.gin", "--workdir=out")
OF_RUN = {  # the commands that read each file
    "config.gin": (PREDICT, *EVALUATE, EXPORT),
    "run.json": (PREDICT, *EVALUATE, EXPORT, TRAIN),
    "held_out.json": (EXPORT, TRAIN),
    "report.json": (COMPARE, TRAIN),
    "report.html": (TRAIN,),
    "report.md": (TRAIN,),
    "metrics.jsonl": (TRAIN,),
    "outputs.safetensors": (COMPARE, TRAIN),
    "best/weights.safetensors": (PREDICT, *EVALUATE, EXPORT, TRAIN),
    "best/decision.json": (PREDICT, *EVALUATE, EXPORT, TRAIN),
    CHECKPOINT: (TRAIN,),
}
OF_EXPORT = tuple(
    f"export/1/{name}"
    for name in (
        *("tfft.json", "saved_model.pb", "fingerprint.pb", "variables/variables.index"),
        "variables/variables.data-00000-of-00001",
    )
)
DAMAGES = {
    "truncated": lambda content: content[: len(content) // 2],
    "cut by a byte": lambda content: content[:-1],
    "empty": lambda content: b"",
    "random": lambda content: random.Random(0).randbytes(max(64, len(content))),
    "an object": lambda content: b"{}",
    "a list": lambda content: b"[1]",
    "deleted": None,
}


@pytest.fixture
def home(finished_run, tmp_path, monkeypatch):
    """A copy of a folder with data, a config, and a finished run with its export."""
    monkeypatch.chdir(copy_of(finished_run(reviews), tmp_path / "home"))
    return tmp_path / "home"


def damage(path, kind):
    path = newest(path.parent) if path.name == CHECKPOINT else path
    if DAMAGES[kind] is None:
        path.unlink()
    else:
        path.write_bytes(DAMAGES[kind](path.read_bytes()))


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


def test_the_files_of_a_run_are_known(home):
    inside = [path for path in (home / "out").rglob("*") if path.is_file()]
    names = {str(path.relative_to(home / "out")) for path in inside}
    known = {*OF_RUN, *OF_EXPORT, ".lock"}
    others = {name for name in names - known if not name.startswith(("tensorboard/", "checkpo"))}
    assert others == set()


@pytest.mark.matrix
@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", OF_RUN)
def test_a_damaged_run_works_or_is_refused(home, capsys, name, kind):
    damage(home / "out" / name, kind)
    for arguments in OF_RUN[name]:
        ends_well(capsys, *arguments)
    assert [path.name for path in (home / "out" / "export").glob(".*")] == []
    if (home / "predictions.jsonl").exists():
        assert len((home / "predictions.jsonl").read_text().splitlines()) == 160


@pytest.mark.parametrize("verb", ["evaluate", "predict", "export", "compare", "train"])
@pytest.mark.parametrize("workdir", ["run.gin", "run.gin/out", "missing/out", "x" * 300])
def test_an_impossible_workdir_is_refused(home, capsys, verb, workdir):
    words = [workdir] if verb == "compare" else [f"--workdir={workdir}"]
    words += [INPUT] if verb in ("evaluate", "predict") else []
    words += ["--gin_file=run.gin"] if verb == "train" else []
    if (verb, workdir) != ("train", "missing/out"):
        assert not ends_well(capsys, verb, *words)


def test_a_folder_as_output_is_refused(home, capsys):
    arguments = ["--workdir=out", INPUT, "--output=out", "--force"]
    assert not ends_well(capsys, "predict", *arguments)
    assert (home / "out" / "report.json").exists()


@contextlib.contextmanager
def diverged(home):
    """Makes one of the best weights NaN."""
    path = home / "out/best/weights.safetensors"
    arrays = load_file(path)
    state = Workdir(home / "out").load("best/weights.safetensors")[1]
    name = next(name for name in arrays if name.startswith("head/") and "kernel" in name)
    arrays[name][0, 0] = np.nan
    save_file(arrays, path, {"state": json.dumps(state)})
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
