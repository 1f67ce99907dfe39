"""The page about a task of one's own: its files are written out and run."""

import json
import pathlib
import re
import sys

import forks
import numpy as np
import pytest

from tfft.cli import main as cli
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.tasks.base import Task
from tfft.tasks.evaluators.values import ValueEvaluator

PAGE = pathlib.Path(__file__).parents[2] / "docs/own_task.md"
STARS = {"worst": 1, "bad": 2, "one": 3, "good": 4, "great": 5}
LONGEST_TASK = 45  # lines, with imports and blank lines
TINY = """
train.backbone = @tiny()
tiny.layers = 1
Stage.freeze_layers = 0
Stage.epochs = 6
Stage.learning_rate = 1e-2
"""


def files_of_page():
    """Returns the files that the page shows, by their names."""
    text = PAGE.read_text("utf-8")
    return dict(re.findall(r"^`(\w+\.\w+)`:\n\n```\w*\n(.*?)```", text, re.DOTALL | re.MULTILINE))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with the page's files and reviews, in which the commands run."""
    files = files_of_page()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    source = "train.source = @files()\nfiles.data = %DATA"
    tiny = files["stars.gin"].replace('include "quick/text.gin"', source)
    (tmp_path / "tiny.gin").write_text(tiny + "train.stages = (@Stage(),)" + TINY)
    rng = np.random.default_rng(0)
    lines = [
        f"{rng.choice(['the', 'a', 'of'])} {word} film {number},{stars}"
        for number, (word, stars) in enumerate(list(STARS.items()) * 50)
    ]
    (tmp_path / "reviews.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("stars", None)


def run(verb, *flags):
    return cli.command([verb, "--quiet", "--allow_imports=stars", *flags])


def test_the_task_of_the_page_is_short():
    assert len(files_of_page()["stars.py"].splitlines()) <= LONGEST_TASK


def test_the_task_of_the_page_trains_predicts_and_is_exported(folder, capsys):
    assert run("train", "--gin_file=tiny.gin", "--gin.DATA=reviews.csv", "--workdir=out") == 0
    report = json.loads((folder / "out/report.json").read_text())
    assert report["task"] == "stars" and report["main"] == "mean_absolute_error"
    error = report["metrics"]["mean_absolute_error"]
    assert error["value"] < 0.5 and "low" in error
    assert report["floors"]["mean"]["mean_absolute_error"]["value"] > error["value"]
    assert report["mistake_count"] == len(report["mistakes"])
    assert report["slices"][0]["figure"]["value"] >= report["slices"][-1]["figure"]["value"]
    assert "mean absolute error" in (folder / "out/report.html").read_text()
    (folder / "new.csv").write_text("text\nthe great film\nthe worst film\n")
    capsys.readouterr()
    assert run("predict", "--workdir=out", "--input=new.csv") == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["stars"] > rows[1]["stars"]
    assert run("export", "--workdir=out") == 0
    assert list((folder / "out/export").glob("*/saved_model.pb"))
    assert run("evaluate", "--workdir=out") == 0


@pytest.mark.slow
def test_the_test_of_the_page_passes(folder):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_stars.py"]
    found = forks.run(command, folder, forks.TFFT)
    assert found.returncode == 0 and "3 passed" in found.stdout, found.stdout[-2000:]


def test_the_config_of_the_page_is_valid_and_wrong_labels_are_located(folder, capsys):
    rows = [f"film {number},{'many' if number == 39 else 3}" for number in range(40)]
    (folder / "bad.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    assert run("show", "--gin_file=stars.gin", "--gin.DATA=reviews.csv") == 0
    assert run("check", "--gin_file=tiny.gin", "--gin.DATA=bad.csv") == 2
    message = capsys.readouterr().err
    assert "'many'" in message and "bad.csv:41" in message and "1, 2, 3, 4, 5" in message


def test_its_file_runs_only_with_leave(folder, capsys):
    flags = ["--gin_file=stars.gin", "--gin.DATA=reviews.csv", "--workdir=out"]
    assert cli.command(["train", *flags]) == 2
    assert "--allow_imports=stars" in capsys.readouterr().err


class Plain(Task):
    name = "plain"


def test_outputs_are_evaluated_and_served_if_a_task_says_nothing_else():
    task, outputs = Plain(), np.array([[0.5, 1.0], [2.0, 2.0]], "f4")
    examples = Examples((["a", "b"],), targets=np.array([[0.5, 2.0], [2.0, 2.0]], "f4"))
    evaluator = task.build_evaluator()
    found = evaluator.evaluate(examples, outputs)
    assert found["mean_absolute_error"]["value"] == 0.25
    assert evaluator.greater_is_better("mean_absolute_error") is False
    [mistake] = evaluator.report_examples(examples, outputs)["mistakes"]
    assert mistake["text"] == "a" and mistake["predicted"] == "[0.5, 1.0]"
    baseline = evaluator.baselines(examples, examples)["mean"].outputs
    assert baseline.tolist() == [[1.25, 2.0], [1.25, 2.0]]
    signature = task.build_signatures()["serving_default"]
    predictions = signature.format_predictions(examples, outputs)
    assert predictions == [{"plain": [0.5, 1.0]}, {"plain": [2.0, 2.0]}]
    served = signature.serving_outputs(outputs, {})
    assert signature.format_answers(served, examples) == predictions


def test_a_score_that_is_not_one_number_for_each_example_is_refused():
    examples = Examples((["a", "b"],), targets=np.zeros((2, 1)))
    evaluator = ValueEvaluator({"hits": np.equal})
    with pytest.raises(ValueError, match=r"'hits' must have the shape \(2,\).*\(2, 1\)"):
        evaluator.data_warnings(examples)


def test_targets_that_are_not_an_array_are_refused_before_the_training():
    examples = Examples((["a", "b"],), targets=Ragged(np.zeros(3), np.array([0, 1, 3])))
    with pytest.raises(TypeError, match="override build_evaluator. Received: Ragged"):
        Plain().build_evaluator().data_warnings(examples)
