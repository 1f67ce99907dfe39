"""Trains the recipes of configs/runs on the movie reviews and writes docs/recipes.md.

All but `small_data`, for which `benchmarks.checks small` has a table of its own on the page.

Each run is the command that a person would type, in a process of its own with an empty store; the
test split is evaluated once a run. A recipe that is done is not run again: remove its folder below
`runs/recipes` for that.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.harness import FOLDER, RAW, commit, machine, note

ROOT = FOLDER.parent
RUNS, PAGE = ROOT / "runs/recipes", ROOT / "docs/recipes.md"
HEAD = """# Recipes, measured

Every file of `configs/runs` on the movie reviews with MiniLM-L6: {train:,} training, {validation:,}
validation and {test:,} test sentences; TF-IDF with logistic regression has {floor:.3f}. A recipe
follows a config and replaces its stages, with your own data as well:

    tfft train --gin_file=quick/text.gin --gin_file=runs/lora.gin \\
      --gin.DATA=reviews.csv --workdir=out

`make results` makes this page (`.venv/bin/python -m benchmarks.recipes NAME --seeds=5` for one of
them). Seconds are those of the whole command with the first seed, start and report included;
memory is the process' peak; the share of the weights that is trained is the largest of the
recipe's stages. Accuracy is on the test split: with its 95 % interval, or the mean over several
seeds (sd).

| recipe | when | accuracy | seeds | seconds | trained | memory |
|---|---|---|---|---|---|---|
"""


def train(name: str, seed: int) -> dict[str, Any]:
    """Returns the report of a recipe's run and what it cost, from its folder when it is done."""
    folder = RUNS / f"{name}-{seed}"
    cost = folder / "cost.json"
    if not cost.exists():
        command = [
            *(sys.executable, "-m", "tfft", "train", "--quiet", f"--seed={seed}"),
            *("--gin_file=results/movie_reviews.gin", f"--gin_file=runs/{name}.gin"),
            f"--workdir={folder}",
        ]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as store:
            environment = {**os.environ, "TFFT_STORE": store, "TF_CPP_MIN_LOG_LEVEL": "3"}
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=None
            )
            _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"{' '.join(command[2:])} ended with status {status >> 8}")
        found = {
            "seconds": time.monotonic() - began,
            "peak_gib": usage.ru_maxrss / 2**20,
            "commit": commit(),
        }
        cost.write_text(json.dumps(found) + "\n")
    return {**json.loads((folder / "report.json").read_text()), **json.loads(cost.read_text())}


def header(name: str, word: str) -> str:
    """Returns what a recipe's header says after a word."""
    lines = (ROOT / f"configs/runs/{name}.gin").read_text().split("\n\n")[0]
    found = re.search(rf"^# {word} +(.*(?:\n#    .*)*)", lines, re.M)
    return " ".join((found[1] if found else "").replace("\n#", " ").split())


def row(name: str, reports: list[dict[str, Any]]) -> str:
    """Returns a recipe's row of the table."""
    shares = [report["metrics"]["accuracy"]["value"] for report in reports]
    if len(shares) > 1:
        accuracy = f"{statistics.fmean(shares):.3f} (sd {statistics.stdev(shares):.3f})"
    else:
        found = reports[0]["metrics"]["accuracy"]
        accuracy = f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
    seconds = reports[0]["seconds"]
    peak = max(report["peak_gib"] for report in reports)
    trained = max(_share(stage) for stage in reports[0]["stages"])
    return (
        f"| `{name}` | {header(name, 'when')} | {accuracy} | {len(reports)} | {seconds:.0f} "
        f"| {100 * trained:.3g} % | {peak:.1f} GiB |"
    )


def _share(stage: dict[str, Any]) -> float:
    return sum(g["trainable"] for g in stage["groups"]) / sum(
        g["parameters"] for g in stage["groups"]
    )


def write() -> None:
    """Writes the page from all runs that are done."""
    done: dict[str, list[dict[str, Any]]] = {}
    for cost in sorted(RUNS.glob("*/cost.json")):
        name, _, seed = cost.parent.name.rpartition("-")
        done.setdefault(name, []).append(train(name, int(seed)))
    rows = [row(name, reports) for name, reports in done.items()]
    first = next(iter(done.values()))[0]
    floor = first["floors"]["tfidf_logistic_regression"]["accuracy"]["value"]
    counts = {split: cut["texts"] for split, cut in first["truncation"].items()}
    commits = sorted({report["commit"] for reports in done.values() for report in reports})
    found = machine()
    checks = RAW / "checks.json"
    small = json.loads(checks.read_text()).get("small") if checks.exists() else None
    rows += few(small) if small else []
    foot = f"{time.strftime('%Y-%m-%d')}, {found['processor']}, {found['cores']} cores, commits "
    PAGE.write_text(
        HEAD.format(floor=floor, **counts) + "\n".join(rows) + f"\n\n{foot}{', '.join(commits)}.\n"
    )
    print("\n".join(rows))


def few(found: dict[str, Any]) -> list[str]:
    """Returns the lines about recipes on 500 sentences."""
    runs = found["runs"]
    names = [name for name in runs[0] if name != "seed"]
    values = {name: [run[name] for run in runs] for name in names}
    told = [
        f"| `{name}` | {statistics.fmean(each):.3f} | {statistics.stdev(each):.3f} |"
        for name, each in values.items()
    ]
    return [
        "",
        "`small_data` is for hundreds of texts and costs too much on thousands. On 500 training",
        f"and 200 validation sentences drawn by the seed, {len(runs)} seeds, {found['commit']}",
        f"(`.venv/bin/python -m benchmarks.checks small --seeds={len(runs)}`):",
        "",
        "| recipe | accuracy, mean | sd |",
        "|---|---|---|",
        *told,
    ]


def main(arguments: list[str]) -> None:
    """Trains what is missing, writes the page after each run."""
    known = sorted(path.stem for path in pathlib.Path(ROOT, "configs/runs").glob("*.gin"))
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recipes", description=__doc__)
    usual = [name for name in known if name != "small_data"]
    parser.add_argument("names", nargs="*", default=usual, help=", ".join(known))
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in known]
    if unknown:
        parser.error(f"there is no recipe {unknown[0]}; valid: {', '.join(known)}")
    for seed in range(options.seeds):
        for name in options.names:
            report = train(name, seed)
            accuracy = report["metrics"]["accuracy"]["value"]
            note(f"{name}, seed {seed}: {accuracy:.4f}, {report['seconds']:.0f} s")
            write()


if __name__ == "__main__":
    main(sys.argv[1:])
