"""Trains the recipes of configs/recipes on the movie reviews and writes docs/recipes.md.

All but `small_data`, for which `benchmarks.checks small` has a table of its own on the page.

Each run is the command that a person would type, in a process of its own with an empty store; the
test split is evaluated once a run. A run that is done stands in `benchmarks/results/recipes.json`
and is not made again: remove its entry for that.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.harness import FOLDER, RAW, commit, machine, note

ROOT = FOLDER.parent
RUNS, PAGE = ROOT / "runs/recipes", ROOT / "docs/recipes.md"
KEPT = RAW / "recipes.json"
HEAD = """# Recipes, measured

Every file of `configs/recipes` on the movie reviews with MiniLM-L6: {train:,} training,
{validation:,} validation and {test:,} test sentences; TF-IDF with logistic regression has
{floor:.3f}. A recipe follows a config and replaces its stages, with your own data as well:

    tfft train --gin_file=quick/text.gin --gin_file=recipes/lora.gin \\
      --gin.DATA=reviews.csv --workdir=out

`make results` makes this page (`.venv/bin/python -m benchmarks.recipes NAME --seeds=5` for one of
them). CPU seconds are those of the whole command with the first seed, start and report included;
memory is the process' peak; the share of the weights that is trained is the largest of the
recipe's stages. Accuracy is on the test split: with its 95 % interval, or the mean over several
seeds (sd).

| recipe | when | accuracy | seeds | CPU seconds | trained | memory |
|---|---|---|---|---|---|---|
"""


def train(name: str, seed: int) -> dict[str, Any]:
    """Returns what a recipe's run came to and what it cost, from the results when it is there."""
    known = results()
    for entry in known["runs"]:
        if (entry["recipe"], entry["seed"]) == (name, seed):
            return entry
    folder = RUNS / f"{name}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)  # what is left of another run would be continued
    command = [
        *(sys.executable, "-m", "tfft", "train", "--quiet", f"--seed={seed}"),
        *("--gin_file=results/movie_reviews.gin", f"--gin_file=recipes/{name}.gin"),
        f"--workdir={folder}",
    ]
    with tempfile.TemporaryDirectory() as store:
        environment = {**os.environ, "TFFT_STORE": store, "TF_CPP_MIN_LOG_LEVEL": "3"}
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=None
        )
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command[2:])} ended with status {status >> 8}")
    report = json.loads((folder / "report.json").read_text())
    where = machine()
    entry = {
        "recipe": name,
        "seed": seed,
        "accuracy": report["metrics"]["accuracy"],
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_gib": usage.ru_maxrss / 2**20,
        "trained": max(_share(stage) for stage in report["stages"]),
        "commit": commit(),
        "machine": f"{where['processor']}, {where['cores']} cores",
    }
    runs = sorted([*known["runs"], entry], key=lambda run: (run["recipe"], run["seed"]))
    data = {split: cut["texts"] for split, cut in report["truncation"].items()}
    data["floor"] = report["floors"]["tfidf_logistic_regression"]["accuracy"]["value"]
    if known["runs"] and known["data"] != data:
        raise SystemExit(f"{KEPT} holds runs on other splits: move it aside to measure all again")
    KEPT.write_text(json.dumps({"data": data, "runs": runs}, indent=1) + "\n")
    return entry


def results() -> dict[str, Any]:
    """Returns the runs that are done, and what they were evaluated on."""
    return json.loads(KEPT.read_text()) if KEPT.exists() else {"data": {}, "runs": []}


def header(name: str, word: str) -> str:
    """Returns what a recipe's header says after a word."""
    lines = (ROOT / f"configs/recipes/{name}.gin").read_text().split("\n\n")[0]
    found = re.search(rf"^# {word} +(.*(?:\n#    .*)*)", lines, re.M)
    return " ".join((found[1] if found else "").replace("\n#", " ").split())


def row(name: str, runs: list[dict[str, Any]]) -> str:
    """Returns a recipe's row of the table."""
    shares = [run["accuracy"]["value"] for run in runs]
    if len(shares) > 1:
        accuracy = f"{statistics.fmean(shares):.3f} (sd {statistics.stdev(shares):.3f})"
    else:
        found = runs[0]["accuracy"]
        accuracy = f"{found['value']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
    first = runs[0]
    # Runs that were measured before 2026-11-30 have seconds of the clock alone.
    seconds = f"{first['cpu_seconds']:.0f}" if "cpu_seconds" in first else "–"
    cost = f"{seconds} | {100 * first['trained']:.3g} %"
    return (
        f"| `{name}` | {header(name, 'when')} | {accuracy} | {len(runs)} "
        f"| {cost} | {first['peak_gib']:.1f} GiB |"
    )


def _share(stage: dict[str, Any]) -> float:
    return sum(g["trainable"] for g in stage["groups"]) / sum(
        g["parameters"] for g in stage["groups"]
    )


def write() -> None:
    """Writes the page from all runs that are done."""
    known, done = results(), collections.defaultdict(list)
    for run in known["runs"]:
        done[run["recipe"]].append(run)
    rows = [row(name, runs) for name, runs in done.items()]
    commits, machines = (
        ", ".join(sorted({run[key] for run in known["runs"]})) for key in ("commit", "machine")
    )
    checks = RAW / "checks.json"
    small = json.loads(checks.read_text()).get("small") if checks.exists() else None
    rows += few(small) if small else []
    foot = f"{time.strftime('%Y-%m-%d')}; {machines}; commits {commits}."
    PAGE.write_text(HEAD.format(**known["data"]) + "\n".join(rows) + f"\n\n{foot}\n")
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
    known = sorted(path.stem for path in pathlib.Path(ROOT, "configs/recipes").glob("*.gin"))
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
            run = train(name, seed)
            note(f"{name}, seed {seed}: {run['accuracy']['value']:.4f}")
            write()


if __name__ == "__main__":
    main(sys.argv[1:])
