"""Pairs, ratios, the accuracy check, and where results are written."""

from __future__ import annotations

import dataclasses
import json
import math
import pathlib
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from typing import Any

import psutil

FOLDER = pathlib.Path(__file__).parent
RESULTS, RAW = FOLDER / "RESULTS.md", FOLDER / "results"
PACKAGES = ("tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy", "torch", "transformers")
HEADER = """# Results

Each row is the latest run of `python -m benchmarks NAME`; the raw figures are in
`results/NAME.json`. The ratio is ours over the other side's, above 1 is faster; median and range
over the pairs.

| name | ratio | low | high | pairs | reach | date | commit | machine | size |
|---|---|---|---|---|---|---|---|---|---|
"""


@dataclasses.dataclass(frozen=True)
class Score:
    """How many of how many examples were right."""

    right: int
    total: int

    @property
    def share(self) -> float:
        return self.right / self.total

    def __str__(self) -> str:
        return f"{self.share:.3f}"


@dataclasses.dataclass
class Outcome:
    """What a benchmark found.

    Attributes:
      ratios: one a pair.
      faults: why the figure does not count; empty when it does.
      details: JSON-able raw figures.
    """

    ratios: list[float]
    faults: list[str] = dataclasses.field(default_factory=list)
    details: dict[str, Any] = dataclasses.field(default_factory=dict)


def last_line(name: str, ratios: Sequence[float]) -> str:
    """Returns the line that ends a benchmark: median and range."""
    return (
        f"{name} ratio={statistics.median(ratios):.3f} low={min(ratios):.3f} "
        f"high={max(ratios):.3f} pairs={len(ratios)}"
    )


def interleave(
    ours: Callable[[int], float], theirs: Callable[[int], float], pairs: int
) -> list[tuple[float, float]]:
    """Runs both sides in turn, each first in every other pair; returns their figures by pair.

    Args:
      ours, theirs: from the number of the pair to seconds (or another cost).
    """
    found, began = [], time.monotonic()
    for number in range(pairs):
        order = (ours, theirs) if number % 2 == 0 else (theirs, ours)
        costs = {side: side(number) for side in order}
        found.append((costs[ours], costs[theirs]))
        spent = time.monotonic() - began
        left = spent / (number + 1) * (pairs - number - 1)
        note(
            f"pair {number + 1} of {pairs}: {costs[ours]:.4g} s against {costs[theirs]:.4g} s, "
            f"ratio {costs[theirs] / costs[ours]:.2f}; about {left:.0f} s left"
        )
    return found


def note(line: str) -> None:
    """Shows progress."""
    print(line, file=sys.stderr, flush=True)


def accuracy_fault(ours: Sequence[Score], theirs: Sequence[Score]) -> str | None:
    """Says when our accuracy is below theirs by more than the 95 % interval of the difference.

    The pairs are summed: each is a training of its own, judged on the same examples.
    """
    n = ours[0].total
    one, two = (statistics.fmean(score.share for score in side) for side in (ours, theirs))
    spread = sum(statistics.pvariance([score.share for score in side]) for side in (ours, theirs))
    error = math.sqrt(one * (1 - one) / n + two * (1 - two) / n + spread / len(ours))
    print(
        f"accuracy: ours {one:.3f}, theirs {two:.3f}, 95 % interval of the difference "
        f"+-{1.96 * error:.3f}, on {n} examples"
    )
    if one < two - 1.96 * error:
        return f"our accuracy {one:.3f} is below theirs {two:.3f} beyond the interval"
    return None


def commit() -> str:
    """Returns the commit that is checked out, with a plus when files are changed."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], capture_output=True, text=True, cwd=FOLDER)
        return done.stdout.strip()

    changed = git("status", "--porcelain", "--untracked-files=no", "--", "..", ":!.")
    return (git("rev-parse", "--short", "HEAD") or "none") + ("+" if changed else "")


def machine() -> dict[str, Any]:
    """Returns the processor, memory and versions."""
    model = platform.processor() or platform.machine()
    cpu = pathlib.Path("/proc/cpuinfo")
    flags: list[str] = []
    for line in cpu.read_text().splitlines() if cpu.exists() else ():
        if line.startswith("model name"):
            model = line.split(":")[1].strip()
        if line.startswith("flags"):
            flags = [f for f in ("avx2", "avx512f", "amx_tile") if f in line.split()]
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return {
        "processor": f"{model} ({', '.join(flags)})",
        "cores": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
        "versions": versions,
    }


def write(name: str, reach: float, outcome: Outcome, quick: bool) -> None:
    """Writes the raw figures and the row of the table."""
    found, day = machine(), time.strftime("%Y-%m-%d")
    content = {
        "name": name,
        "reach": reach,
        "ratio": statistics.median(outcome.ratios),
        "quick": quick,
        "date": day,
        "commit": commit(),
        "machine": found,
        **dataclasses.asdict(outcome),
    }
    RAW.mkdir(exist_ok=True)
    (RAW / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    rows = {}
    for line in RESULTS.read_text().splitlines() if RESULTS.exists() else ():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 10 and cells[0] not in ("name", "---"):
            rows[cells[0]] = line
    rows[name] = (
        f"| {name} | {statistics.median(outcome.ratios):.2f} | {min(outcome.ratios):.2f} "
        f"| {max(outcome.ratios):.2f} | {len(outcome.ratios)} | {reach:g} | {day} | {commit()} "
        f"| {found['processor']}, {found['cores']} cores | {'quick' if quick else 'full'} |"
    )
    RESULTS.write_text(HEADER + "\n".join(rows[key] for key in sorted(rows)) + "\n")
