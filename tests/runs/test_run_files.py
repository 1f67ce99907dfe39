"""A finished run without its data: moved or deleted, from another folder, with own modules."""

import json
import pathlib
import shutil
import sys

import pytest
from finished_runs import copy_of
from pictures import folder

from tfft.cli import main as cli
from tfft.data.inputs import Image, Text
from tfft.errors import WorkdirError
from tfft.preprocessing.media_files import content
from tfft.runs import run_files
from tfft.storage.workdir import Workdir

CONFIG = """
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "data/reviews.csv"
files.text = "review"
train.stages = (@Stage(),)
train.plots = False
Stage.freeze_layers = 1
Stage.epochs = 1
"""
OWN = f"import bodies\n{CONFIG.replace('@tiny()', '@of_folder()')}of_folder.path = 'bodies/a'\n"
BODIES = """
import pathlib
from tfft.backbones.base import Backbone
from tfft.backbones.text.tiny import tiny


def of_folder(path: str) -> Backbone:
    assert pathlib.Path(path, "config.json").exists(), path
    return tiny()
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with data and a finished run of a config with relative paths and an own module."""
    home = tmp_path_factory.mktemp("home")
    rows = [f"the film of plot {n} mark{n % 2},{'good' if n % 2 else 'bad'}" for n in range(160)]
    (home / "data").mkdir()
    (home / "data" / "reviews.csv").write_text("\n".join(["review,label", *rows]) + "\n")
    (home / "bodies").mkdir()
    (home / "bodies" / "a").mkdir()
    (home / "bodies" / "a" / "config.json").write_text("{}")
    (home / "bodies.py").write_text(BODIES)
    (home / "run.gin").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        arguments = ["--gin_file=run.gin", "--workdir=out", "--quiet", "--allow_imports=bodies"]
        assert cli.command(["train", *arguments]) == 0
    return home


@pytest.fixture
def home(finished, tmp_path, monkeypatch):
    """A copy of it; the current folder is another one, and no module was imported yet."""
    path = [each for each in sys.path if each != str(finished)]
    monkeypatch.setattr(sys, "path", path)
    monkeypatch.delitem(sys.modules, "bodies", raising=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return copy_of(finished, tmp_path / "home")


def call(verb, home, *flags):
    allowed = f"--allow_imports={home / 'bodies.py'}"
    return cli.command([verb, f"--workdir={home / 'out'}", allowed, *flags])


def test_a_run_needs_no_data_to_predict_export_and_be_evaluated_on_a_file(home, capsys):
    shutil.rmtree(home / "data")
    new = pathlib.Path("new.csv")
    new.write_text("review,label\nthe film mark1,good\nthe plot mark0,bad\n")
    assert call("predict", home, f"--input={new}") == 0
    assert call("evaluate", home, f"--input={new}") == 0
    assert call("export", home) == 0
    shown = capsys.readouterr()
    assert "a fresh process differs by at most" in shown.out
    compared = len(run_files.load_held_out(Workdir(home / "out"))[0])
    assert compared > 5 and f"on {compared} raw texts" in shown.out
    assert f"bodies/a stands for {home}/bodies/a, from where the run was trained" in shown.err


def test_a_module_of_the_folder_of_the_training_is_named_and_not_taken(home, capsys):
    flags = ["--workdir", str(home / "out"), "--allow_imports=bodies", "--input=new.csv"]
    assert cli.command(["predict", *flags]) == 2
    shown = capsys.readouterr().err
    assert f"valid   --allow_imports={home}/bodies.py, which runs the code of that file" in shown


def test_evaluate_says_that_the_data_are_gone(home, capsys):
    shutil.rmtree(home / "data")
    assert call("evaluate", home) == 2
    shown = capsys.readouterr().err
    assert "the data of this run cannot be read: there is no file data/reviews.csv" in shown
    assert f"tfft evaluate --workdir={home / 'out'} --input=FILE" in shown


def test_evaluate_reads_the_data_from_the_folder_of_the_training(home, capsys):
    assert call("evaluate", home) == 0
    shown = capsys.readouterr()
    assert f"data/reviews.csv stands for {home}/data/reviews.csv" in shown.err
    assert "is not what it was in training" not in shown.out + shown.err


def test_evaluate_says_that_the_data_changed(home, capsys):
    path = home / "data" / "reviews.csv"
    sizes = json.loads((home / "out" / "run.json").read_text())["data"]["sizes"]
    path.write_text("\n".join(path.read_text().splitlines()[:101]) + "\n")
    assert call("evaluate", home) == 0
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert "is not what it was in training" in text
        assert f"{sizes['train']:,} train, {sizes['validation']:,} validation" in text
    assert shown.out.index("note: ") < shown.out.index("accuracy")


def test_what_is_in_the_current_folder_comes_first(home, capsys):
    pathlib.Path("bodies/a").mkdir(parents=True)
    pathlib.Path("bodies/a/config.json").touch()
    pathlib.Path("new.csv").write_text("review\nthe film mark1\n")
    assert call("predict", home, "--input=new.csv") == 0
    assert "bodies/a stands for" not in capsys.readouterr().err


def test_a_run_of_an_earlier_version_reads_the_data(home, capsys):
    (home / "out" / run_files.HELD_OUT).unlink()
    assert call("export", home) == 0
    assert "the held-out examples are read anew" in capsys.readouterr().err
    shutil.rmtree(home / "data")
    (home / "out" / run_files.HELD_OUT).unlink(missing_ok=True)
    assert call("export", home) == 2
    assert "run that holds its held_out.json" in capsys.readouterr().err


def test_images_are_kept_with_their_content(tmp_path):
    made = folder(tmp_path / "pictures", 4)
    paths = sorted(map(str, made.rglob("*.png")))
    files = Workdir(tmp_path / "out")
    run_files.save_held_out(files, "test", (paths,), 3, [Image("image")])
    for path in paths:
        pathlib.Path(path).unlink()
    [kept] = run_files.load_held_out(files)
    assert len(kept) == 3 and all(value.startswith("data:image/png;") for value in kept)
    assert all(content(value)[:4] == b"\x89PNG" for value in kept)


def test_what_is_kept_has_a_bound(tmp_path, monkeypatch):
    files = Workdir(tmp_path)
    monkeypatch.setattr(run_files, "MAX_HELD_OUT_BYTES", 25)
    run_files.save_held_out(files, "test", (["a" * 10] * 9,), 9, [Text("text")])
    assert len(run_files.load_held_out(files)[0]) == 2
    run_files.save_held_out(files, "test", (["a" * 100] * 9,), 9, [Text("text")])
    assert len(run_files.load_held_out(files)[0]) == 1


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"inputs": []}', '{"inputs": [["a"], []]}', '{"inputs": [[1]]}']
)
def test_damaged_examples_are_refused(tmp_path, content):
    (tmp_path / run_files.HELD_OUT).write_text(content)
    with pytest.raises(WorkdirError, match=r"held_out\.json is"):
        run_files.load_held_out(Workdir(tmp_path))
