"""A run's figures as report.json, with a page to look at and a model card beside it.

The content is made here; `report_tables` puts it in words and tables, `report_page` on the page,
`report_card` in the card.
"""

from __future__ import annotations

import collections
import json
import math
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.metrics.fitting import fitting
from tfft.metrics.ranking import ranking
from tfft.metrics.slices import OWN, slice_rows
from tfft.report_card import card
from tfft.report_page import page
from tfft.report_tables import answer, confusions

SCHEMA = 2
SHOWN_EXAMPLES = 20
LONGEST_TEXT = 1000  # characters of an example that are kept
MOST_PAIRS = 100  # kinds of mistakes
BARS = 40


def build(
    *,
    task: str,
    labels: Sequence[str],
    split: str,
    metrics: Mapping[str, Any],
    floors: Mapping[str, Any],
    truth: np.ndarray,
    outputs: np.ndarray,
    texts: Sequence[str],
    lengths: Mapping[str, np.ndarray],
    truncation: Mapping[str, Mapping[str, int]],
    stages: Sequence[Mapping[str, Any]],
    curves: Sequence[Mapping[str, Any]],
    best: Mapping[str, Any] | None,
    seconds: Mapping[str, float],
    notes: Sequence[str],
    machine: Mapping[str, Any],
    seed: int,
    command: str,
    ledger: Mapping[str, Any] | None = None,
    backbone: str | None = None,
    data: str | None = None,
    sequence_length: int | None = None,
    groups: Mapping[str, Sequence[str]] | None = None,
    constant_loss: float | None = None,
    more: Mapping[str, Any] | None = None,
    predicted: np.ndarray | None = None,
) -> dict[str, Any]:
    """Returns the content of report.json, JSON-able; docs/report.md describes it.

    Args:
      task: its name.
      labels: the class names, in the order of the outputs.
      split: the one that was evaluated.
      metrics: what `classification_metrics` returns.
      floors: the same for each floor, by its name.
      truth: class numbers, int [n].
      outputs: probabilities, float [n c].
      texts: the evaluated texts, n of them.
      lengths: tokens of each text before the cut, int [n], per split.
      truncation: texts, cut_texts, tokens and cut_tokens, per split.
      stages: name, groups (group, parameters, trainable) and freeze proof of each.
      curves: the records of metrics.jsonl, one an epoch.
      best: the record whose weights were evaluated.
      seconds: per phase.
      notes: what a person should know of the data and the weights.
      machine: versions, devices and git commit.
      seed: of the run.
      command: that repeats it.
      ledger: what was cut, see `metrics.ledger`.
      backbone, data: the names of the body and of the source.
      sequence_length: tokens that are kept of a text.
      groups: for each grouping a value for each of the n texts, see `tfft.metrics.slices`.
      constant_loss: see `tfft.metrics.fitting`.
      more: further keys, as they are; the page has sections for those that it knows.
      predicted: class numbers, int [n]; None for the most probable ones.
    """
    predicted = outputs.argmax(-1) if predicted is None else predicted
    frozen = frozen_throughout(stages)
    content = {
        "schema": SCHEMA,
        "task": task,
        "backbone": backbone,
        "data": data,
        "labels": list(labels),
        "split": split,
        "answer": "",
        "trainable_share": frozen["trainable_share"],
        "metrics": dict(metrics),
        "floors": dict(floors),
        "ranking": ranking(truth, outputs, labels, metrics["classes"]),
        "slices": slice_rows(groups or {}, predicted == truth),
        "frozen": frozen,
        "stages": list(stages),
        "truncation": dict(truncation),
        "ledger": dict(ledger or {}),
        "sequence_length": sequence_length,
        "lengths": {name: histogram(rows, sequence_length) for name, rows in lengths.items()},
        "confusions": confusions(metrics["confusion_matrix"], labels)[:MOST_PAIRS],
        **_examples(truth, predicted, outputs, texts, labels),
        "curves": list(curves),
        "fitting": fitting(curves, constant_loss),
        "best": best,
        "seconds": dict(seconds),
        "notes": list(notes),
        "seed": seed,
        "machine": dict(machine),
        "command": command,
        **(more or {}),
    }
    content["answer"] = answer(content)
    return plain(content)


def covers(content: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> bool:
    """Says whether a report that exists is of this schema and sliced as is asked now."""
    asked = {
        (name, value): count
        for name, values in groups.items()
        if len(set(values)) > 1
        for value, count in collections.Counter(values).items()
    }
    told = {
        (row["by"], row["value"]): row["texts"]
        for row in content.get("slices", ())
        if row["by"] not in OWN
    }
    return content.get("schema") == SCHEMA and asked == told


def frozen_throughout(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what no stage trained, and how much was trained in some stage.

    Where stages train different weights of one group, the larger number counts for it.
    """
    rows: dict[str, list[int]] = {}
    for stage in stages:
        for row in stage["groups"]:
            trained = rows.setdefault(row["group"], [row["parameters"], 0])
            trained[1] = max(trained[1], row["trainable"])
    total = sum(parameters for parameters, _ in rows.values())
    trained_in_all = sum(trained for _, trained in rows.values())
    return {
        "groups": [group for group, (parameters, trained) in rows.items() if not trained],
        "parameters": total - trained_in_all,
        "trainable_parameters": trained_in_all,
        "trainable_share": trained_in_all / total if total else 0.0,
    }


def histogram(lengths: np.ndarray, limit: int | None = None) -> dict[str, Any]:
    """Returns counts of texts by length, in bars of a whole number of tokens each.

    The bars end where 99.5 % of the texts do, or behind `limit`; `longer` counts the rest.
    """
    if not len(lengths):
        return {"texts": 0, "counts": [], "edges": [], "longer": 0}
    longest = int(lengths.max())
    end = max(math.ceil(np.percentile(lengths, 99.5)), min(longest, limit or 0)) + 1
    width = max(1, math.ceil(end / BARS))
    edges = np.arange(0, end + width, width)
    counts = np.histogram(lengths[lengths < edges[-1]], edges)[0]
    median, p95 = np.percentile(lengths, [50, 95])
    return {
        "texts": len(lengths),
        "median": float(median),
        "p95": float(p95),
        "longest": longest,
        "counts": counts.tolist(),
        "edges": edges.tolist(),
        "longer": len(lengths) - int(counts.sum()),
    }


def _examples(
    truth: np.ndarray,
    predicted: np.ndarray,
    outputs: np.ndarray,
    texts: Sequence[str],
    labels: Sequence[str],
) -> dict[str, Any]:
    """Returns the mistakes of which the model was surest, and the texts it was least certain of.

    The latter are those with the smallest margin between the two likeliest classes.
    """
    wrong = np.flatnonzero(predicted != truth)
    surest = wrong[np.argsort(-outputs[wrong, predicted[wrong]], kind="stable")][:SHOWN_EXAMPLES]
    two = np.partition(outputs, -2, axis=-1)[:, -2:]
    margins = np.abs(two[:, 1] - two[:, 0])
    unsure = np.argsort(margins, kind="stable")[:SHOWN_EXAMPLES]

    def rows(numbers: np.ndarray) -> list[dict[str, Any]]:
        return [
            {
                "text": texts[row][:LONGEST_TEXT],
                "characters_left_out": max(0, len(texts[row]) - LONGEST_TEXT),
                "truth": labels[truth[row]],
                "predicted": labels[predicted[row]],
                "probability": float(outputs[row, predicted[row]]),
                "probability_of_truth": float(outputs[row, truth[row]]),
                "margin": float(margins[row]),
            }
            for row in numbers
        ]

    return {"mistake_count": len(wrong), "mistakes": rows(surest), "least_certain": rows(unsure)}


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: Python's numbers, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write(
    folder: str | os.PathLike[str],
    content: Mapping[str, Any],
    write_file: Callable[[pathlib.Path, str], None],
) -> None:
    """Writes report.html, report.md and, last, report.json with `write_file(path, text)`."""
    folder = pathlib.Path(folder)
    write_file(folder / "report.html", page(content))
    write_file(folder / "report.md", card(content))
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(folder / "report.json", text + "\n")
