"""Checks on real sentences: early stopping under wrong labels, rare classes at 1:20, few examples.

`python -m benchmarks.checks noisy`, `... rare` and `... small`; the figures go to
`benchmarks/results/checks.json`, those of `small` from there into docs/recipes.md, the others by
hand into docs/training.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import statistics
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import f1_score

import tfft
from benchmarks.harness import RAW, commit, note
from benchmarks.sides import minilm
from tfft.config.load import load
from tfft.data.sources.base import MemorySource
from tfft.data.sources.demo.movie_reviews import movie_reviews
from tfft.reports.console import Console
from tfft.training.early_stopping import EarlyStopping

Rows = list[tuple[str, str]]


def drawn(split: str, seed: int) -> Rows:
    """Returns a split's sentences and labels in an order of the seed's."""
    rows = list(movie_reviews().rows(split))
    return [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]


def source(name: str, **splits: Rows) -> MemorySource:
    parts = {
        key: ([text for text, _ in rows], [y for _, y in rows]) for key, rows in splits.items()
    }
    return MemorySource(name, parts)


def recipe(name: str) -> dict[str, Any]:
    """Returns the task and the stages of a recipe of configs/recipes."""
    config = load(["results/movie_reviews.gin", f"recipes/{name}.gin"])
    return config.kwargs(only=("task", "stages"))


def trained(data: MemorySource, stage: Any, seed: int, task: Any = None) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        found = tfft.train(
            task or tfft.tasks.TextClassification(),
            minilm("mean"),
            data,
            (stage,),
            seed=seed,
            workdir=folder,
            say=Console(quiet=True),
        )
        lines = pathlib.Path(folder, "metrics.jsonl").read_text().splitlines()
        return found, [json.loads(line) for line in lines]


def noisy(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """500 sentences, a fifth of the labels flipped: with early stopping, and the last epoch."""
    found = []
    for seed in seeds:
        rows, rng = drawn("train", seed), np.random.default_rng([seed, 1])
        names = sorted({label for _, label in rows})
        flipped = set(rng.permutation(500)[:100].tolist())
        train = [
            (text, names[1 - names.index(label)] if i in flipped else label)
            for i, (text, label) in enumerate(rows[:500])
        ]
        data = source(
            "noisy", train=train, validation=drawn("validation", 0), test=drawn("test", 0)
        )
        settings: dict[str, Any] = {"epochs": 15, "learning_rate": 2e-4, "freeze_layers": 4}
        entry: dict[str, Any] = {"seed": seed}
        for name, early_stopping in (
            ("stopped", EarlyStopping(patience=3)),
            ("last", EarlyStopping(monitor="loss")),
        ):
            stage = tfft.Stage(**settings, early_stopping=early_stopping)
            run, curves = trained(data, stage, seed)
            entry[name] = run.report["metrics"]["accuracy"]["value"]
            entry[f"{name}_epochs"] = len(curves)
            entry[f"{name}_used"] = run.report["best"]["epoch"]
        note(str(entry))
        found.append(entry)
    return found


def rare(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """One class at 1:20 in every split: the recipe `imbalanced` against the same stage without."""
    found = []
    for seed in seeds:
        splits = {}
        for split in ("train", "validation", "test"):
            rows = drawn(split, seed)
            seldom = sorted({label for _, label in rows})[0]
            many = [row for row in rows if row[1] != seldom]
            splits[split] = many + [row for row in rows if row[1] == seldom][: len(many) // 20]
        data = source("rare", **splits)
        entry: dict[str, Any] = {"seed": seed}
        made = recipe("imbalanced")
        [stage] = made["stages"]
        plain = dataclasses.replace(stage, early_stopping=EarlyStopping())
        whole = [row for row in movie_reviews().rows("test")]
        for name, each, task in (("plain", plain, None), ("imbalanced", stage, made["task"])):
            run, _ = trained(data, each, seed, task)
            entry[name] = run.report["metrics"]["macro_f1"]
            guesses = [answer["label"] for answer in run.predict([text for text, _ in whole])]
            truth = [label for _, label in whole]
            entry[f"{name}_even"] = float(f1_score(truth, guesses, average="macro"))
        note(str(entry))
        found.append(entry)
    return found


def small(seeds: Sequence[int]) -> list[dict[str, Any]]:
    """500 sentences to train on and 200 to validate: the recipe `small_data` beside others."""
    found = []
    for seed in seeds:
        data = source(
            "small",
            train=drawn("train", seed)[:500],
            validation=drawn("validation", seed)[:200],
            test=drawn("test", 0),
        )
        entry: dict[str, Any] = {"seed": seed}
        for name in ("small_data", "full", "freeze_lower", "head_only"):
            run, _ = trained(data, *recipe(name)["stages"], seed)
            entry[name] = run.report["metrics"]["accuracy"]["value"]
        note(str(entry))
        found.append(entry)
    return found


CHECKS = {"noisy": noisy, "rare": rare, "small": small}


def main() -> None:
    """Runs one check, prints means and spreads, and keeps the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checks", description=__doc__)
    parser.add_argument("name", choices=sorted(CHECKS))
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    entries = CHECKS[options.name](range(options.seeds))
    for key in entries[0]:
        values = [e[key]["value"] if isinstance(e[key], dict) else e[key] for e in entries]
        if key != "seed":
            spread = statistics.stdev(values) if len(values) > 1 else 0.0
            print(f"{options.name} {key}: mean {statistics.fmean(values):.4f} (sd {spread:.4f})")
    path = RAW / "checks.json"
    content = json.loads(path.read_text()) if path.exists() else {}
    content[options.name] = {"commit": commit(), "runs": entries}
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
