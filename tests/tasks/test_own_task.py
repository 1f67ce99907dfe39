"""The page on a task of one's own: its file and its config are written out and run."""

import json
import pathlib
import re
import sys

import numpy as np
import pytest

from tfft.cli import main as cli

PAGE = pathlib.Path(__file__).parents[2] / "docs/own_task.md"
WORTH = {"worst": 1, "bad": 2, "one": 3, "good": 4, "great": 5}
TINY = """
train.backbone = @tiny()
tiny.layers = 1
Stage.freeze_layers = 0
Stage.epochs = 6
Stage.learning_rate = 1e-2
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files and reviews, in which the commands run."""
    text = PAGE.read_text("utf-8")
    [module] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    [config] = re.findall(r"```\n(import stars.*?)```", text, re.DOTALL)
    (tmp_path / "stars.py").write_text(module)
    (tmp_path / "stars.gin").write_text(config)
    (tmp_path / "tiny.gin").write_text(
        config.replace('include "quick/text.gin"', "train.source = @files()\nfiles.data = %DATA")
        + "train.stages = (@Stage(),)"
        + TINY
    )
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.choice(['the', 'a', 'of'])} {word} film {number},{stars}"
        for number, (word, stars) in enumerate(list(WORTH.items()) * 50)
    ]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("stars", None)


def run(verb, *flags):
    return cli.command([verb, "--quiet", "--allow_imports=stars", *flags])


def test_the_page_s_task_trains_predicts_and_is_exported(folder, capsys):
    assert run("train", "--gin_file=tiny.gin", "--gin.DATA=reviews.csv", "--workdir=out") == 0
    report = json.loads((folder / "out/report.json").read_text())
    assert report["task"] == "stars" and report["main"] == "mae"
    assert report["metrics"]["mae"]["value"] < 0.5 and "low" in report["metrics"]["mae"]
    assert report["slices"][0]["figure"]["value"] >= report["slices"][-1]["figure"]["value"]
    assert "stars off, mean" in (folder / "out/report.html").read_text()
    (folder / "new.csv").write_text("text\nthe great film\nthe worst film\n")
    capsys.readouterr()
    assert run("predict", "--workdir=out", "--input=new.csv") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["stars"] > rows[1]["stars"]
    assert run("export", "--workdir=out") == 0
    assert list((folder / "out/export").glob("*/saved_model.pb"))
    assert run("evaluate", "--workdir=out") == 0


def test_the_page_s_config_holds_as_it_stands(folder):
    (folder / "bad.csv").write_text("text,label\na film,many\n" * 40)
    assert run("show", "--gin_file=stars.gin", "--gin.DATA=reviews.csv") == 0
    assert run("check", "--gin_file=tiny.gin", "--gin.DATA=bad.csv") == 2


def test_its_file_runs_only_with_leave(folder, capsys):
    flags = ["--gin_file=stars.gin", "--gin.DATA=reviews.csv", "--workdir=out"]
    assert cli.command(["train", *flags]) == 2
    assert "--allow_imports=stars" in capsys.readouterr().err
