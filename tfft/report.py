"""A run's figures as report.json, as a page to look at, and as tables for the terminal."""

from __future__ import annotations

import importlib.resources
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.metrics.ledger import tables as long_texts

SCHEMA = 1
SHOWN_MISTAKES = 20
LONGEST_TEXT = 1000  # characters of a mistake that are kept
SHOWN_CLASSES = 20  # rows of a table on the terminal; the page and report.json hold all
BARS = 40
NAMES = {
    "majority": "most frequent class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
}
STRONGEST = "tfidf_logistic_regression"
Table = tuple[str, list[str], list[list[str]]]


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
    """
    content = {
        "schema": SCHEMA,
        "task": task,
        "backbone": backbone,
        "data": data,
        "labels": list(labels),
        "split": split,
        "answer": "",
        "metrics": dict(metrics),
        "floors": dict(floors),
        "frozen": frozen_throughout(stages),
        "stages": list(stages),
        "truncation": dict(truncation),
        "ledger": dict(ledger or {}),
        "sequence_length": sequence_length,
        "lengths": {name: histogram(rows, sequence_length) for name, rows in lengths.items()},
        "mistake_count": int((outputs.argmax(-1) != truth).sum()),
        "mistakes": _mistakes(truth, outputs, texts, labels),
        "curves": list(curves),
        "best": best,
        "seconds": dict(seconds),
        "notes": list(notes),
        "seed": seed,
        "machine": dict(machine),
        "command": command,
    }
    content["answer"] = answer(content)
    return plain(content)


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


def _mistakes(
    truth: np.ndarray, outputs: np.ndarray, texts: Sequence[str], labels: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the mistakes of which the model was surest, those first."""
    predicted = outputs.argmax(-1)
    wrong = np.flatnonzero(predicted != truth)
    surest = wrong[np.argsort(-outputs[wrong].max(-1), kind="stable")][:SHOWN_MISTAKES]
    return [
        {
            "text": texts[row][:LONGEST_TEXT],
            "characters_left_out": max(0, len(texts[row]) - LONGEST_TEXT),
            "truth": labels[truth[row]],
            "predicted": labels[predicted[row]],
            "probability": float(outputs[row].max()),
            "probability_of_truth": float(outputs[row, truth[row]]),
        }
        for row in surest
    ]


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
    """Writes report.html and, last, report.json with `write_file(path, text)`."""
    folder = pathlib.Path(folder)
    write_file(folder / "report.html", page(content))
    text = json.dumps(plain(content), indent=1, ensure_ascii=False, allow_nan=False)
    write_file(folder / "report.json", text + "\n")


def number(value: float | None) -> str:
    """Returns a figure as a person reads it; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def share(entry: Mapping[str, float]) -> str:
    """Returns a figure with its interval."""
    if "low" not in entry:
        return number(entry["value"])
    return f"{number(entry['value'])} ({number(entry['low'])} to {number(entry['high'])})"


def verdict(accuracy: Mapping[str, float], floor: float) -> str:
    """Says how an accuracy stands to a floor's, given its interval."""
    if accuracy["low"] > floor:
        return "above it by more than the interval"
    if accuracy["high"] < floor:
        return "below it by more than the interval"
    side = "above" if accuracy["value"] > floor else "not above"
    return f"{side} it, and the interval holds both"


def answer(content: Mapping[str, Any]) -> str:
    """Returns the run's result in one sentence, without its full stop."""
    accuracy = content["metrics"]["accuracy"]
    where = f" on the {content['split']} split" if content.get("split") else ""
    text = f"accuracy {share(accuracy)}{where}"
    floor = content["floors"].get(STRONGEST)
    if floor is None:
        return text
    value = floor["accuracy"]["value"]
    name = "TF-IDF with logistic regression"
    return f"{text}; {name} reaches {number(value)}: {verdict(accuracy, value)}"


def models(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns this model and the floors, by the names that a person reads."""
    floors = [(NAMES.get(name, name), entry) for name, entry in content["floors"].items()]
    return [("this model", content["metrics"]), *floors[::-1]]


def tables(content: Mapping[str, Any]) -> list[Table]:
    """Returns what the terminal shows: title, columns and rows of each table.

    Args:
      content: of report.json, or as little of it as metrics, floors and labels.
    """
    found = [
        (
            f"Result: {answer(content)}",
            ["model", "accuracy (95 % interval)", "macro F1 (95 % interval)"],
            [
                [name, share(entry["accuracy"]), share(entry["macro_f1"])]
                for name, entry in models(content)
            ],
        ),
        _class_table(content["metrics"]["classes"]),
        _confusion_table(content["metrics"]["confusion_matrix"], content["labels"]),
    ]
    found += long_texts(content.get("ledger") or {})
    if "frozen" in content:
        found.append(_frozen_table(content["frozen"]))
    if "seconds" in content:
        rows = [[phase, f"{value:.1f}"] for phase, value in content["seconds"].items()]
        rows.append(["all", f"{sum(content['seconds'].values()):.1f}"])
        found.append(("Seconds", ["phase", "seconds"], rows))
    return found


def _class_table(classes: Mapping[str, Mapping[str, Any]]) -> Table:
    title, shown = "Per class", list(classes.items())
    if len(shown) > SHOWN_CLASSES:
        shown = sorted(shown, key=lambda entry: entry[1]["f1"] or 0.0)[:SHOWN_CLASSES]
        title += f" (the {SHOWN_CLASSES} of {len(classes)} with the lowest F1)"
    rows = [
        [name, *(number(row[key]) for key in ("precision", "recall", "f1")), f"{row['support']:,}"]
        for name, row in shown
    ]
    return title, ["class", "precision", "recall", "F1", "texts"], rows


def _confusion_table(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Table:
    """Returns the matrix, or its most frequent mistakes where it is too wide for a terminal."""
    if len(labels) <= SHOWN_CLASSES // 2:
        rows = [
            [name, *(f"{count:,}" for count in row)]
            for name, row in zip(labels, matrix, strict=True)
        ]
        return "Confusion matrix (rows: truth)", ["", *labels], rows
    pairs = confusions(matrix, labels)[:SHOWN_CLASSES]
    rows = [[truth, predicted, f"{count:,}"] for truth, predicted, count in pairs]
    return "Most frequent confusions", ["truth", "predicted", "texts"], rows


def confusions(
    matrix: Sequence[Sequence[int]], labels: Sequence[str]
) -> list[tuple[str, str, int]]:
    """Returns truth, prediction and count of every kind of mistake, the most frequent first."""
    found = [
        (labels[row], labels[column], int(count))
        for (row, column), count in np.ndenumerate(np.array(matrix))
        if row != column and count
    ]
    return sorted(found, key=lambda entry: -entry[2])


def _frozen_table(frozen: Mapping[str, Any]) -> Table:
    rows = [
        ["frozen", f"{frozen['parameters']:,}", ", ".join(frozen["groups"]) or "nothing"],
        ["trained", f"{frozen['trainable_parameters']:,}", f"{frozen['trainable_share']:.1%}"],
    ]
    return "What was frozen", ["", "parameters", "groups"], rows


def visible(text: str) -> str:
    """Returns a text whose control characters can be seen."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text)


def page(content: Mapping[str, Any]) -> str:
    """Returns report.html: one file that needs nothing else."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "count": lambda value: f"{value:,}",
        "visible": visible,
    }
    template = importlib.resources.files("tfft").joinpath("report.html.jinja").read_text("utf-8")
    return environment.from_string(template).render(
        content=content,
        answer=answer(content),
        models=models(content),
        confusions=confusions(content["metrics"]["confusion_matrix"], content["labels"])[:10],
        pictures=_pictures(content),
        long_texts=long_texts(content.get("ledger") or {}),
        longest_phase=max([*content["seconds"].values(), 1e-9]),
    )


def _pictures(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns inline SVG by name; a picture without figures is left out."""
    from tfft import plots

    named = [(name, entry["accuracy"]) for name, entry in models(content)]
    found = {
        "comparison": plots.comparison(named, "Accuracy"),
        "confusion": plots.confusion(content["metrics"]["confusion_matrix"], content["labels"]),
    }
    for name in ("loss", "accuracy"):
        if any(record.get(name) is not None for record in content["curves"]):
            found[name] = plots.curves(content["curves"], name, content["best"])
    train = content["lengths"].get("train")
    if train and train["texts"]:
        found["lengths"] = plots.lengths(train, content.get("sequence_length"), "training")
    return {name: visible(svg) for name, svg in found.items()}
