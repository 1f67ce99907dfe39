"""Configs that would take long, fill the memory or raise something else than an error of ours."""

import os
import resource
import subprocess
import sys
import time

import pytest

from tfft.cli import main as cli
from tfft.config import load
from tfft.config.catalog import configurables
from tfft.errors import ConfigError, UserError, near
from tfft.runs.repeat import RepeatPlan
from tfft.storage.cache_store import limit_bytes
from tfft.storage.subprocesses import git_commit

WHOLE = """\
train.task = @TextClassification()
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
train.stages = (@Stage(),)
"""
SECONDS, MIB = 2.0, 500


def macros(last, first="A0", count=40):
    """A chain of macros each of which is twice the next one."""
    lines = [f"A{n} = [%A{n + 1}, %A{n + 1}]" for n in range(count)]
    return "\n".join([f"TextClassification.labels = %{first}", *lines, f"A{count} = {last}", ""])


def scopes(count):
    """A stage with as many scopes, each of which sets a value."""
    names = ", ".join(f"@s{n}/Stage()" for n in range(count))
    lines = "".join(f"s{n}/Stage.epochs = 2\n" for n in range(count))
    return WHOLE.replace("(@Stage(),)", f"[{names}]") + lines


HOSTILE = {
    "exponential macros": WHOLE + macros("'a'"),
    "exponential macros of nothing": WHOLE + macros("[]"),
    "exponential macros in a circle": WHOLE + macros("%A0", count=30),
    "wide macros": WHOLE
    + "A = "
    + repr(["a"] * 900)
    + "\n"
    + "TextClassification.labels = ["
    + "%A," * 900
    + "]\n",
    "a long macro in many places": WHOLE
    + "A = '"
    + "a" * 200_000
    + "'\n"
    + "TextClassification.labels = ["
    + "%A," * 5000
    + "]\n",
    "a chain of macros": WHOLE
    + "TextClassification.labels = %M0\n"
    + "".join(f"M{n} = %M{n + 1}\n" for n in range(900))
    + "M900 = ['a']\n",
    "nested macros": WHOLE
    + "TextClassification.labels = %M0\n"
    + "".join(f"M{n} = [[[[%M{n + 1}]]]]\n" for n in range(300))
    + "M300 = ['a']\n",
    "implicit text": WHOLE + "files.text = " + "'a' " * 20_000 + "0\n",
    "implicit text of many lines": WHOLE + "files.text = (\n" + "'a'\n" * 60_000 + ")\n",
    "text and bytes": WHOLE + "files.text = 'a' b'c'\n",
    "a text of 20 MB": WHOLE + "files.text = '" + "a" * 20_000_000 + "'\n",
    "a text of 200 kB": WHOLE + "files.nothing = '" + "a" * 200_000 + "'\n",
    "a wrong text of 200 kB": WHOLE + "train.seed = '" + "a" * 200_000 + "'\n",
    "digits": WHOLE + "train.seed = " + "9" * 6000 + "\n",
    "hexadecimal digits": WHOLE + "train.seed = 0x" + "f" * 6000 + "\n",
    "digits in a list": WHOLE + "TextClassification.labels = [-0x" + "f" * 6000 + "]\n",
    "a point and digits": WHOLE + "Stage.learning_rate = 0." + "1" * 200_000 + "\n",
    "infinity": WHOLE + "Stage.learning_rate = 1e999\n",
    "negative infinity": WHOLE + "train.slices = {'a': -1e999}\n",
    "a complex number": WHOLE + "Stage.learning_rate = 1j\n",
    "a list as a key": WHOLE + "train.slices = {[1]: 'a'}\n",
    "a dict as a key": WHOLE + "train.slices = {{}: 'a'}\n",
    "a list in a tuple as a key": WHOLE + "train.slices = {(1, [2]): 'a'}\n",
    "a reference as a key": WHOLE + "train.slices = {@tiny(): 'a'}\n",
    "a macro of a list as a key": WHOLE + "K = [1]\ntrain.slices = {%K: 'a'}\n",
    "deep lists": WHOLE + "TextClassification.labels = " + "[" * 5000 + "]" * 5000 + "\n",
    "lists that are just too deep": WHOLE + "files.columns = " + "[" * 90 + "]" * 90 + "\n",
    "deep dicts": WHOLE + "train.slices = " + "{1: " * 3000 + "1" + "}" * 3000 + "\n",
    "a long list": WHOLE + "TextClassification.labels = [" + "0," * 100_000 + "]\n",
    "a long name": "a" * 200_000 + ".b = 1\n",
    "a long scope": "a/" * 60_000 + "Stage.epochs = 1\n",
    "a long reference": WHOLE + "files.text = @" + "a." * 60_000 + "b()\n",
    "many statements": "".join(f"A{n} = 1\n" for n in range(25_000)),
    "many statements in a block": "Stage:\n" + "".join(f"  a{n} = 1\n" for n in range(20_000)),
    "many mistakes": WHOLE + "".join(f"zzz{n}.epochs = 1\n" for n in range(900)),
    "many unset macros": WHOLE
    + "".join(f"{'m' * 200}{n} = 1\n" for n in range(450))
    + "".join(f"x{n}.a = %{'m' * 199}n{n}\n" for n in range(450)),
    "many scopes": scopes(480) + "Stage.nothing = 1\n",
    "many unused scopes": WHOLE + "".join(f"s{n}/Stage.epochs = 2\n" for n in range(900)),
    "a null character": WHOLE + "files.text = '\0'\n",
    "a null character in a name": "a\0b = 1\n",
    "a single surrogate": WHOLE + r"files.text = '\ud800'" + "\nStage.nothing = 1\n",
    "an open text": WHOLE + "files.text = '''" + "a\n" * 100_000,
    "an open bracket": WHOLE + "files.text = [" + "\n" * 200_000,
    "many brackets": "(" * 200_000,
    "indents": "".join(" " * n + "a:\n" for n in range(600)),
    "backslashes": "a = " + "\\\n" * 100_000,
    "an import of a long name": "import " + "a." * 60_000 + "b\n",
    "an include of a long name": f"include '{'a' * 100_000}.gin'\n",
    "an include with a null": "include 'a\\0b.gin'\n",
    "an include of a device": "include '/dev/zero'\n",
    "not gin": "\x7fELF" + "\0" * 10_000,
}


KNOWN = configurables()


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Returns a function that writes a file into the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(load, "offered", lambda: dict(KNOWN))  # read once
    return lambda name, text: (tmp_path / name).write_text(text)


def refused(*arguments):
    """Runs a command; returns nothing once it ended with status 2, in time and in memory."""
    began, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert cli.command(arguments) == 2
    assert time.process_time() - began < SECONDS
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MIB


QUICK = ("exponential macros", "a macro of a list as a key", "implicit text", "a list as a key")
QUICK += ("hexadecimal digits", "deep lists", "many mistakes", "infinity", "a long scope")


@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=[] if kind in QUICK else pytest.mark.slow) for kind in HOSTILE],
)
def test_each_is_refused_soon(write, capsys, kind):
    write("run.gin", HOSTILE[kind])
    refused("train", "--gin_file=run.gin", "--workdir=out")
    shown = capsys.readouterr().err
    assert shown.startswith("tfft: ") and "Traceback" not in shown and len(shown) < 10_000


@pytest.mark.slow
@pytest.mark.parametrize("kind", [kind for kind in HOSTILE if "many" in kind])
def test_show_lists_some_mistakes_of_many(write, capsys, kind):
    write("run.gin", HOSTILE[kind])
    refused("show", "--gin_file=run.gin")


def test_includes_are_bounded(write, capsys):
    for number in range(30):
        write(f"deep{number}.gin", f"include 'deep{number + 1}.gin'\n")
    refused("show", "--gin_file=deep0.gin")
    assert "too many configs are included: 21, 21 deep" in capsys.readouterr().err
    for number in range(12):  # 2^12 files
        write(f"bomb{number}.gin", f"include 'bomb{number + 1}.gin'\n" * 2)
    write("bomb12.gin", "A = 1\n")
    refused("show", "--gin_file=bomb0.gin")
    assert "too many configs are included: 51" in capsys.readouterr().err
    for number in range(40):
        write(f"large{number}.gin", "files.columns = [" + "1," * 10_000 + "]\n")
    write("all.gin", "".join(f"include 'large{number}.gin'\n" for number in range(40)))
    refused("show", "--gin_file=all.gin")
    assert "50,000 words and signs" in capsys.readouterr().err


@pytest.mark.slow
def test_files_that_replace_each_other_are_soon_read(write):
    flags = [f"--gin_file=one{number}.gin" for number in range(45)]
    for number in range(45):  # each replaces what the one before it said
        lines = "".join(f"s{number}x{n}/Stage.epochs = 2\n" for n in range(20))
        names = ", ".join(f"@s{number}x{n}/Stage()" for n in range(20))
        write(f"one{number}.gin", WHOLE.replace("(@Stage(),)", f"[{names}]") + lines)
    began = time.process_time()
    cli.command(["show", *flags])
    assert time.process_time() - began < SECONDS


@pytest.mark.parametrize(
    "value",
    ["[" * 5000, "'a'" * 5000, "9" * 6000, "0x" + "f" * 6000, "{[1]: 2}", "{@tiny(): 1}", "1e999"],
)
def test_a_flag_is_bounded_as_a_file_is(write, capsys, value):
    write("run.gin", WHOLE)
    refused("train", "--gin_file=run.gin", "--workdir=out", f"--gin.Stage.epochs={value}")
    refused("train", "--gin_file=run.gin", "--workdir=out", f"--gin.{'a/' * 50_000}Stage.epochs=1")
    assert len(capsys.readouterr().err) < 3000


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["exponential macros", "many scopes", "a text of 20 MB"])
def test_the_whole_command_is_soon_over(write, kind):
    """A fresh process under a limit of memory."""
    write("run.gin", HOSTILE[kind])
    code = (
        "import resource, sys; from tfft.cli.main import main; sys.argv[0] = 'tfft'\n"
        f"resource.setrlimit(resource.RLIMIT_AS, ({MIB} << 20,) * 2); main()"
    )
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-c", code, "show", "--gin_file=run.gin"]
    done = subprocess.run(command, capture_output=True, text=True)
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert ended.ru_utime - began.ru_utime < 2 * SECONDS  # with the imports, beside other tests


def test_what_people_write_stays_within_the_limits(write):
    labels = [f"label {number}" for number in range(5000)]
    write("run.gin", WHOLE + f"TextClassification.labels = {labels!r}\n")
    found = load.load(["run.gin"])
    assert found.value("TextClassification.labels") == labels
    write("again.gin", found.text)
    assert load.load(["again.gin"]).text == found.text


@pytest.mark.parametrize(
    "lines",
    [
        "L = " + repr(["a"] * 9000) + "\nTextClassification.labels = %L\nfiles.columns = %L\n"
        "Stage.freeze = %L\nk/Stage.freeze = %L\n",
        "".join(f"s{n}/Stage.epochs = 2\n" for n in range(60)),
    ],
)
def test_a_run_could_read_its_config_again(write, lines):
    names = ", ".join(f"@s{n}/Stage()" for n in range(60)) if "s0" in lines else "@k/Stage()"
    write("run.gin", WHOLE.replace("(@Stage(),)", f"[{names}, @Stage()]") + lines)
    with pytest.raises(ConfigError, match="the whole config of the run is too long"):
        load.load(["run.gin"])


def test_parts_of_a_text_are_joined(write):
    write("run.gin", WHOLE + "files.text = ('a' \"b\"\n  r'\\c' '' '''d''')\n")
    assert load.load(["run.gin"]).value("files.text") == "ab\\cd"


def test_near_does_not_compare_very_many_names():
    began = time.process_time()
    assert near("a" * 200 + "b", ["a" * 200 + f"{number}" for number in range(20_000)])
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("seed", "seeds", "folds"), [(0, 10**12, 1), (0, 1, 10**12), (2**31 - 2, 3, 1), (0, 1001, 1)]
)
def test_a_plan_is_bounded(seed, seeds, folds):
    with pytest.raises(ConfigError, match="make no plan"):
        RepeatPlan(seed, seeds, folds)
    assert len(RepeatPlan(2**31 - 3, 3, 1).names) == 3


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "-1", "9" * 6000, "x", "", "1,5"])
def test_the_size_of_the_store_is_a_size(monkeypatch, value):
    monkeypatch.setenv("TFFT_STORE_GB", value)
    with pytest.raises(UserError, match="is no size"):
        limit_bytes()
    monkeypatch.setenv("TFFT_STORE_GB", "0.5")
    assert limit_bytes() == 2**29


def test_a_missing_or_broken_git_is_no_traceback(tmp_path, monkeypatch):
    for path in ("", str(tmp_path), str(tmp_path / "nothing"), "relative"):
        monkeypatch.setenv("PATH", path)
        assert git_commit(tmp_path) is None
    monkeypatch.delenv("PATH")
    git_commit(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    for content in ("no program", "#!/nothing/there\n", "#!/bin/sh\nprintf '\\377\\376'; exit 1\n"):
        (tmp_path / "git").write_text(content)
        os.chmod(tmp_path / "git", 0o755)
        assert git_commit(tmp_path) is None
