"""Finished runs that tests read. The first test process that asks for one trains it, once.

A test gets the folder of a run to read, or a copy of it to change.
"""

import fcntl
import functools
import pathlib
import shutil

import pytest

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.data.sources.synthetic import synthetic
from tfft.reports.console import Console
from tfft.storage.workdir import Workdir
from tfft.training import checkpointing

CONFIG = """
train.task = @TextClassification()
TextClassification.calibrate = True
train.backbone = @tiny()
train.source = @files()
files.data = "data/reviews.csv"
files.text = "review"
files.label = "stars"
train.stages = (@Stage(),)
train.plots = False
Stage.freeze_layers = 1
Stage.epochs = 1
Stage.learning_rate = 3e-3
"""
STAGES = (
    tfft.Stage("head", freeze_layers="all", epochs=1, learning_rate=1e-2),
    tfft.Stage("upper", freeze_layers=1, epochs=3, learning_rate=3e-3),
)


def review(number):
    return f"the film of plot {number} mark{number % 2}"


def rows_of(count):
    return [
        f"{review(n)},{'good' if n % 2 else 'bad'},http://a.b/{'x' * 60}{n}" for n in range(count)
    ]


def reviews(home):
    """Makes a home folder: data, a config, and in `out` its run with an export, by the commands."""
    (home / "data").mkdir(parents=True)
    (home / "run.gin").write_text(CONFIG)
    lines = ["review,stars,url", *rows_of(160)]
    (home / "data" / "reviews.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert cli.command(["train", "--gin_file=run.gin", "--workdir=out", "--quiet"]) == 0
        assert cli.command(["export", "--workdir=out", "--quiet"]) == 0


def three_runs(home):
    """Makes runs of three epochs: `out`, `other` with another seed, `half` stopped after two."""
    (home / "data").mkdir(parents=True)
    changed = {"Stage.epochs = 1": "Stage.epochs = 3", "freeze_layers = 1": 'freeze_layers = "all"'}
    text = functools.reduce(lambda text, pair: text.replace(*pair), changed.items(), CONFIG)
    (home / "run.gin").write_text(text)
    lines = ["review,stars,url", *rows_of(80)]
    (home / "data" / "reviews.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        for words in (["--workdir=out"], ["--workdir=other", "--seed=1"]):
            assert cli.command(["train", "--gin_file=run.gin", "--quiet", *words]) == 0
        plain = checkpointing.Recorder.on_epoch_end

        def stops(self, epoch, logs=None):
            plain(self, epoch, logs)
            if epoch == 1:
                raise KeyboardInterrupt

        patch.setattr(checkpointing.Recorder, "on_epoch_end", stops)
        assert cli.command(["train", "--gin_file=run.gin", "--workdir=half", "--quiet"]) == 130


def train_synthetic(workdir, **settings):
    """Trains two stages on made texts; returns the run. In a finished folder it opens that run."""
    settings = {"stages": STAGES, "say": Console(quiet=True), "plots": False} | settings
    task = tfft.tasks.TextClassification()
    return tfft.train(task, tiny(), synthetic(256), workdir=workdir, **settings)


def two_stages(workdir):
    """Makes a run with an export, by the functions."""
    train_synthetic(workdir).export(say=Console(quiet=True))


def finished(root, make):
    """Returns the folder of what a function of this module makes; `root` is one for all tests."""
    root.mkdir(exist_ok=True)
    folder, complete = root / make.__name__, root / f"{make.__name__}.complete"
    with open(root / f"{make.__name__}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(folder, ignore_errors=True)  # of a test process that was stopped
            make(folder)
            complete.touch()
    return folder


def copy_of(folder, target):
    """Returns a copy of a home folder whose run in `out` was trained there, as it says."""
    shutil.copytree(folder, target)
    files = Workdir(pathlib.Path(target, "out"))
    described = files.read_json("run.json")
    assert described["folder"] == str(folder)
    files.write_json("run.json", {**described, "folder": str(target)})
    return target
