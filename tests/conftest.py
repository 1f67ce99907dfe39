"""Settings that every test shares."""

import gc
import os
import sys
import tempfile
import types

import forks
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# No test reads what another run has kept.
os.environ["TFFT_STORE"] = tempfile.mkdtemp(prefix="tfft-store-")
# Two test processes share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# TensorFlow's graphs are many objects, of which each full collection visits all.
gc.set_threshold(50_000, 20, 20)


def pytest_configure(config):
    config.addinivalue_line("markers", "fetched: needs `tfft fetch minilm_l6 movie_reviews`")


@pytest.fixture(autouse=True)
def fresh_processes(monkeypatch):
    """Exports are loaded by a process that has imported TensorFlow before."""
    if export := sys.modules.get("tfft.export"):

        def run(command, **given):
            return forks.run(command, modules=forks.TENSORFLOW, **given)

        monkeypatch.setattr(export, "subprocess", types.SimpleNamespace(run=run))
