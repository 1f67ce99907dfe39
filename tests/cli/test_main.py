"""The command line: what it teaches, what it refuses, and what it hands to the verbs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import types

import pytest

from tfft.cli import main as cli
from tfft.errors import DepthError

CONFIG = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
files.text = "body"
files.columns = ("year",)
train.stages = (@Stage(),)
Stage.freeze_layers = 9
"""


class Recorder(types.SimpleNamespace):
    """Stands in for `tfft.api`: keeps what each verb was called with."""

    def __init__(self):
        super().__init__(calls=[])

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


@pytest.fixture
def verbs(monkeypatch, tmp_path):
    """Replaces what needs TensorFlow; yields the calls of the verbs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.gin").write_text(CONFIG)
    recorder = Recorder()
    monkeypatch.setattr(cli, "_library", lambda say: recorder)
    machine = types.ModuleType("tfft.training.distribution")
    machine.scope = lambda strategy, say: cli.contextlib.nullcontext()
    monkeypatch.setitem(sys.modules, "tfft.training.distribution", machine)
    monkeypatch.setattr("tfft.training.distribution", machine, raising=False)
    monkeypatch.setattr(
        cli.load.Config, "kwargs", lambda self, only=None: {name: name for name in only or ["a"]}
    )
    return recorder


def refusal(capsys, *arguments) -> str:
    assert cli.command(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    return shown.err


def test_alone_it_teaches_the_six_steps(capsys):
    assert cli.command([]) == 0
    text = capsys.readouterr().out
    for step, verb in enumerate(["list", "show", "check", "train", "evaluate", "export"], 1):
        assert f"  {step}  tfft {verb}" in text


def test_help_names_all_verbs_and_flags(capsys):
    assert cli.command(["train", "--help"]) == 0
    text = capsys.readouterr().out
    for verb in cli.VERBS:
        assert f"\n  {verb} " in text
    for flag in ("gin_file", "gin.NAME=VALUE", "workdir", "seed", "strategy", "quiet", "force"):
        assert f"--{flag} " in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "there is no command 'trian'.\n  valid   train\n  see     tfft\n"),
        (
            ["train", "--gin_fle=x"],
            "there is no flag --gin_fle.\n  valid   gin_file\n  see     tfft\n",
        ),
        (
            ["train", "--seed=x"],
            "--seed=x is not a value that this flag takes.\n"
            "  valid   --seed=NUMBER\n  see     tfft\n",
        ),
        (
            ["export", "--input=x"],
            "tfft export takes no --input.\n"
            "  valid   --workdir, --allow_imports, --unfinished, --trust_data, --verbose, --quiet\n"
            "  see     tfft\n",
        ),
        (
            ["predict", "--gin.DATA=x"],
            "tfft predict takes no --gin.DATA: the run's own config holds.\n  see     tfft\n",
        ),
        (
            ["train", "--gin.DATA"],
            "--gin.DATA has no value.\n  valid   --gin.NAME=VALUE\n  see     tfft\n",
        ),
        (
            ["train", "--gin.A=1", "--gin.A=2"],
            "--gin.A is given twice: '1' and '2'.\n  valid   once\n",
        ),
        (
            ["train", "--workdir=a", "--workdir=b"],
            "--workdir is given 2 times.\n  valid   once\n",
        ),
        (["train", "now"], "tfft train takes no 'now'.\n  see     tfft\n"),
        (
            ["train", "--strategy=parameter_server"],
            "--strategy=parameter_server does not exist.\n  set in  --strategy\n"
            "  valid   auto, default, mirrored, tpu; several machines are planned\n",
        ),
        (["train"], "--workdir is missing.\n  valid   --workdir=out\n  see     tfft\n"),
        (
            ["train", "--workdir=out"],
            "--gin_file is missing.\n  valid   --gin_file=quick/text.gin\n  see     tfft list\n",
        ),
        (
            ["fetch"],
            "tfft fetch needs a name.\n  valid   minilm_l6, movie_reviews, spam_assassin, udhr, "
            "vgg16, fashion_mnist\n  see     tfft list\n",
        ),
        (
            ["fetch", "minilm_l7"],
            "there is nothing called 'minilm_l7' to fetch.\n  valid   minilm_l6\n",
        ),
        (
            ["list", "preset"],
            "there is no list of 'preset'.\n  valid   tfft list, tfft list presets\n",
        ),
        (["show", "Stge"], "nothing is called 'Stge'.\n  valid   Stage\n  see     tfft list\n"),
        (
            ["show", "quick/text.gin"],
            "nothing is called 'quick/text.gin'.\n  valid   --gin_file=quick/text.gin\n"
            "  see     tfft show --gin_file=quick/text.gin\n",
        ),
        (
            ["evaluate", "--workdir=nothing"],
            "nothing holds no run.\n  set in  --workdir=nothing\n"
            "  valid   the folder of a run, with its config.gin\n"
            "  see     tfft train --gin_file=quick/text.gin --gin.DATA=FILE --workdir=nothing\n",
        ),
    ],
)
def test_refusals(capsys, arguments, message):
    assert refusal(capsys, *arguments).startswith(f"tfft: {message}")


def test_train_gets_the_config_and_its_text(verbs, capsys):
    assert cli.command(["train", "--gin_file=run.gin", "--workdir=out", "--seed=7"]) == 0
    ((name, args, kwargs),) = verbs.calls
    assert (name, args, kwargs["workdir"], kwargs["a"]) == ("train", (), "out", "a")
    assert "train.seed = 7\n" in kwargs["config_text"]


def test_check_takes_what_train_takes(verbs):
    assert set(cli.VERBS["train"].flags) <= set(cli.VERBS["check"].flags)
    arguments = ["--gin_file=run.gin", "--workdir=out", "--seed=3", "--strategy=default"]
    assert cli.command(["check", *arguments]) == 0
    ((name, _, kwargs),) = verbs.calls
    assert (name, kwargs["workdir"]) == ("check", "out")
    assert "train.seed = 3\n" in kwargs["config_text"]


def test_check_needs_no_workdir(verbs):
    assert cli.command(["check", "--gin_file=run.gin", "--gin.Stage.epochs=1"]) == 0
    assert [name for name, _, _ in verbs.calls] == ["check"]


def test_evaluate_and_predict_take_the_runs_own_config(verbs, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.gin").write_text(CONFIG)
    columns = "--columns=text=body,label=stars"
    assert cli.command(["evaluate", "--workdir=out", "--input=new.csv", columns]) == 0
    arguments = ["--input=-", "--force", "--columns=text=body", "--on_error=skip"]
    assert cli.command(["predict", "--workdir=out", *arguments, "--noinclude_input"]) == 0
    assert cli.command(["export", "--workdir=out"]) == 0
    evaluate, predict, export = (kwargs for _, _, kwargs in verbs.calls)
    assert evaluate["input"] == "new.csv"
    assert (evaluate["text"], evaluate["label"]) == ({"text": "body"}, "stars")
    assert (evaluate["columns"], evaluate["slices"]) == (("year",), "slices")
    assert evaluate["source"]() == export["source"]() == "source"
    assert (predict["task"], predict["backbone"]) == ("task", "backbone")
    assert (predict["text"], predict["on_error"]) == ({"text": "body"}, "skip")
    assert predict["include_input"] is False
    assert (predict["input"], predict["output"], predict["force"]) == ("-", "-", True)


@pytest.mark.parametrize("inside", ["saved_model.pb", "1/saved_model.pb"])
def test_an_export_is_recognised(verbs, tmp_path, inside):
    model = tmp_path / "served" / inside
    model.parent.mkdir(parents=True)
    model.touch()
    assert cli.command(["predict", "--workdir=served", "--input=new.csv"]) == 0
    assert cli.command(["evaluate", "--workdir=served", "--input=new.csv"]) == 0
    assert [name for name, _, _ in verbs.calls] == ["predict_export", "evaluate_export"]


@pytest.mark.parametrize("flag", ["body", "text=", "=body", "text=a,text=b"])
def test_columns_in_another_form_are_refused(verbs, tmp_path, capsys, flag):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.gin").write_text(CONFIG)
    message = refusal(capsys, "predict", "--workdir=out", "--input=a.csv", f"--columns={flag}")
    assert message.startswith(f"tfft: --columns={flag} has another form")


def test_predict_takes_no_column_of_labels(verbs, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.gin").write_text(CONFIG)
    flag = "--columns=text=body,label=stars"
    message = refusal(capsys, "predict", "--workdir=out", "--input=a.csv", flag)
    assert "names a column of labels, which predict does not read" in message


def test_columns_are_those_of_a_file(verbs, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.gin").write_text(CONFIG)
    message = refusal(capsys, "evaluate", "--workdir=out", "--columns=text=body")
    assert message.startswith("tfft: --input is missing.")


def test_an_export_is_evaluated_on_a_file_only(verbs, tmp_path, capsys):
    (tmp_path / "served" / "1").mkdir(parents=True)
    (tmp_path / "served" / "1" / "saved_model.pb").touch()
    message = refusal(capsys, "evaluate", "--workdir=served")
    assert message == "tfft: --input is missing.\n  valid   --input=new.csv\n  see     tfft\n"


def test_an_error_of_the_run_says_where_it_was_set(verbs, capsys, monkeypatch):
    def fail(*args, **kwargs):
        raise DepthError(
            "freeze_layers=9, but this backbone has 2 layers.",
            valid='0 to 2, or "all"',
            see="tfft check --gin_file=FILE",
        )

    monkeypatch.setattr(verbs, "train", fail, raising=False)
    assert refusal(capsys, "train", "--gin_file=run.gin", "--workdir=out") == (
        "tfft: freeze_layers=9, but this backbone has 2 layers.\n"
        "  set in  run.gin:8\n"
        '  valid   0 to 2, or "all"\n'
        "  see     tfft check --gin_file=run.gin\n"
    )


def test_ctrl_c_says_what_continues(verbs, capsys, monkeypatch):
    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(verbs, "train", stop, raising=False)
    assert cli.command(["train", "--gin_file=run.gin", "--workdir=my out"]) == 130
    assert capsys.readouterr().err.endswith(
        "tfft: stopped. To continue: tfft train --gin_file=run.gin '--workdir=my out'\n"
    )


def test_an_unforeseen_error_keeps_its_traceback(verbs, monkeypatch):
    monkeypatch.setattr(verbs, "check", lambda **kwargs: 1 / 0, raising=False)
    with pytest.raises(ZeroDivisionError):
        cli.command(["check", "--gin_file=run.gin"])


def test_show_prints_each_value_with_its_line(capsys):
    assert (
        cli.command(["show", "--gin_file=results/movie_reviews.gin", "--gin.Stage.epochs=2"]) == 0
    )
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert ["setting", "value", "set in"] in rows
    assert ["Stage.epochs", "2", "--gin.Stage.epochs=2"] in rows
    assert ["Stage.steps", "None", "default"] in rows
    (preset,) = [row for row in rows if row[0] == "keras_hub.preset"]
    assert preset[2].endswith("configs/models/minilm_l6.gin:11")


def test_show_says_what_is_still_to_be_set(capsys):
    assert cli.command(["show", "--gin_file=quick/text.gin"]) == 0
    shown = capsys.readouterr()
    assert re.search("^DATA +required: --gin.DATA=VALUE$", shown.out, re.MULTILINE)
    assert "set it with --gin.DATA=VALUE" in shown.err


def test_show_prints_the_table_and_the_mistakes(verbs, capsys):
    assert cli.command(["show", "--gin_file=run.gin", "--gin.Stage.epoch=2"]) == 2
    shown = capsys.readouterr()
    assert re.search("^Stage.epoch +2 +--gin.Stage.epoch=2$", shown.out, re.MULTILINE)
    assert "tfft: Stage has no parameter 'epoch'." in shown.err


def test_show_prints_the_parts_of_a_stage_with_their_lines(capsys):
    files = ["--gin_file=quick/text.gin", "--gin_file=recipes/small_data.gin", "--gin.DATA=a.csv"]
    assert cli.command(["show", *files, "--gin.EarlyStopping.patience=2"]) == 0
    shown = capsys.readouterr()
    rows = [re.split("  +", line) for line in shown.out.splitlines()]
    assert ["Stage.early_stopping", "@EarlyStopping()", "default"] in rows
    assert ["EarlyStopping.patience", "2", "--gin.EarlyStopping.patience=2"] in rows
    (strength,) = [row for row in rows if row[0] == "L2SP.strength"]
    assert re.search(r"configs/recipes/small_data.gin:\d+$", strength[2])
    assert shown.err == ""


def test_show_says_what_a_flag_dropped(capsys):
    files = ["--gin_file=quick/text.gin", "--gin_file=recipes/bitfit.gin", "--gin.DATA=a.csv"]
    flags = ["--gin.Stage.optimizer=@KerasOptimizer()", "--gin.KerasOptimizer.name=sgd"]
    assert cli.command(["show", *files, *flags]) == 0
    shown = capsys.readouterr()
    assert "AdamW" not in shown.out
    assert re.search(
        r"^AdamW.weight_decay = 0.0 \(.*configs/recipes/bitfit.gin:\d+\) is dropped: nothing uses "
        r"AdamW with --gin.Stage.optimizer=@KerasOptimizer\(\)$",
        shown.err,
        re.MULTILINE,
    )


def test_show_a_part_of_a_stage(capsys):
    assert cli.command(["show", "AdamW"]) == 0
    text = capsys.readouterr().out
    assert re.search("^layer_decay +1.0 +a number +the learning rate of each layer", text, re.M)


def test_show_a_name(capsys):
    assert cli.command(["show", "Stage"]) == 0
    text = capsys.readouterr().out
    assert re.search("epochs +3 +a whole number or None +how often the training split is", text)


def test_quiet_leaves_the_results(capsys):
    assert cli.command(["list", "--quiet"]) == 0
    shown = capsys.readouterr()
    assert "quick/text.gin" in shown.out
    assert shown.err == ""


def run(*arguments, **options):
    return subprocess.run(
        [sys.executable, "-m", "tfft", *arguments], capture_output=True, text=True, **options
    )


def test_list_answers_within_a_second_without_tensorflow():
    began = time.monotonic()
    done = run("list")
    seconds = time.monotonic() - began
    assert done.returncode == 0
    for name in (
        "TextClassification",
        "models/minilm_l6.gin",
        "results/movie_reviews.gin",
        "@files()",
        "Parts of a stage",
        "@lora()",
        "@Cosine()",
        "@KerasOptimizer()",
        "@RDrop()",
        "@WiseFT()",
    ):
        assert name in done.stdout
    # The machine may be busy: what counts is that TensorFlow, which takes longer, is not loaded.
    assert seconds < 3


def test_any_script_is_written_whatever_the_locale():
    given, narrow = "--gin.DATA=данные.csv", {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = run("show", "--gin_file=quick/text.gin", given, env=narrow, encoding="utf-8")
    assert done.returncode == 0 and "'данные.csv'" in done.stdout
    done = run("show", "--gin_file=нет.gin", env=narrow, encoding="utf-8")
    assert done.returncode == 2 and "нет.gin" in done.stderr and "Traceback" not in done.stderr


def test_a_mistake_ends_with_status_2_and_no_traceback():
    done = run("train", "--gin_file=quick/text.gin", "--workdir=out")
    assert done.returncode == 2
    assert done.stderr.startswith("tfft: %DATA has no value, and files.data needs one.\n")
    assert "Traceback" not in done.stderr


def test_a_reader_that_leaves_is_no_error():
    command = f"{sys.executable} -m tfft show Stage | head -c 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""


def test_environment_is_settled_before_tensorflow(monkeypatch):
    monkeypatch.setattr(os, "environ", {})
    cli._set_environment(verbose=False)
    assert os.environ == {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    os.environ.clear()
    cli._set_environment(verbose=True)
    assert os.environ == {"KERAS_BACKEND": "tensorflow"}
