"""Mutated files of a run and of the store: each reader returns or raises a `UserError`.

By hand: TFFT_FUZZ_MINUTES=1 pytest -m extras tests/security/test_fuzz_run_files.py. The minutes are
of CPU, for each reader; 10 if the variable is not set. Half of the files are mutated as bytes. In
the others a value is replaced and the checksums are computed again, as somebody who makes up a run
would do.
"""

import contextlib
import copy
import json
import os
import pathlib
import shutil
import struct
import time
import types

import hypothesis
import numpy as np
import pytest
from finished_runs import reviews
from hypothesis import strategies as st

from tfft.cli import command_config
from tfft.errors import UserError
from tfft.evaluation import stored_predictions
from tfft.reports import comparison
from tfft.reports.console import Console
from tfft.runs import restore, run_files, workdir_state
from tfft.storage import checksums, manifest
from tfft.storage.array_folder import find_arrays, write_arrays
from tfft.storage.cache_store import Store
from tfft.storage.workdir import BEST, Workdir
from tfft.tasks.text.text_classification import TextClassification
from tfft.training import checkpointing

pytestmark = pytest.mark.extras

MINUTES = float(os.environ.get("TFFT_FUZZ_MINUTES", "10"))
QUIET = Console(quiet=True)
KEY = {"of": "abc"}
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([2**63, 10**400, -(2**31), 1e308, 0.5]),
    st.sampled_from(["", "x", "../../x", "\x1b[31m", "\ud800"]),
    st.sampled_from([[], {}, [[]], {"a": None}, ["a", 1], {"value": {}}, [{"name": 3}]]),
    st.text(max_size=5),
)
CHANGES = st.tuples(st.integers(0, 10**6), st.sampled_from(["replace", "delete", "nest"]), VALUES)
SEVERAL = st.lists(CHANGES, min_size=1, max_size=3)
BYTES = st.lists(
    st.tuples(
        st.floats(0, 1),
        st.sampled_from(["set", "cut", "insert", "double"]),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def places(value, path=()):
    """Returns the paths of all values in nested dicts and lists."""
    items = value if type(value) is dict else dict(enumerate(value if type(value) is list else ()))
    found = [(*path, key) for key in items]
    for key, each in items.items():
        found += places(each, (*path, key))
    return found


def changed(content, changes):
    """Returns JSON with some of its values replaced, removed or nested deeply."""
    content = copy.deepcopy(content)
    for number, kind, value in changes:
        known = places(content)
        if not known:
            break
        *above, last = known[number % len(known)]
        holder = content
        for key in above:
            holder = holder[key]
        if kind == "delete":
            del holder[last]
        elif kind == "replace":
            holder[last] = value
        else:
            for _ in range(600):
                value = [value]
            holder[last] = value
    return content


def mutated(content, changes):
    for share, kind, new in changes:
        place = int(share * len(content))
        cut = {"set": place + len(new), "cut": len(content), "insert": place, "double": place}[kind]
        middle = {"cut": b"", "double": content[place : place + 40]}.get(kind, new)
        content = content[:place] + middle + content[cut:]
    return content


@pytest.fixture(scope="module")
def home(finished_run, tmp_path_factory):
    found = tmp_path_factory.mktemp("fuzz") / "home"
    shutil.copytree(finished_run(reviews), found)
    files = Workdir(found / "out")
    files.write_json("run.json", {**files.read_json("run.json"), "folder": str(found)})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found)
        yield found


SOURCE = types.SimpleNamespace(
    name="data",
    splits=("train", "test"),
    size=lambda split: 3,
    summaries={split: types.SimpleNamespace(digest="a") for split in ("train", "test")},
    fingerprint=lambda: "b",
)


def read_run(identity):
    files = Workdir("out")
    run = run_files.read_run(files)
    run_files.columns_of(run.get("data") or {})
    command_config._trained_in(run)
    attempt(lambda: manifest.check_config(files))
    attempt(lambda: run_files.data_change(files, SOURCE))
    attempt(lambda: files.check(identity))
    workdir_state.describe(Workdir("out"), identity, 1, ())


def attempt(call):
    with contextlib.suppress(UserError):
        call()


def read_decision(identity):
    task = TextClassification(["bad", "good"], calibrate=True)
    found = restore.decided(task, HEAD, Workdir("out"), True)
    assert found.calibration.values


class Variable(float):
    def assign(self, value):
        float(value)


HEAD = types.SimpleNamespace(layers=[types.SimpleNamespace(weights=[Variable(1.0)])])


def read_manifest(identity):
    files = Workdir("out")
    manifest.changed(files)
    stored_predictions.finished(files)
    manifest.require(files, False, None)
    files.read_json("report.json")


def read_report(identity):
    comparison.run(["out"], "-", False, False, QUIET)


def read_held_out(identity):
    run_files.load_held_out(Workdir("out"))


def read_best(identity):
    files = Workdir("out")
    restore.read_decision(files)
    position = checkpointing.Position(best={"epoch": 1}, best_weights="0")
    attempt(lambda: checkpointing.ensure_best(files, position, ("a",), {}, QUIET))
    files.load(BEST)


def read_checkpoint(identity):
    files = Workdir("out")
    checkpointing.newest_position(files, 1, QUIET)
    manifest.remove(files)
    workdir_state.describe(files, identity, 1, ())


READERS = {  # the file, whose manifest is written anew, and its readers
    "run.json": read_run,
    "best/decision.json": read_decision,
    "manifest.json": read_manifest,
    "report.json": read_report,
    "held_out.json": read_held_out,
    BEST: read_best,
    "outputs.safetensors": read_report,
    "checkpoint": read_checkpoint,
}


def resealed(path, changes, run):
    """Replaces a value of a file and computes its checksums again."""
    if path.suffix == ".json":
        content = json.loads(path.read_text())
        content.pop("integrity")
        content = changed(content, changes)
        if path.name == "run.json" and isinstance(content.get("identity"), dict):
            run = checksums.digest(content["identity"])
        return json.dumps(checksums.seal(content, run)).encode()
    arrays, found = checksums.read_safetensors(path)
    for number, _, _ in changes[1:]:
        arrays.pop(sorted(arrays)[number % len(arrays)])
    state = changed(json.loads(found["state"]), changes[:1])
    return checksums.to_safetensors(arrays, state, run)[0]


def fuzz(check, **strategies):
    """Calls a check with other examples until its CPU minutes are spent."""
    end, number = time.process_time() + 60 * MINUTES, 0
    while time.process_time() < end:
        number += 1
        settings = hypothesis.settings(
            max_examples=25,
            database=None,
            deadline=None,
            derandomize=False,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        hypothesis.seed(number)(settings(hypothesis.given(**strategies)(check)))()


@pytest.mark.parametrize("name", READERS)
def test_a_reader_of_a_run_raises_user_errors_alone(home, name):
    out = home / "out"
    path = sorted((out / "checkpoints").iterdir())[-1] if name == "checkpoint" else out / name
    whole = {each: each.read_bytes() for each in out.rglob("*") if each.is_file()}
    identity = Workdir(out).read_json("run.json")["identity"]
    run = Workdir(out).run_id

    def check(raw, changes, of_bytes):
        try:
            content = mutated(whole[path], of_bytes) if raw else resealed(path, changes, run)
        except (ValueError, RecursionError):
            return  # such as a number that JSON cannot hold
        path.write_bytes(content)
        try:
            if not raw and name not in ("run.json", "manifest.json", "checkpoint"):
                manifest.write(Workdir(out))
            READERS[name](identity)
        except UserError as error:
            assert str(error)
        finally:
            for each in (path, out / "manifest.json"):
                each.write_bytes(whole[each])

    fuzz(check, raw=st.booleans(), changes=SEVERAL, of_bytes=BYTES)


@pytest.mark.parametrize("name", ["key.json", "parts.jsonl", "values.bin", "0.bin"])
def test_a_reader_of_the_store_raises_user_errors_alone(tmp_path, name):
    rows = np.arange(600, dtype=np.float32).reshape(-1, 3)
    store = Store(QUIET, tmp_path / "store", 10**6)
    entry = store.open("features", KEY, rows.shape, "float32", "a title")
    entry.write(0, rows[:120])
    entry.write(120, rows[120:])
    write_arrays(store, "index", KEY, "a title", lambda writer: writer.append("rows", rows))
    kind = "index" if name == "0.bin" else "features"
    folder = store.path(kind, KEY)
    whole = {each: each.read_bytes() for each in folder.iterdir()}

    def check(raw, changes, of_bytes):
        content = whole[folder / name]
        if name == "key.json" and not raw:
            about = checksums.unseal(json.loads(content))[0]
            try:
                content = json.dumps(checksums.seal(changed(about, changes), None)).encode()
            except (ValueError, RecursionError):
                return
        else:
            content = mutated(content, of_bytes)
        folder.mkdir(exist_ok=True)
        for path, each in whole.items():
            path.write_bytes(content if path.name == name else each)
        again = Store(QUIET, store.folder, 10**6)
        try:
            again.entries()
            if kind == "index":
                found = find_arrays(again, "index", KEY)
                assert raw is None or found is None or content == whole[folder / name]
                return
            found = again.find("features", KEY)
            for part in found.parts.values() if found else ():
                same = slice(part["begin"], part["end"])
                assert np.array_equal(found.values[same], rows[same]) or not raw
        except UserError as error:
            assert str(error)

    fuzz(check, raw=st.booleans(), changes=SEVERAL, of_bytes=BYTES)


def test_the_length_of_a_header_is_checked(tmp_path):
    files = Workdir(tmp_path)
    files.save("a.safetensors", {"a": np.zeros(3)}, {})
    path = pathlib.Path(tmp_path, "a.safetensors")
    content = path.read_bytes()
    for length in (0, 1, 2**31, 2**63, 2**64 - 1):
        path.write_bytes(struct.pack("<Q", length) + content[8:])
        with pytest.raises(UserError, match="is damaged"):
            files.load("a.safetensors")
