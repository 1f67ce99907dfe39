"""Labels, texts, names and errors on a pseudo-terminal: they neither control nor style it."""

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
import tty
import types
import warnings

import pytest

from tfft.cli import list_and_show
from tfft.cli import main as cli
from tfft.cli.library_messages import routed
from tfft.errors import DataError
from tfft.reports import comparison, terminal
from tfft.reports.console import Console, print_error
from tfft.runs import prediction_files

EVIL = (
    "\x1b]0;owned\x07",  # sets the title of the window
    "\x1b[2J\x1b[1;31mred",
    "\x9b2J",  # the same in C1
    "\x1b]8;;http://evil.example\x1b\\link",
    "\x1bP\x1b\\",
    "a\rb",
    "a\x08b",
    "\u202eoverride\u2066isolate",
    "line\u2028line",
    "\ud800",
)
MARKUP = (
    "[/bold]",
    "[red]x[/]",
    "[link=http://evil.example]x[/link]",
    "[bold",
    "\\[bold]",
    ":warning:",
)
STYLE = re.compile(r"\x1b\[[\d;]*m")  # what Rich writes itself, and moves of the cursor of a bar
CURSOR = re.compile(r"\x1b\[(\?25[lh]|[\d;]*[AKG])|\r")


def on_terminal(call):
    """Calls a function whose output and errors go to a pseudo-terminal; returns what it shows."""
    master, slave = pty.openpty()
    tty.setraw(slave)  # lines end as they were written
    found = []

    def read():
        with contextlib.suppress(OSError):  # of a terminal whose other end is closed
            while part := os.read(master, 65536):
                found.append(part)

    reader = threading.Thread(target=read)
    reader.start()
    with (
        io.TextIOWrapper(os.fdopen(slave, "wb", buffering=0), "utf-8", write_through=True) as file,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(sys, "stdout", file)
        patch.setattr(sys, "stderr", file)
        patch.setenv("TERM", "xterm-256color")
        patch.setenv("COLUMNS", "200")
        patch.delenv("NO_COLOR", raising=False)
        call()
    reader.join()
    os.close(master)
    return b"".join(found).decode("utf-8")


def check(shown, *texts):
    """Asserts that nothing but Rich's own styles is left, and that each text can be seen."""
    rest = CURSOR.sub("", STYLE.sub("", shown))
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028]", rest)
    assert "\x1b[1;31m" not in shown and "\x1b]" not in shown  # no red, no link
    for text in texts:
        assert text in rest, rest


@pytest.mark.parametrize("evil", [*EVIL, *MARKUP])
def test_every_way_to_the_terminal_is_escaped(evil):
    def show():
        console = Console()
        assert console.interactive
        console.result(f"<{evil}>")
        console.info(f"<{evil}>")
        console.warn(f"<{evil}>")
        console.table(f"<{evil}>", [f"<{evil}>", "n"], [[f"<{evil}>", 1]], result=True)
        with console.progress(f"<{evil}>", 2) as bar:
            bar.advance(1)
        print_error(str(DataError(f"<{evil}>", set_in=evil, valid=evil)))

    shown = on_terminal(show)
    check(shown)
    seen = f"<{evil}>" if evil in MARKUP else "<"
    assert STYLE.sub("", shown).count(seen) >= 8


def test_a_cell_stays_on_its_line():
    shown = on_terminal(lambda: Console().table("t", ["a"], [["one\ntwo"]], result=True))
    assert r"one\ntwo" in shown


def test_a_piped_table_has_no_control_characters_either(capsys):
    Console().table("t\x1b", ["a\x9b"], [["b\u202e\n"]], result=True)
    assert capsys.readouterr().out.split() == ["t\\x1b", "a\\x9b", "b\\u202e\\n"]


def report(label):
    """Returns the content of a report whose labels, slices and names are hostile."""
    figure = {"value": 0.5, "low": 0.4, "high": 0.6}
    row = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 5}
    return {
        "main": "accuracy",
        "shown": {"accuracy": label},
        "lower": [],
        "unit": "text",
        "split": label,
        "labels": [label, "other"],
        "metrics": {
            "accuracy": figure,
            "classes": {label: row, "other": row},
            "confusion_matrix": [[1, 2], [3, 4]],
        },
        "floors": {label: {"accuracy": figure}},
        "slices": [{"by": label, "value": label, "texts": 5, "figure": figure, "stands": "within"}],
        "frozen": {
            "groups": [label],
            "parameters": 1,
            "trainable_parameters": 1,
            "trainable_share": 0.5,
        },
        "seconds": {label: 1.0},
        "data_changed": label,
        "threshold": {
            "reached": False,
            "label": label,
            "value": 0.5,
            "aim": label,
            "precision": None,
            "recall": 0.5,
            "f1": 0.5,
        },
    }


@pytest.mark.parametrize(
    "evil", ["\x1b]0;x\x07\x1b[31m\u202e\x9b", "[/bold][link=http://e.example]"]
)
def test_reports_and_comparisons(evil):
    content = report(evil)
    figure = content["metrics"]["accuracy"]
    one = {"name": evil, "accuracy": figure, "runs": 1, "seconds": 1.0, "trained": 1}
    pair = {"base": evil, "other": evil, "accuracy": figure, "examples": 5}
    compared = {**content, "runs": [{**one, "backbone": evil}], "differences": [pair]}

    def show():
        terminal.show_report(content, Console())
        terminal.show_comparisons(content, Console())
        for table in comparison.tables(compared):
            Console().table(*table, result=True)

    check(on_terminal(show), "Confusion matrix")


def test_configs_errors_and_warnings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = "\x1b]0;x\x07[bold].gin"
    texts = (
        "files.data = '\\x1b[31m\\u202e'\nx.y = '\x1b[2J\u202e[/bold]'\n",
        "A = '\x1b[2J\n",
        "import \x1b[2J\n",
        "include '\x9b2J'\n",
    )

    def show():
        for text in texts:
            (tmp_path / name).write_text(text)
            assert cli.command(["show", f"--gin_file={name}"]) == 2
        assert cli.command(["show", "\x1b[2J[/bold]"]) == 2
        assert cli.command(["trai\x1b[2Jn"]) == 2
        assert cli.command(["train", "--se\x9bd=1"]) == 2
        with routed(Console(), verbose=False):
            warnings.warn("\x1b[2J[/bold]", stacklevel=1)
        with routed(Console(), verbose=True):  # the warnings themselves are pytest's
            sys.stderr.write(warnings.formatwarning("loud \x1b[2J", UserWarning, "f\x9b", 1))

    check(on_terminal(show), "tfft: ", "[/bold]", "loud \\x1b[2J")


def test_the_store_shows_names_as_they_are():
    about = {"title": "\x1b[31m[/bold]", "shape": [1]}
    entry = types.SimpleNamespace(name="x\x1b", about=about, size=1, used=0, complete=True)
    kept = types.SimpleNamespace(entries=lambda: [entry], folder="[/red]", limit=5)
    check(on_terminal(lambda: list_and_show.store(kept, Console())), "[/bold]", "[/red]")


def test_a_traceback_and_an_interrupt_are_escaped(tmp_path):
    """A fresh process, as its excepthook is meant; `list` imports no TensorFlow."""
    code = (
        "import sys, tfft.cli.main as m\n"
        "def fail(options, say): raise sys.fault\n"
        "m.VERBS['list'] = m.Verb(fail, '')\n"
        "sys.argv = ['tfft', 'list']\n"
        "sys.fault = RuntimeError('\\x1b[2J\\u202e\\x9b')\n"
        "m.main()\n"
    )
    master, slave = pty.openpty()
    done = subprocess.run([sys.executable, "-c", code], stdout=slave, stderr=slave, cwd=tmp_path)
    os.close(slave)
    shown = os.read(master, 100_000).decode()
    assert done.returncode == 1 and "RuntimeError: \\x1b[2J\\u202e\\x9b" in shown
    assert not re.search("[\x1b\x9b\u202e]", shown)


def test_predictions_on_a_terminal_are_json_without_control_characters():
    rows = types.SimpleNamespace(skipped=(), joined=lambda found: found)
    label = "\x1b\x9b\u202e\x7f\ud800é"

    def show():
        prediction_files.write_predictions(rows, [{"label": label}], "-", Console(quiet=True))

    shown = on_terminal(show)
    check(shown, "é")
    assert json.loads(shown) == {"label": label}


def test_help_is_plain():
    check(on_terminal(lambda: cli.command(["--help"])), "tfft fine-tunes", "--gin.NAME=VALUE")
