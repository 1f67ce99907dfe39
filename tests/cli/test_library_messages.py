"""No warning of another package reaches the terminal; what matters is said in tfft's words."""

import logging
import random
import subprocess
import sys
import warnings

import forks
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_score

from tfft.cli import main as cli
from tfft.cli.flags import Verb

CONFIG = """\
train.backbone = @tiny()
train.task = @{task}()
train.source = @files()
files.data = "train.csv"
files.validation = "validation.csv"
files.test = "test.csv"
files.classes = {classes}
train.stages = (@Stage(),)
train.plots = False
Stage.epochs = 1
Stage.batch_size = 16
"""
NOISE = ("site-packages", "Warning:", "warnings.warn", "WARNING:")


@pytest.fixture
def command(monkeypatch, capsys):
    """Returns a function that runs some code as a verb of the command, and gives its errors."""

    def run(code, *flags):
        verb = Verb(lambda options, console: code(), "", flags=("seed",))
        monkeypatch.setitem(cli.VERBS, "code", verb)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            assert cli.command(["code", *flags]) == 0
        return capsys.readouterr().err

    return run


def noisy():
    np.corrcoef(np.ones(3), np.ones(3))
    confusion_matrix(["a"], ["a"])
    precision_score([0, 1], [0, 0])
    logging.getLogger("tensorflow").warning("a line of TensorFlow")
    logging.getLogger("some.package").warning("a line of a package")


def test_warnings_of_libraries_are_not_shown(command):
    assert command(noisy) == ""


def test_verbose_leaves_the_warnings_to_python(command):
    with pytest.warns(UserWarning, match="single label"):
        command(noisy, "-v")


def test_a_baseline_that_did_not_converge_is_said_once(command):
    def fit():
        rng = np.random.default_rng(0)
        for _ in range(2):
            LogisticRegression(max_iter=1).fit(rng.normal(size=(50, 9)), rng.integers(0, 2, 50))

    assert command(fit) == (
        "warning: a baseline of the report, a linear model, did not converge: its metrics may be "
        "lower than what it can reach\n"
    )


def test_a_warning_of_one_s_own_module_is_one_line(command, tmp_path):
    path = tmp_path / "own.py"
    path.write_text("import warnings\nwarnings.warn('mind the gap')\n")
    shown = command(lambda: exec(compile(path.read_text(), str(path), "exec"), {}))
    assert shown == f"warning: mind the gap ({path}:2)\n"


def test_the_process_is_left_as_it_was(command):
    def state():
        levels = [logging.getLogger(name).level for name in ("", "tensorflow")]
        return levels, warnings.showwarning, list(warnings.filters)

    before = state()
    command(lambda: warnings.simplefilter("ignore"))
    assert state() == before


def test_python_callers_keep_their_warnings():
    code = "import warnings, tfft; warnings.warn('seen')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "UserWarning: seen" in done.stderr


def write(folder, name, answers):
    rng = random.Random(name)
    words = ("good", "bad", "fine", "poor", "great", "awful", "nice", "sad")
    lines = [
        f"{' '.join(rng.choices(words, k=6))} {name} {row},{answer}"
        for row, answer in enumerate(answers)
    ]
    (folder / f"{name}.csv").write_text("text,label\n" + "\n".join(lines) + "\n")


@pytest.mark.parametrize("task", ["TextClassification", "TextRegression"])
def test_training_on_one_class_or_number_to_test_shows_no_warning(tmp_path, task):
    classes = task == "TextClassification"
    write(tmp_path, "train", ["abc"[row % 3] if classes else row for row in range(60)])
    for name in ("validation", "test"):
        write(tmp_path, name, ["a" if classes else 4] * 12)
    (tmp_path / "run.gin").write_text(CONFIG.format(task=task, classes=classes))
    words = ["train", "--gin_file=run.gin", "--workdir=out"]
    done = forks.run([sys.executable, "-m", "tfft", *words], tmp_path)
    assert done.returncode == 0, done.stderr
    assert not [word for word in NOISE if word in done.stderr + done.stdout]
