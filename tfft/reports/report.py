"""A run's figures as report.json, with a page to look at and a model card beside it.

The content is made here; `tables` puts it in words and tables, `html_page` on the page,
`model_card` in the card.
"""

from __future__ import annotations

import collections
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.inputs import modality_of
from tfft.evaluation.fit_diagnosis import fitting
from tfft.evaluation.slices import OWN, slice_rows
from tfft.evaluation.stored_predictions import SCHEMA
from tfft.reports.html_page import page
from tfft.reports.model_card import card
from tfft.reports.printable import portable, without_folder
from tfft.reports.result_line import answer

BARS = 40


def build(
    *,
    task: Any,
    examples: Any,
    outputs: Any,
    sums: Mapping[str, np.ndarray],
    metrics: Mapping[str, Any],
    floors: Mapping[str, Any],
    split: str,
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
) -> dict[str, Any]:
    """Returns the content of report.json, JSON-able; docs/report.md describes it.

    Args:
      task: the Task, with its calibration.
      examples: those that were evaluated, n `Examples`.
      outputs: of the model on them.
      sums: what the evaluator's `main_terms` returns of them.
      metrics: what the evaluator's `evaluate` returns of them.
      floors: the same for each floor, by its name.
      split: the one that was evaluated.
      lengths: tokens of each text before the cut, int [n], per split; none where nothing has any.
      truncation: texts, cut_texts, tokens and cut_tokens, per split.
      stages: name, groups (group, parameters, trainable) and freeze proof of each.
      curves: the records of metrics.jsonl, one an epoch.
      best: the record whose weights were evaluated.
      seconds: per phase.
      notes: what a person should know of the data and the weights.
      machine: versions, devices and git commit.
      seed: of the run.
      command: that repeats it.
      ledger: what was cut, see `metrics.ledger`, and as `figure` what its `on_cut` returns.
      backbone, data: the names of the body and of the source.
      sequence_length: tokens that are kept of a text; None where nothing has tokens.
      groups: for each grouping a value for each of the n examples, see `tfft.evaluation.slices`.
      constant_loss: see `tfft.evaluation.fit_diagnosis`.
      more: further keys, as they are; the page has sections for those that it knows.
    """
    frozen = frozen_throughout(stages)
    evaluator, naming = task.build_evaluator(), named(task)
    lower = naming["main"] in naming["lower"]
    shown = evaluator.report_examples(examples, outputs)
    if any(each.holds_files for each in task.inputs):  # the examples are paths
        shown = without_folder(shown, data)
    content = {
        "schema": SCHEMA,
        "task": task.name,
        "backbone": portable(backbone),
        "data": portable(data, data),
        "split": split,
        "answer": "",
        **naming,
        "trainable_share": frozen["trainable_share"],
        "metrics": metrics,
        "floors": floors,
        **evaluator.report_details(examples, outputs),
        "slices": slice_rows(groups or {}, evaluator.aggregate, sums, lower),
        "own_slices": sorted({*OWN, *evaluator.slices(examples)}),
        "frozen": frozen,
        "stages": stages,
        "truncation": truncation,
        "ledger": ledger or {},
        "sequence_length": sequence_length,
        "lengths": {name: histogram(rows, sequence_length) for name, rows in lengths.items()},
        **shown,
        "curves": curves,
        "fitting": fitting(curves, constant_loss),
        "best": best,
        "seconds": seconds,
        "notes": portable(list(notes), data),
        "seed": seed,
        "machine": machine,
        "command": command,
        **(more or {}),
    }
    content["answer"] = answer(content)
    return plain(content)


def named(task: Any) -> dict[str, Any]:
    """Returns how the metrics of a task are read.

    Returns:
      `main`, the key of the main metric; `shown`, titles by key; `lower`, the keys of those of
      which less is better; and `unit`, what an example is.
    """
    metrics = task.build_evaluator().metrics
    return {
        "unit": modality_of(task.inputs),
        "main": metrics[0].key,
        "shown": {metric.key: metric.title for metric in metrics},
        "lower": sorted(metric.key for metric in metrics if not metric.greater_is_better),
    }


def covers(content: Mapping[str, Any], groups: Mapping[str, Sequence[str]]) -> bool:
    """Returns True if a stored report is of this schema and has the slices of `groups`."""
    if content.get("schema") != SCHEMA:
        return False
    requested = {
        (name, value): count
        for name, values in groups.items()
        if len(set(values)) > 1
        for value, count in collections.Counter(values).items()
    }
    stored = {
        (row["by"], row["value"]): row["texts"]
        for row in content["slices"]
        if row["by"] not in content["own_slices"]
    }
    return requested == stored


def frozen_throughout(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the groups that no stage trained, and the number of weights that some stage trained.

    Where stages train different weights of one group, the larger number counts for it.
    """
    rows = [row for stage in stages for row in stage["groups"]]
    total = sum({row["group"]: row["parameters"] for row in reversed(rows)}.values())
    trainable: dict[str, int] = {}
    for row in rows:
        trainable[row["group"]] = max(trainable.get(row["group"], 0), row["trainable"])
    trained = sum(trainable.values())
    return {
        "groups": [group for group, count in trainable.items() if not count],
        "parameters": total - trained,
        "trainable_parameters": trained,
        "trainable_share": trained / total if total else 0.0,
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


def plain(value: Any) -> Any:
    """Returns a value as JSON can hold it: Python's numbers, None for NaN and infinity."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_pages(
    content: Mapping[str, Any], write_file: Callable[[str, str], None], plots: bool = True
) -> None:
    """Writes report.html and report.md with `write_file(name, text)`.

    Args:
      content: of report.json.
      plots: whether report.html has plots beside its tables.
    """
    write_file("report.html", page(content, plots))
    write_file("report.md", card(content))
