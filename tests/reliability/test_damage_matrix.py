"""Every file of a run, damaged in every way, and the verdict of each command that reads it.

A command that succeeds must give what it gives on the undamaged run. So no damage is silent.
"""

import contextlib
import io
import json
import pathlib
import shutil
import tempfile

import pytest
from damages import DAMAGES, damage
from finished_runs import three_runs
from trainings import same

from tfft.cli import main as cli
from tfft.storage import manifest
from tfft.storage.workdir import Workdir

pytestmark = pytest.mark.slow

BEST, DECISION = "best/weights.safetensors", "best/decision.json"
NEWEST, OLDER = "the newest checkpoint", "the checkpoint before it"
INPUT = "--input=data/reviews.csv"
VERBS = {
    "predict": ("predict", "--workdir={run}", INPUT, "--output=predictions.jsonl", "--force"),
    "evaluate": ("evaluate", "--workdir={run}", INPUT),
    "export": ("export", "--workdir={run}"),
    "compare": ("compare", "{run}"),
    "train": ("train", "--gin_file=run.gin", "--workdir={run}"),
}
# Verdicts. "refused": exit status 2 and an error that names the file. "recovered": a warning names
# the file, and its content is taken from elsewhere. "again": a warning names the file, which is
# written again. "equal": nothing but the result, where the file is not needed, has the same
# content, or is written by each command. Whatever succeeds gives the results of the whole run.
REFUSED, RECOVERED, AGAIN, EQUAL = VERDICTS = ("refused", "recovered", "again", "equal")
MODEL = ("predict", "evaluate", "export")
# Without its last line break a JSON file is the same. Nothing is written in the place of a folder.
JSON, PLACE = {"byte cut": EQUAL}, {"folder": REFUSED}


def derived(*readers):
    """Returns the verdicts of a JSON file that train can make again."""
    verdicts = {"*": AGAIN, **JSON, **PLACE}
    return {**{verb: {"*": REFUSED, **JSON} for verb in readers}, "train": verdicts}


FINISHED = {
    "config.gin": {**dict.fromkeys(MODEL, {"*": REFUSED}), "train": {"*": EQUAL, **PLACE}},
    "run.json": {
        **dict.fromkeys((*MODEL, "compare"), {"*": REFUSED, **JSON}),
        "train": {"*": REFUSED, **JSON, "deleted": RECOVERED},
    },
    "manifest.json": {**derived(*MODEL, "compare")},
    BEST: {**dict.fromkeys(MODEL, {"*": REFUSED}), "train": {"*": RECOVERED, **PLACE}},
    DECISION: derived(*MODEL),
    "held_out.json": derived("export"),
    "report.json": derived("compare"),
    "outputs.safetensors": {"compare": {"*": REFUSED}, "train": {"*": AGAIN, **PLACE}},
    "report.html": {"train": {"*": AGAIN, **PLACE}},
    "report.md": {"train": {"*": AGAIN, **PLACE}},
    "metrics.jsonl": {"train": {"*": AGAIN, **PLACE}},
    NEWEST: {"train": {"*": EQUAL}},
    OLDER: {"train": {"*": EQUAL}},
}
FINISHED["held_out.json"]["export"]["deleted"] = RECOVERED
FINISHED["manifest.json"]["train"]["deleted"] = EQUAL  # as after a run that was stopped
UNFINISHED = {
    "run.json": {
        "predict": {"*": REFUSED, **JSON},
        "train": {"*": REFUSED, **JSON, "deleted": RECOVERED},
    },
    BEST: {"predict": {"*": REFUSED}, "train": {"*": RECOVERED, **PLACE}},
    NEWEST: {"train": {"*": RECOVERED, "deleted": EQUAL, **PLACE}},
    OLDER: {"train": {"*": EQUAL}},
}


def path_of(run, name):
    """Returns the path of an artifact."""
    checkpoints = sorted((run / "checkpoints").glob("step-*"))
    return {NEWEST: checkpoints[-1], OLDER: checkpoints[0]}.get(name, run / name)


@pytest.fixture(scope="module")
def original(finished_run):
    """The folder of undamaged runs, and what commands print and write there."""
    folder, results = finished_run(three_runs), {}
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as room:
        shutil.copytree(folder, pathlib.Path(room, "home"))
        patch.chdir(pathlib.Path(room, "home"))
        whole = [("out", verb) for verb in ("predict", "evaluate", "compare")]
        for run, verb in (*whole, ("half", "predict")):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert cli.command(command(verb, run)) == 0
            results[run, verb] = out.getvalue() + written()
    return folder, results


def command(verb, run):
    """Returns the words of a command on a run."""
    more = ["--unfinished"] if run == "half" and verb in MODEL else []
    return [word.format(run=run) for word in VERBS[verb]] + more


def written():
    path = pathlib.Path("predictions.jsonl")
    text = path.read_text() if path.exists() else ""
    path.unlink(missing_ok=True)
    return text


@pytest.fixture
def home(original, tmp_path, monkeypatch):
    """A copy of a folder with a finished run, one of another seed, and one that was stopped."""
    shutil.copytree(original[0], tmp_path / "home")
    monkeypatch.chdir(tmp_path / "home")
    return tmp_path / "home"


def same_run(run, whole):
    """Fails if a run is not complete or differs from an undamaged one."""
    assert manifest.changed(Workdir(run)) == []
    for name in manifest.FILES:
        one, two = run / name, whole / name
        if name.endswith(".safetensors"):
            assert same(one, two)
        elif name.endswith((".json", ".jsonl")):
            found = [[json.loads(line) for line in lines_of(each)] for each in (one, two)]
            assert without_seconds(found[0]) == without_seconds(found[1]), name
        elif name == "config.gin":
            assert one.read_bytes() == two.read_bytes()


def lines_of(path):
    text = path.read_text()
    return text.splitlines() if path.suffix == ".jsonl" else [text]


def without_seconds(value):
    """Returns a value without durations, the folder's name and checksums over them."""
    if isinstance(value, dict):
        left_out = ("seconds", "command", "integrity")
        return {key: without_seconds(each) for key, each in value.items() if key not in left_out}
    return [without_seconds(each) for each in value] if isinstance(value, list) else value


def check(verdict, verb, run, name, original, capsys):
    """Runs a command on a damaged run and fails if its verdict is another one."""
    folder, results = original
    capsys.readouterr()
    status = cli.command(command(verb, run))
    shown = capsys.readouterr()
    out, log = shown.out, shown.err
    assert "Traceback" not in log and verdict in VERDICTS
    assert status == (2 if verdict == REFUSED else 0), log
    if verdict != EQUAL:
        assert name in log or (name == "run.json" and f"{run} holds another run" in log), log
    if verdict == REFUSED:
        assert "\n  valid   " in log or "\n  see     " in log, log
    elif verb == "train":
        same_run(pathlib.Path(run), folder / "out")
    elif (run, verb) in results:
        assert out + written() == results[run, verb]


def check_all(table, name, kind, run, original, capsys):
    path = path_of(pathlib.Path(run), name)
    damage(path, kind, path_of(pathlib.Path("other"), name))
    for verb, verdicts in table[name].items():
        check(verdicts.get(kind, verdicts["*"]), verb, run, path.name, original, capsys)


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", FINISHED)
def test_a_finished_run(original, home, capsys, name, kind):
    check_all(FINISHED, name, kind, "out", original, capsys)


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", UNFINISHED)
def test_an_unfinished_run(original, home, capsys, name, kind):
    check_all(UNFINISHED, name, kind, "half", original, capsys)


def test_a_run_that_never_finished_is_used_on_request_alone(home, capsys):
    for verb in MODEL:
        words = [word.format(run="half") for word in VERBS[verb]]
        assert cli.command(words) == 2
        log = capsys.readouterr().err
        assert "never finished" in log and "--unfinished" in log
        assert cli.command([*words, "--unfinished"]) == 0
        shown = capsys.readouterr()
        assert manifest.UNFINISHED in shown.err
        assert (f"note: {manifest.UNFINISHED}" in shown.out) == (verb == "evaluate")
    assert cli.command(["compare", "half"]) == 2


@pytest.mark.parametrize("name", ["best", "checkpoints", "floors"])
def test_a_file_in_the_place_of_a_folder_is_refused_or_not_needed(home, capsys, name):
    shutil.rmtree(home / "half" / name, ignore_errors=True)
    (home / "half" / name).write_text("a file")
    status = cli.command([word.format(run="half") for word in VERBS["train"]])
    log = capsys.readouterr().err
    assert "Traceback" not in log and status == (0 if name == "floors" else 2)
    assert (home / "half" / name).read_text() == "a file"


def test_every_file_of_a_run_is_in_the_table(home):
    inside = [path for path in (home / "out").rglob("*") if path.is_file()]
    names = {str(path.relative_to(home / "out")) for path in inside}
    rest = names - set(FINISHED) - {".lock"}
    assert {name for name in rest if not name.startswith(("tensorboard/", "checkpoints/"))} == set()
    assert len(list((home / "out/checkpoints").iterdir())) == 2
