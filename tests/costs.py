"""Where the time of a test run goes, and what its tests assert: a plugin of pytest, and its table.

    PYTHONPATH=tests pytest -p costs --costs=FOLDER -o enable_assertion_pass_hook=true ... tests
    python tests/costs.py FOLDER              # the table of one run
    python tests/costs.py BEFORE AFTER        # two runs, a line for each test file

Seconds are CPU seconds of the test process and of the processes that it waited for, so that other
work on the machine does not count. Assertions are those that passed; a pass counts each time.
"""

from __future__ import annotations

import collections
import json
import os
import pathlib
import resource
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

now = time.monotonic  # a test may replace it
PHASES = ("setup", "call", "teardown")


def cpu_seconds() -> float:
    """Returns the CPU seconds of this process and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


class Costs:
    """Adds up what tests and fixtures cost in one process, and writes it when the run ends."""

    def __init__(self, folder: pathlib.Path):
        self.folder = folder
        self.tests: dict[str, dict[str, float]] = collections.defaultdict(
            lambda: dict.fromkeys((*PHASES, "wall", "assertions"), 0.0)
        )
        self.fixtures: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
        self._inner = [0.0]  # seconds of the fixtures that the one being set up has requested

    def _timed(self, item: pytest.Item, phase: str) -> Iterator[None]:
        cpu, wall = cpu_seconds(), now()
        result = yield
        self.tests[item.nodeid][phase] += cpu_seconds() - cpu
        self.tests[item.nodeid]["wall"] += now() - wall
        return result

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item):
        return (yield from self._timed(item, "setup"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item):
        return (yield from self._timed(item, "call"))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item):
        return (yield from self._timed(item, "teardown"))

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef):
        began = cpu_seconds()
        self._inner.append(0.0)
        try:
            return (yield)
        finally:
            spent, inner = cpu_seconds() - began, self._inner.pop()
            self._inner[-1] += spent
            name = f"{fixturedef.baseid}::{fixturedef.argname} ({fixturedef.scope})"
            self.fixtures[name][0] += 1
            self.fixtures[name][1] += spent - inner

    def pytest_assertion_pass(self, item):
        self.tests[item.nodeid]["assertions"] += 1

    def pytest_sessionfinish(self):
        if self.tests:
            self.folder.mkdir(parents=True, exist_ok=True)
            found = {"tests": self.tests, "fixtures": self.fixtures}
            path = self.folder / f"{os.environ.get('PYTEST_XDIST_WORKER', 'main')}.json"
            path.write_text(json.dumps(found))


def pytest_addoption(parser):
    parser.addoption("--costs", type=pathlib.Path, help="folder for the costs of tests, as JSON")


def pytest_configure(config):
    if config.option.costs:
        config.pluginmanager.register(Costs(config.option.costs.absolute()))


def load(folder: str) -> dict[str, Any]:
    """Returns the costs of all processes of a run."""
    tests: dict[str, dict[str, float]] = {}
    fixtures: dict[str, list[float]] = collections.defaultdict(lambda: [0, 0.0])
    for path in pathlib.Path(folder).glob("*.json"):
        found = json.loads(path.read_text())
        tests |= found["tests"]
        for name, (times, seconds) in found["fixtures"].items():
            fixtures[name][0] += times
            fixtures[name][1] += seconds
    return {"tests": tests, "fixtures": fixtures}


def by_file(tests: dict[str, dict[str, float]]) -> dict[str, collections.Counter[str]]:
    """Returns the sums of each test file, the most expensive first."""
    files: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    for name, costs in tests.items():
        files[name.partition("::")[0]].update({"tests": 1, **costs})
    return dict(sorted(files.items(), key=lambda each: -spent(each[1])))


def spent(costs: dict[str, float]) -> float:
    return sum(costs[phase] for phase in PHASES)


def table(run: dict[str, Any], most: int = 25) -> list[str]:
    """Returns a run's costs by file, fixture and test, as Markdown: the most expensive of each."""
    lines = ["| file | tests | assertions | set up, s | call, s | all, s |", "|" + "---|" * 6]
    files = list(by_file(run["tests"]).items())
    others = sum((costs for _, costs in files[most:]), collections.Counter())
    total = sum((costs for _, costs in files), collections.Counter())
    rows = [*files[:most], (f"{len(files) - most} others", others), ("all", total)]
    for name, costs in rows if len(files) > most else [*files, ("all", total)]:
        lines.append(
            f"| {name} | {costs['tests']:.0f} | {costs['assertions']:.0f} | {costs['setup']:.1f} "
            f"| {costs['call']:.1f} | {spent(costs):.1f} |"
        )
    lines += ["", "| fixture | times | s, without those that it requests |", "|---|---|---|"]
    dear = sorted(run["fixtures"].items(), key=lambda each: -each[1][1])[:most]
    lines += [f"| {name} | {times} | {seconds:.1f} |" for name, (times, seconds) in dear]
    lines += ["", "| test | s |", "|---|---|"]
    tests = sorted(run["tests"].items(), key=lambda each: -spent(each[1]))[:most]
    return lines + [f"| {name} | {spent(costs):.1f} |" for name, costs in tests]


def compared(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Returns a line for each file: tests, assertions and seconds of two runs."""
    lines = ["| file | tests | assertions | s |", "|---|---|---|---|"]
    old, new = by_file(before["tests"]), by_file(after["tests"])
    none: collections.Counter[str] = collections.Counter()
    for name in sorted({*old, *new}):
        a, b = old.get(name, none), new.get(name, none)
        lines.append(
            f"| {name} | {a['tests']:.0f} -> {b['tests']:.0f} "
            f"| {a['assertions']:.0f} -> {b['assertions']:.0f} "
            f"| {spent(a):.1f} -> {spent(b):.1f} |"
        )
    return lines


if __name__ == "__main__":
    runs = [load(folder) for folder in sys.argv[1:]]
    print("\n".join(table(runs[0]) if len(runs) == 1 else compared(*runs)))
