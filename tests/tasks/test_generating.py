"""Tasks whose answer is written: by the command line, and stopped and continued."""

import json
import pathlib

import pytest
from generating import body, prompted, source, translated
from trainings import newest, same, stopped_after

import tfft
from tfft.cli import main as cli
from tfft.reports.console import Console
from tfft.storage.workdir import Workdir
from tfft.tasks.text.causal_lm import CausalLM
from tfft.tasks.text.seq2seq import Seq2Seq

QUIET = Console(quiet=True)
CONFIG = """\
include "tasks/{task}.gin"
{name}.max_new_tokens = 8
{name}.num_beams = {beams}
train.backbone = @tiny()
tiny.architecture = "{kind}"
tiny.sequence_length = 32
train.source = @files()
files.data = "rows.jsonl"
files.text = ("{input}",)
files.classes = False
train.stages = (@Stage(),)
train.plots = False
Stage.epochs = {epochs}
Stage.batch_size = 16
Stage.learning_rate = 1e-2
"""
TASKS = {
    "causal_lm": (
        {"name": "CausalLM", "kind": "llama", "input": "prompt", "epochs": 2, "beams": 2},
        prompted,
    ),
    "seq2seq": (
        {"name": "Seq2Seq", "kind": "t5", "input": "source", "epochs": 16, "beams": 1},
        translated,
    ),
}


def lines(path, rows=None):
    """Returns the rows of a file of JSON lines, after writing them if they are given."""
    path = pathlib.Path(path)
    if rows is not None:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["causal_lm", "seq2seq"])
def test_every_verb_of_the_command_line(task, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words, rows = TASKS[task]
    lines("rows.jsonl", rows(240, 0))
    asked = lines("new.jsonl", rows(12, 0))
    pathlib.Path("run.gin").write_text(CONFIG.format(task=task, **words))

    def tfft_does(*arguments):
        assert cli.command([*arguments, "--quiet"]) == 0
        return capsys.readouterr().out

    tfft_does("train", "--gin_file=run.gin", "--workdir=out")
    report = json.loads(pathlib.Path("out/report.json").read_text())
    main = report["shown"][report["main"]]
    again = tfft_does("evaluate", "--workdir=out")
    assert f"Result: {main} {report['metrics'][report['main']]['value']:.3f}" in again
    tfft_does("predict", "--workdir=out", "--input=new.jsonl", "--output=found.jsonl")
    found = lines("found.jsonl")
    assert [list(row) for row in found] == [["row", "text"]] * len(asked)
    assert len({row["text"] for row in found}) > 1

    assert "a fresh process differs by at most 0.0" in tfft_does("export", "--workdir=out")
    card = json.loads(pathlib.Path("out/export/1/tfft.json").read_text())
    assert card["task"]["num_beams"] == words["beams"] and card["inputs"] == [words["input"]]
    tfft_does("predict", "--workdir=out/export", "--input=new.jsonl", "--output=served.jsonl")
    assert lines("served.jsonl") == found


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_a_stopped_run_continues_to_the_same_bits(kind, tmp_path):
    stage = tfft.Stage(
        epochs=2,
        freeze_layers=1,
        batch_size=8,
        learning_rate=3e-3,
        batching=tfft.Batching(gradient_accumulation_steps=2),
        regularizers=(tfft.regularizers.Dropout(0.1),),
    )

    def train(folder):
        if kind == "t5":
            task, rows = Seq2Seq(max_new_tokens=8, label_smoothing=0.1), translated
        else:
            task, rows = CausalLM(max_new_tokens=8, packing=True), prompted
        read, where = body(kind, dropout=0.1), {"workdir": tmp_path / folder, "say": QUIET}
        return tfft.train(
            task, read, source(rows, 96, 16, 8), [stage], checkpoint_steps=2, **where, plots=False
        )

    whole = train("whole")
    steps = lines(whole.workdir / "metrics.jsonl")[0]["step"]
    with stopped_after(steps + 1):
        train("stopped")
    _, position = Workdir(tmp_path / "stopped").newest_checkpoint(print)
    assert position["epoch"] == 1 and 0 < position["step"] < steps
    again = train("stopped")
    assert same(newest(whole.workdir), newest(again.workdir))
    for key in ("metrics", "floors", "slices", "mistakes", "written", "truncation"):
        assert whole.report[key] == again.report[key], key
    for one, two in zip(whole.report["curves"], again.report["curves"], strict=True):
        assert one["loss"] == two["loss"] and one["val_loss"] == two["val_loss"]
