"""Exports into folders of any name, and runs in them: they work, or the name is refused."""

import json
import os
import pathlib
import shutil

import pytest
from finished_runs import copy_of, reviews

import tfft
from tfft import api
from tfft.backbones.base import without_folders
from tfft.backbones.text.tiny import tiny
from tfft.cli import main as cli
from tfft.errors import UserError
from tfft.export.saved_model import export
from tfft.reports.console import Console
from tfft.runs import exported

INPUT = "data/reviews.csv"
NAMES = {
    "quotes": 'it\'s "a" `b` $HOME \\x',
    "glob": "[ab]*?{c,d}!",
    "newline": "two\nlines\tand a tab",
    "unicode": "ünïcode 文 😀",
    "dash": "-out --force",
    "long": "x" * 255,
}
QUIET = Console(quiet=True)


@pytest.fixture
def home(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(copy_of(finished_run(reviews), tmp_path / "home"))
    return tmp_path / "home"


def predictions(workdir, output):
    words = [f"--workdir={workdir}", f"--input={INPUT}", f"--output={output}"]
    assert cli.command(["predict", *words, "--quiet"]) == 0
    rows = [json.loads(line) for line in pathlib.Path(output).read_text().splitlines()]
    return [row["probabilities"]["good"] for row in rows]


@pytest.mark.slow
@pytest.mark.parametrize("kind", NAMES)
def test_a_run_and_its_export_in_a_folder_of_any_name(home, kind):
    name = NAMES[kind]
    shutil.rmtree(home / "out/export")
    pathlib.Path(name).mkdir()
    os.rename("out", pathlib.Path(name, name))
    workdir = os.path.join(name, name)
    content = json.loads(pathlib.Path(workdir, "run.json").read_text())
    assert content["folder"] == str(home)
    assert cli.command(["export", f"--workdir={workdir}", "--quiet"]) == 0
    ours = predictions(workdir, f"{name[:200]}.jsonl")
    theirs = predictions(os.path.join(workdir, "export"), "theirs.jsonl")
    assert ours == pytest.approx(theirs, abs=1e-5)


@pytest.mark.slow
def test_a_run_in_a_folder_that_is_not_utf_8(home):
    """A command refuses such a name; functions take it."""
    name = os.fsdecode(b"latin \xff\xe9")
    os.rename("out", name)
    shutil.rmtree(os.path.join(name, "export"))
    version = api.export(tfft.tasks.TextClassification(), tiny(), name, say=QUIET)
    folder = str(version.parent)
    assert exported.predict_export(folder, input=INPUT, output="p.jsonl", say=QUIET) == 160
    assert exported.evaluate_export(folder, input=INPUT, say=QUIET)["metrics"]
    assert cli.command(["predict", f"--workdir={folder}", f"--input={INPUT}"]) == 2


@pytest.mark.parametrize("name", ["x" * 256, "a/" * 3000, "a\0b"])
@pytest.mark.parametrize("flag", ["--workdir", "--output"])
def test_names_that_cannot_be_are_refused(home, capsys, name, flag):
    words = {"--workdir": "out", "--input": INPUT, "--output": "p.jsonl"} | {flag: name}
    assert cli.command(["predict", *(f"{key}={value}" for key, value in words.items())]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_an_export_into_a_name_that_cannot_be_is_refused(home):
    for name in ("x" * 256, "a\0b", "run.gin"):
        with pytest.raises(UserError, match="cannot write"):
            export(pathlib.Path(name), None, {}, (), None)


def test_presets_are_named_without_the_folders_of_the_machine(tmp_path):
    (tmp_path / "my bert").mkdir()
    for preset, name in {
        str(tmp_path / "my bert"): "my bert",
        "/home/somebody/models/bert": "bert",
        "image: /a/b/vit + text: minilm_l6": "image: vit + text: minilm_l6",
        "bert_tiny_en_uncased, adapted in /a/runs/out": "bert_tiny_en_uncased, adapted in out",
        r"C:\models\bert": "bert",
        "models/bert": "models/bert",
        "hf://somebody/bert": "hf://somebody/bert",
        "kaggle://keras/bert/keras/bert_tiny_en_uncased/2": "",
    }.items():
        assert without_folders(preset) == (name or preset)
