"""Files of a run, read without a model: damage, other runs, best weights, what a kill leaves."""

import subprocess
import sys
import types

import numpy as np
import pytest
from damages import DAMAGES, damage

from tfft.errors import WorkdirError
from tfft.reports.console import Console
from tfft.storage import manifest
from tfft.storage.format_versions import WORKDIR
from tfft.storage.workdir import BEST, Workdir
from tfft.training import checkpointing
from tfft.training.checkpointing import Position

IDENTITY, OTHER = ({"config": "a = 1", "seed": seed} for seed in (0, 1))
NUMBERS = {"figures": [0.25, 1e-9], "name": "Zoë", "of": {"a": None}}
ARRAYS = {"scalar": np.array(3), "rows": np.arange(60, dtype=np.float32).reshape(3, 20)}
RECORD = {"epoch": 1, "step": 4, "stage_number": 0}
NEWEST = "checkpoints/step-000000004.safetensors"


class Say(Console):
    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, line):
        self.lines.append(line)

    warn = info


def make_run(folder, identity=IDENTITY, value=0):
    """Writes what a run of one stage leaves in its folder that ended with its first epoch."""
    files, arrays = Workdir(folder), {**ARRAYS, "scalar": np.array(value)}
    with files.open(identity):
        files.write_json("run.json", {"format": WORKDIR, "identity": identity})
        files.write_json("report.json", {**NUMBERS, "seed": identity["seed"]})
        position = Position(epoch=1, total_steps=4, best=RECORD)
        position.best_weights = files.save(BEST, arrays, RECORD)
        state = {**vars(position)}
        files.save_checkpoint(4, {**arrays, "optimizer/0000": ARRAYS["rows"]}, state)
        manifest.write(files)
    return files, position


@pytest.fixture
def run(tmp_path):
    make_run(tmp_path / "other", OTHER, 1)
    return make_run(tmp_path / "run")


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", ["run.json", "report.json", "manifest.json", BEST])
def test_a_damaged_file_is_noticed(run, name, kind):
    files = Workdir(run[0].path)
    damage(files.path / name, kind, files.path.parent / "other" / name)
    if name != BEST and kind in ("byte cut", "deleted"):  # the byte is the last line break
        assert (files.read_json(name) is None) == (kind == "deleted")
        return
    if (name, kind) == ("run.json", "exchanged"):
        name = "report.json"  # what belongs to the other run.json is refused
    reason = "missing" if kind == "deleted" else "damaged"
    with pytest.raises(WorkdirError, match=f"{name} is {reason}"):
        files.load(name) if name == BEST else files.read_json(name)
    if kind != "exchanged" and name != "run.json":
        assert manifest.changed(files) == [name]


def test_a_file_of_an_earlier_state_of_the_run_is_noticed(run):
    files = Workdir(run[0].path)
    old = (files.path / BEST).read_bytes()
    with files.open(IDENTITY):
        files.save(BEST, {**ARRAYS, "scalar": np.array(9)}, RECORD)
        manifest.write(files)
    (files.path / BEST).write_bytes(old)
    files = Workdir(files.path)
    assert files.load(BEST) and manifest.require(files, False, None)
    with pytest.raises(WorkdirError, match="it is not the file that the run ended with"):
        files.load(BEST)


def test_a_run_that_never_finished_needs_leave(run):
    files = Workdir(run[0].path)
    manifest.remove(files)
    with pytest.raises(WorkdirError, match="never finished") as caught:
        manifest.require(files, False, None)
    assert "--unfinished" not in caught.value.valid  # as in compare, which has no such flag
    lines = []
    with pytest.raises(WorkdirError, match="never finished") as caught:
        manifest.require(files, False, lines.append)
    assert "--unfinished" in caught.value.valid and not lines
    assert not manifest.require(files, True, lines.append)
    assert lines == [manifest.UNFINISHED]


def test_weights_without_run_json_go_on_with_their_own_settings_alone(run):
    path, lines = run[0].path, []
    (path / "run.json").unlink()
    with pytest.raises(WorkdirError, match="holds weights of another run, and no run.json"):
        Workdir(path).check(OTHER)
    with pytest.raises(WorkdirError, match="run.json is missing, which tells what run"):
        Workdir(path).load(BEST)
    with Workdir(path).open(IDENTITY, lines.append):
        assert "run.json is missing: it is written again" in lines[0]
    damage(path / BEST, "half", None)
    (path / NEWEST).unlink()
    with pytest.raises(WorkdirError, match="holds weights of another run"):
        Workdir(path).check(IDENTITY)


KILLED = """
import os, sys
from tfft.storage.workdir import Workdir
files = Workdir(sys.argv[1])
with files.open({"config": "a = 1", "seed": 0}):
    os.replace = lambda *paths: os._exit(9)
    if sys.argv[2].endswith(".safetensors"):
        files.save(sys.argv[2], {}, {})
    else:
        files.write(sys.argv[2], "{}")
"""


def test_what_a_killed_run_wrote_aside_is_removed(run):
    path = run[0].path
    before = {each for each in path.rglob("*")}
    names = ("report.json", "best/decision.json", "checkpoints/step-000000008.safetensors")
    for name in names:
        command = [sys.executable, "-c", KILLED, str(path), name]
        assert subprocess.run(command, capture_output=True).returncode == 9
    left = {each for each in path.rglob("*")} - before
    # Each start has removed what the one before it left.
    assert [each.name.rsplit(".", 1)[0] for each in left] == [".step-000000008.safetensors"]
    own = [path / ".notes.txt.abcdefgh", path / "best/.mine", path / "best/.weights.safetensors"]
    link = path / ".report.json.abcdefgh"
    for each in own:
        each.write_text("mine")
    link.symlink_to(own[0])
    with Workdir(path).open(IDENTITY):
        pass
    assert not any(each.exists() for each in left)
    assert all(each.read_text() == "mine" for each in own) and link.is_symlink()
    assert before <= set(path.rglob("*"))


def test_best_weights_are_taken_from_a_checkpoint_that_holds_them(run):
    files, position = run
    whole = files.load(BEST)
    for kind in ("deleted", "half", "bit of the payload", "exchanged"):
        if (files.path / BEST).exists():
            damage(files.path / BEST, kind, files.path.parent / "other" / BEST)
        say = Say()
        checkpointing.ensure_best(files, position, ARRAYS, {}, say)
        assert f"{NEWEST} holds the same weights" in say.lines[0]
        arrays, state = files.load(BEST)
        assert state == whole[1] and all(np.array_equal(whole[0][n], arrays[n]) for n in arrays)
    checkpointing.ensure_best(files, position, ARRAYS, {}, None)  # nothing to do


def test_best_weights_that_no_checkpoint_holds_are_refused_with_the_way_out(run):
    files, position = run
    files.save_checkpoint(8, {name: 2 * array for name, array in ARRAYS.items()}, vars(position))
    (files.path / NEWEST).unlink()
    damage(files.path / BEST, "half", None)
    with pytest.raises(WorkdirError, match="No checkpoint holds these weights") as caught:
        checkpointing.ensure_best(files, position, ARRAYS, {}, Say())
    assert "the same command in another folder" in caught.value.valid


def test_best_weights_of_a_later_epoch_stay(run):
    files, position = run
    later = types.SimpleNamespace(**{**vars(position), "best_weights": "0" * 64, "total_steps": 2})
    checkpointing.ensure_best(files, later, ARRAYS, {}, None)


def test_a_checkpoint_beyond_the_plan_is_refused(run):
    files, position = run
    assert checkpointing.newest_position(files, 1, Say())[1] == position
    for stage in (2, -1):
        state = {**vars(position), "stage": stage}
        files.save_checkpoint(8, ARRAYS, state)
        with pytest.raises(WorkdirError, match="at a place that the run does not have"):
            checkpointing.newest_position(files, 1, Say())


def test_a_checkpoint_of_another_run_is_passed_over(run):
    files, _ = run
    other = files.path.parent / "other" / NEWEST
    (files.path / "checkpoints/step-000000009.safetensors").write_bytes(other.read_bytes())
    (files.path / "checkpoints/step-000000010.safetensors").mkdir()
    say = Say()
    assert checkpointing.newest_position(files, 1, say)[1].total_steps == 4
    assert "belongs to another run than run.json. The one before it is used." in say.lines[1]
    assert files.newest_state()["total_steps"] == 4
    (files.path / NEWEST).unlink()
    assert checkpointing.newest_position(files, 1, say)[0] is None
    assert "the training begins again" in say.lines[-1]
