"""SIGTERM in each phase of a run: it ends in time, says how to go on, and the run goes on."""

import re
import signal
import sys

import file_operations
import forks
import pytest

CHILD = """
import importlib, os, sys, threading, time
import tensorflow as tf
from tfft.cli.main import command

tf.config.run_functions_eagerly(True)
number, place, *words = sys.argv[1:]
module, _, name = place.partition(":")
owner = importlib.import_module(module)
*path, last = name.split(".")
for part in path:
    owner = getattr(owner, part)
plain = getattr(owner, last)

def send():
    time.sleep(0.2)
    sent.append(time.monotonic())
    os.kill(os.getpid(), int(number))

def slow(*arguments, **settings):
    if not sent:
        threading.Thread(target=send).start()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.01)
    return plain(*arguments, **settings)

sent = []
setattr(owner, last, slow)
status = command(words)
print(f"{time.monotonic() - sent[0]:.2f} seconds" if sent else "not reached")
sys.exit(status)
"""
TRAIN, EXPORT = file_operations.TRAIN.split(), file_operations.EXPORT.split()
# In the order of a run: each goes on in the folder of the one before it.
PHASES = {
    "reading": ("tfft.data.sources.files:validate", TRAIN),
    "fingerprints": ("tfft.runs.workdir_state:described", TRAIN),
    "encoding": ("tfft.training.split_encoder:encode", TRAIN),
    "features": ("tfft.training.feature_cache.cache:Features._compute", TRAIN),
    "preparing": ("tfft.runs.trainer:prepare", TRAIN),
    "a batch": ("tfft.training.checkpointing:Recorder.on_epoch_begin", TRAIN),
    "validation": ("tfft.training.checkpointing:Recorder.on_test_begin", TRAIN),
    "the freeze proof": ("tfft.runs.trainer:prove_freeze", TRAIN),
    "calibration": ("tfft.evaluation.inference:predict", TRAIN),
    "evaluation": ("tfft.evaluation.inference:outputs_of", TRAIN),
    "baselines": ("tfft.runs.run_baselines:floors_of", TRAIN),
    "report": ("tfft.reports.report:build", TRAIN),
    "page": ("tfft.reports.report:page", TRAIN),
    "export": ("tfft.export.saved_model:tf.saved_model.save", EXPORT),
    "comparison": ("tfft.export.saved_model:_fresh_process", EXPORT),
}


@pytest.mark.slow
def test_every_phase_can_be_stopped(tmp_path):
    home = file_operations.make_home(tmp_path / "home")
    env = {**forks.os.environ, "TFFT_STORE": str(home / "store")}
    for phase, (place, words) in PHASES.items():
        if phase == "export":
            assert file_operations.run(home).returncode == 0
        command = [sys.executable, "-c", CHILD, str(int(signal.SIGTERM)), place, *words]
        done = forks.run(command, cwd=home, env=env)
        assert done.returncode == 128 + signal.SIGTERM, (phase, done.stdout, done.stderr)
        again = "continue" if words == TRAIN else "start again"
        assert f"tfft: stopped. To {again}: tfft {' '.join(words)}" in done.stderr, phase
        assert "Traceback" not in done.stderr, phase
        seconds = float(re.search(r"([\d.]+) seconds", done.stdout)[1])
        assert seconds < 2, (phase, seconds)
        assert file_operations.temporary_files(home) == [], phase
    whole = file_operations.make_home(tmp_path / "whole")
    assert file_operations.run(whole).returncode == 0
    assert file_operations.results(home) == file_operations.results(whole)
