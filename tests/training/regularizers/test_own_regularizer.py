"""The page on an own regularizer: its file and its config are written out and run."""

import importlib
import json
import pathlib
import re
import sys

import numpy as np
import pytest

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.errors import ConfigError

PAGE = pathlib.Path(__file__).parents[3] / "docs/own_regularizer.md"
MODULE = "confidence_penalty"
TINY = """
train.task = @TextClassification()
train.source = @synthetic()
synthetic.examples = 64
train.backbone = @tiny()
tiny.layers = 1
train.plots = False
Stage.epochs = 1
Stage.learning_rate = 1e-4
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files, in which the commands run."""
    text = PAGE.read_text("utf-8")
    [module] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [config] = re.findall(rf"```\n(import {MODULE}.*?)```", text, re.DOTALL)
    assert len(module.splitlines()) <= 25
    (tmp_path / f"{MODULE}.py").write_text(module)
    (tmp_path / "confident.gin").write_text(config)
    (tmp_path / "tiny.gin").write_text(config.replace('include "quick/text.gin"', TINY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    sys.modules.pop(MODULE, None)


@pytest.fixture
def penalty(folder):
    """The page's class."""
    return importlib.import_module(MODULE).ConfidencePenalty


def run(verb, *flags):
    return cli.command([verb, "--quiet", f"--allow_imports={MODULE}", *flags])


def test_the_page_s_regularizer_trains_a_stage(folder):
    assert run("train", "--gin_file=tiny.gin", "--workdir=out") == 0
    [epoch] = json.loads((folder / "out/report.json").read_text())["curves"]
    # Two classes, hardly trained: the entropy is almost ln 2, and only the training loss has it.
    assert epoch["loss"] + 0.2 * np.log(2) == pytest.approx(epoch["val_loss"], abs=0.05)
    text = (folder / "out/config.gin").read_text()
    assert "Stage.regularizers = (@confidence_penalty.ConfidencePenalty(),)" in text
    assert "confidence_penalty.ConfidencePenalty.strength = 0.2" in text
    assert run("evaluate", "--workdir=out") == 0


def test_the_loss_of_a_step_is_less_by_the_entropy(penalty):
    task = tfft.tasks.TextClassification(labels=["a", "b", "c"], dropout=0.0)
    backbone = tiny(layers=1, dropout=0.0)
    stage = tfft.Stage(regularizers=(penalty(0.5),))
    model = tfft.build(task, backbone, stage)
    x, y = backbone.preprocessor(["one", "two", "three"]), np.array([0, 1, 2])
    outputs = np.array(model(x))
    expected = np.mean(-np.log(outputs[range(3), y])) + 0.5 * np.mean(
        np.sum(outputs * np.log(outputs), axis=-1)
    )
    found = model.train_on_batch(x, y, return_dict=True)
    np.testing.assert_allclose(found["loss"], expected, rtol=1e-5)


def test_the_page_s_config_holds_as_it_stands(folder):
    flags = ["--gin_file=confident.gin", "--gin.DATA=reviews.csv"]
    assert run("show", *flags) == 0
    assert run("show", *flags, "--gin.ConfidencePenalty.strength=many") == 2


def test_its_file_runs_only_with_leave(folder, capsys):
    assert cli.command(["train", "--gin_file=tiny.gin", "--workdir=out"]) == 2
    assert f"--allow_imports={MODULE}" in capsys.readouterr().err


def test_wrong_settings_and_tasks_are_refused(penalty):
    with pytest.raises(ConfigError, match="strength"):
        penalty(strength=0.0)
    with pytest.raises(ConfigError, match="text_regression has none"):
        tfft.build(
            tfft.tasks.TextRegression(), tiny(layers=1), tfft.Stage(regularizers=(penalty(),))
        )
