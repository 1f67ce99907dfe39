"""Runs of the command whose every file operation a test sees, and may refuse or end the process at.

The operations are those below the run's home: of Python and of TensorFlow, in all threads. A small
C library, compiled once, asks this process before each of them.
"""

import functools
import hashlib
import json
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading

import forks
import pytest
from safetensors.numpy import load_file

GO, KILL = 0, -1
ROWS = 32
CONFIG = """
train.task = @TextClassification()
TextClassification.calibrate = True
train.backbone = @tiny()
train.source = @files()
files.data = "reviews.csv"
files.text = "review"
files.label = "stars"
train.stages = (@head/Stage(), @upper/Stage())
train.plots = False
train.checkpoint_steps = 1
FeatureCache.where = "disk"
Stage.batch_size = 16
Stage.learning_rate = 3e-3
head/Stage.name = "head"
head/Stage.freeze_layers = "all"
head/Stage.epochs = 1
upper/Stage.name = "upper"
upper/Stage.freeze_layers = 1
upper/Stage.epochs = 2
"""
TRAIN, EXPORT = "train --gin_file=run.gin --workdir=out", "export --workdir=out"
# Functions run eagerly, which saves the seconds of tracing; each run that is compared does so. The
# comparison of an export in a fresh process takes seconds too, and changes no file.
CHILD = """
import ctypes, sys
import tensorflow as tf
from tfft.cli.main import command
from tfft.export import saved_model

tf.config.run_functions_eagerly(True)
saved_model._fresh_process = lambda path, name, each: each.served.answers(each.inputs)
address, folders, *commands = sys.argv[1:]
if address and ctypes.CDLL(None).watch_files(address.encode(), folders.encode()):
    sys.exit("the library is not loaded")
for line in commands:
    if status := command(line.split()):
        sys.exit(status)
"""
# One process after the other would take seconds for each folder to begin.
AGAIN = """
import os, sys
import tensorflow as tf
from tfft.cli.main import command
from tfft.export import saved_model

tf.config.run_functions_eagerly(True)
saved_model._fresh_process = lambda path, name, each: each.served.answers(each.inputs)
line, *homes = sys.argv[1:]
for home in homes:
    os.chdir(home)
    os.environ["TFFT_STORE"] = f"{home}/store"
    print(f"in {home}", file=sys.stderr, flush=True)
    print(command(line.split()), file=sys.stderr, flush=True)
"""
TEMPORARY = re.compile(r"^\.(?!lock$)|\.tempstate|\.tmp|_temp")


@functools.cache
def library():
    """Returns the path of the compiled library."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    source = pathlib.Path(__file__).with_suffix(".c")
    target = pathlib.Path(tempfile.mkdtemp(prefix="tfft-tests-"), "file_operations.so")
    options = ["-shared", "-fPIC", "-O1", "-o", str(target), str(source), "-ldl", "-lpthread"]
    subprocess.run([compiler, *options], check=True)
    return str(target)


def make_home(folder):
    """Makes a folder with data and a config."""
    folder.mkdir(parents=True)
    (folder / "run.gin").write_text(CONFIG)
    rows = [f"the film of plot {n} mark{n % 2},{'good' if n % 2 else 'bad'}" for n in range(ROWS)]
    (folder / "reviews.csv").write_text("\n".join(["review,stars", *rows]) + "\n")
    return folder


def run(home, answer=None, commands=(TRAIN,), env=None):
    """Runs commands one after the other in one process; returns the `CompletedProcess`.

    Args:
      home: the current folder; what is stored for other runs is in `home/store`.
      answer: called with the operation and the path relative to `home` before each operation;
        returns GO, KILL, or the errno that it fails with.
    """
    given = {**forks.os.environ, "TFFT_STORE": str(home / "store"), **(env or {})}
    with tempfile.TemporaryDirectory() as room, socket.socket(socket.AF_UNIX) as server:
        address = f"{room}/asks"
        server.bind(address)
        server.listen()
        if answer is not None:
            threading.Thread(target=_serve, args=(server, home, answer), daemon=True).start()
        words = ["-c", CHILD, address if answer else "", str(home), *commands]
        return forks.run([sys.executable, *words], cwd=home, env=given, preload=library())


def run_again(homes, command):
    """Runs a command in each of some folders, in one process; returns what it says in each."""
    words = ["-c", AGAIN, command, *map(str, homes)]
    done = forks.run([sys.executable, *words], cwd=homes[0], preload=library())
    said = done.stderr.split("in /")[1:]
    return [text.rstrip().rpartition("\n")[::2] for text in said]


def _serve(server, home, answer):
    connection, _ = server.accept()
    with connection:
        while line := connection.recv(8192).decode("utf-8", "replace"):
            operation, _, path = line.rstrip("\n").partition(" ")
            code = answer(operation, path.removeprefix(f"{home}/"))
            connection.send(str(code).encode())


class Recorder:
    """Counts operations and does something at one of them.

    Args:
      at: the number of the operation, from 1 on; None for none.
      action: the answer to it; `sticky` to all after it too.
    """

    def __init__(self, at=None, action=KILL):
        self.at, self.action, self.seen = at, action, []

    def __call__(self, operation, path):
        self.seen.append((operation, normal(path)))
        return self.action if len(self.seen) == self.at else GO


def normal(path):
    """Returns a path without what differs from run to run: random names, process ids, times."""
    path = re.sub(r"(/|^)(\.[\w.-]*?)[.-]?(\w{8}|\d+-\d+)(?=/|$)", r"\1\2*", path)
    path = re.sub(r"events\.out\.tfevents\.[^/]*", "events", path)
    path = re.sub(r"(\.pb\.tmp)\w+", r"\1*", path)
    return re.sub(r"variables_temp/[^/]*", "variables_temp/*", path)


def temporary_files(home):
    """Returns what is below a folder and would be removed by a run that ends well."""
    names = (path.relative_to(home) for path in home.rglob("*"))
    return sorted(str(name) for name in names if TEMPORARY.search(name.name))


def results(home):
    """Returns what a run has to end with, whatever happened on its way."""
    out = home / "out"
    found = {}
    for path in sorted([*out.glob("best/*.safetensors"), newest(out), out / "outputs.safetensors"]):
        arrays = load_file(path)
        found[path.name] = {name: _digest(arrays[name].tobytes()) for name in sorted(arrays)}
    report = json.loads((out / "report.json").read_text())
    found["metrics"] = report["metrics"], report["floors"], report["best"]["val_loss"]
    found["decision"] = json.loads((out / "best/decision.json").read_text())
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    found["records"] = [{k: v for k, v in r.items() if k != "seconds"} for r in records]
    for path in out.glob("export/*/variables/variables.data-00000-of-00001"):
        found[f"export {path.parts[-3]}"] = _digest(path.read_bytes())
    found["files"] = sorted(
        {normal(str(path.relative_to(home))) for path in home.rglob("*") if path.is_file()}
    )
    return found


def newest(out):
    return sorted((out / "checkpoints").glob("step-*.safetensors"))[-1]


def state(home):
    """Returns what a process that begins now would find: names, kinds, contents.

    Of what has a temporary name it is the name alone: nobody reads it, it is removed by its name.
    """
    rows = set()
    for path in home.rglob("*"):
        parts = path.relative_to(home).parts
        hidden = next((place for place, part in enumerate(parts) if TEMPORARY.search(part)), None)
        if hidden is not None:
            rows.add(normal("/".join(parts[: hidden + 1])))
            continue
        name = normal("/".join(parts))
        read = path.is_file() and not path.is_symlink() and not name.endswith("events")
        rows.add(f"{name} {path.lstat().st_mode:o} {_digest(path.read_bytes() if read else b'')}")
    return _digest("\n".join(sorted(rows)).encode())


def _digest(content):
    return hashlib.sha256(content).hexdigest()
