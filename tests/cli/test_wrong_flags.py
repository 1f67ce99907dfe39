"""Wrong, empty and odd values of every flag and of every parameter: an error in our form."""

import os
import re
import subprocess
import sys
import types

import pytest

from tfft.cli import flags as command_line
from tfft.cli import main as cli
from tfft.config import load
from tfft.config.catalog import configurables
from tfft.errors import ConfigError, UserError

CONFIG = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
train.stages = (@Stage(),)
"""
VALUES = ("", " ", "None", "-1", "0", "2.5", "[]", "@", "%", "'", "a/b", "é", "\0")
VALUES += ("99999999999999999999", "x" * 5000, "(" * 500, "@Stage()", "1,2", "--force", "\udcff")
FLAGS = [name for name in command_line._names(command_line._flags())]


@pytest.fixture
def command(tmp_path, monkeypatch, capsys):
    """Returns a function that runs a command whose verbs do nothing, and gives its errors."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.gin").write_text(CONFIG)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.gin").write_text(CONFIG)
    verbs = types.SimpleNamespace()
    for name in ("check", "train", "evaluate", "predict", "export", "evaluate_export"):
        setattr(verbs, name, lambda *args, **kwargs: None)
    monkeypatch.setattr(cli, "_library", lambda say: verbs)
    machine = types.ModuleType("tfft.training.distribution")
    machine.scope = lambda strategy, say: cli.contextlib.nullcontext()
    monkeypatch.setitem(sys.modules, "tfft.training.distribution", machine)
    monkeypatch.setattr("tfft.training.distribution", machine, raising=False)
    monkeypatch.setattr(load, "offered", lambda: dict(KNOWN))  # read once
    monkeypatch.setattr(cli.load.Config, "kwargs", lambda self, only=None: {})

    def run(*arguments):
        capsys.readouterr()
        code = cli.command(arguments)
        shown = capsys.readouterr().err
        assert code in (0, 2) and "Traceback" not in shown
        assert code == 0 or re.search(r"^tfft: \S", shown, re.MULTILINE)
        return code, shown

    return run


NEEDED = {
    "check": ["--gin_file=run.gin"],
    "train": ["--gin_file=run.gin", "--workdir=out"],
    "evaluate": ["--workdir=out"],
    "predict": ["--workdir=out", "--input=new.csv"],
    "export": ["--workdir=out"],
    "show": ["--gin_file=run.gin"],
    "compare": ["nothing", "nowhere"],
}


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize("verb", NEEDED)
def test_any_value_of_a_flag_is_taken_or_refused(command, verb, flag):
    others = [word for word in NEEDED[verb] if not word.startswith(f"--{flag}=")]
    for value in VALUES:
        code, _ = command(verb, *others, f"--{flag}={value}")
        if not value.strip() or value == "\udcff":
            assert code == 2
    command(verb, *others, f"--{flag}")


@pytest.mark.parametrize(
    "name", ["", ".", "/", "Stage", "Stage.", ".epochs", "a/b/c.d", "é", "train."]
)
def test_any_name_of_a_config_flag_is_refused(command, name):
    for value in VALUES[:9]:
        assert command("check", "--gin_file=run.gin", f"--gin.{name}={value}")[0] == 2
    assert command("check", "--gin_file=run.gin", f"--gin.{name}")[0] == 2


def test_a_seed_is_a_whole_number_that_train_takes(command):
    for value in ("-1", "99999999999999999999", str(2**31)):
        code, shown = command("train", "--gin_file=run.gin", "--workdir=out", f"--seed={value}")
        assert code == 2 and f"--seed={value} is out of range" in shown and "2147483647" in shown
    for value in ("1.5", "nan", "9" * 6000, "0x" + "f" * 6000, "1e3", "\u0662x"):
        code, shown = command("train", "--gin_file=run.gin", "--workdir=out", f"--seed={value}")
        assert code == 2 and len(shown) < 300
    for value in ("0", str(2**31 - 1)):
        assert command("train", "--gin_file=run.gin", "--workdir=out", f"--seed={value}")[0] == 0


@pytest.mark.parametrize("verb", ["compare", "store", "fetch", "list", "show"])
def test_any_word_is_taken_or_refused(command, verb, monkeypatch, tmp_path):
    monkeypatch.setenv("TFFT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    for value in VALUES:
        command(verb, value)
        command(verb, *({"store": ["clear"], "compare": ["out"]}.get(verb, [])), value)


def test_a_strategy_is_refused_before_anything_is_read(command):
    code, shown = command("train", "--gin_file=missing.gin", "--strategy=nonsense")
    assert code == 2 and "--strategy=nonsense does not exist" in shown


REASONS = {
    "list": "it lists what the package offers and reads no config",
    "fetch": "it fetches by name and reads no config",
    "store": "the store has no config; TFFT_STORE and TFFT_STORE_GB in the environment set it",
    "compare": "it compares finished runs as they are",
    "evaluate": "the run's own config holds",
    "predict": "the run's own config holds",
    "export": "the run's own config holds",
}


@pytest.mark.parametrize("verb", REASONS)
def test_a_verb_without_a_config_gives_its_own_reason(command, verb):
    code, shown = command(verb, "--gin.DATA=a.csv")
    assert code == 2
    assert shown.startswith(f"tfft: tfft {verb} takes no --gin.DATA: {REASONS[verb]}.\n")


def test_a_name_that_is_not_utf8_is_no_traceback(tmp_path):
    words = [os.fsencode(sys.executable), b"-m", b"tfft", b"show"]
    for word in (b"--gin_file=\xff.gin", b"\xff", b"--gin.DATA=\xff.csv"):
        done = subprocess.run([*words, word], capture_output=True, cwd=tmp_path)
        assert done.returncode == 2 and b"is not UTF-8" in done.stderr
        assert b"Traceback" not in done.stderr


KNOWN = configurables()
# Parameters of a stage, by the kind of what they are made of.
PARTS = {
    "method": "method = @{}()",
    "schedule": "schedule = @{}()",
    "optimizer": "optimizer = @{}()",
    "regularizer": "regularizers = (@{}(),)",
    "averaging": "averaging = (@{}(),)",
    "batching": "batching = @{}()",
    "earlystopping": "early_stopping = @{}()",
    "featurecache": "feature_cache = @{}()",
    "execution": "execution = @{}()",
}
NAMES = sorted(
    name
    for name, entry in KNOWN.items()
    if entry.kind in ("task", "stage", "source", "threshold", *PARTS) and entry.parameters
)


@pytest.mark.parametrize("name", NAMES)
def test_any_value_of_a_parameter_is_taken_or_refused(name, tmp_path, monkeypatch):
    """Constructors of sources read files, and are not called."""
    monkeypatch.chdir(tmp_path)
    entry = KNOWN[name]
    place = {"task": "task", "source": "source"}.get(entry.kind, "stages")
    text = f"train.{place} = @{name}()\n" if place != "stages" else ""
    if entry.kind == "stage":
        text = f"train.stages = (@{name}(),)\n"
    elif entry.kind in PARTS:
        text = f"train.stages = (@Stage(),)\nStage.{PARTS[entry.kind].format(name)}\n"
    elif entry.kind == "threshold":
        text = f"train.task = @TextClassification()\nTextClassification.threshold = @{name}()\n"
    (tmp_path / "run.gin").write_text(text)
    for parameter in entry.parameters:
        for value in ("None", "-1", "2.0", "''", "()", "{}", "1e999", "[1, 'a']"):
            try:
                found = load.load(
                    ["run.gin"],
                    {f"{name}.{parameter}": value},
                    strict=False,
                    configurables=KNOWN,
                )
                if not found.mistakes and entry.kind != "source":
                    found.kwargs(only=("stages" if place == "stages" else place,))
            except UserError as error:
                assert error.problem


@pytest.mark.parametrize("kind", ["ValueError", "KeyError", "TypeError", "IndexError"])
def test_what_a_constructor_raises_names_the_line(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    own = f"own_{kind.lower()}"
    (tmp_path / f"{own}.py").write_text(
        "from tfft.tasks.text.text_classification import TextClassification\n\n\n"
        "class Odd(TextClassification):\n"
        "    def __init__(self, kind: str = ''):\n"
        f"        raise {kind}('odd ' + kind)\n"
    )
    lines = (f"import {own}", f"train.task = @{own}.Odd()", "Odd.kind = 'value'")
    (tmp_path / "run.gin").write_text("\n".join(lines))
    found = load.load(["run.gin"], strict=False, allow=[own])
    message = f"{own}.Odd cannot be made: {kind}: .*odd value"
    with pytest.raises(ConfigError, match=message) as caught:
        found.kwargs(only=("task",))
    assert caught.value.set_in == "run.gin:3" and f"{own}.py:6" in caught.value.problem
    assert isinstance(caught.value.__cause__, Exception)


def test_verbose_shows_where_an_error_comes_from(command, monkeypatch, capsys):
    def refuse(self, only=None):
        try:
            int("x")
        except ValueError as error:
            raise ConfigError("it cannot be made.") from error

    monkeypatch.setattr(cli.load.Config, "kwargs", refuse)
    assert cli.command(["check", "--gin_file=run.gin"]) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert cli.command(["check", "--gin_file=run.gin", "-v"]) == 2
    shown = capsys.readouterr().err
    assert "Traceback" in shown and shown.endswith("tfft: it cannot be made.\n")
