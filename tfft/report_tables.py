"""How a report's figures read: in words, and as tables for the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.metrics.ledger import tables as long_texts
from tfft.metrics.reliability import told as calibration_told

SHOWN_CLASSES = 20  # rows of a table on the terminal; the page and report.json hold all
SHOWN_SLICES = 8
NAMES = {
    "majority": "most frequent class",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "frozen_features_logistic_regression": "frozen features + logistic regression",
}
STRONGEST = "tfidf_logistic_regression"
METRICS = {  # the names that a person reads, in their order
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "weighted_f1": "weighted F1",
    "matthews_correlation": "Matthews",
    "roc_auc": "ROC area",
    "average_precision": "PR area",
    "log_loss": "log loss",
    "brier_score": "Brier",
    "expected_calibration_error": "calibration error",
}
STANDS = {
    "below": "below the whole",
    "above": "above the whole",
    "within": "not told apart",
    "too_few": "too few texts",
}
Table = tuple[str, list[str], list[list[str]]]


def number(value: float | None) -> str:
    """Returns a figure as a person reads it; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def share(entry: Mapping[str, Any]) -> str:
    """Returns a figure with its interval."""
    if "low" not in entry:
        return number(entry["value"])
    return f"{number(entry['value'])} ({number(entry['low'])} to {number(entry['high'])})"


def visible(text: str) -> str:
    """Returns a text whose control characters can be seen."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text)


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
    metrics = content["metrics"]
    found = [
        (
            f"Result: {answer(content)}",
            ["model", "accuracy (95 % interval)", "macro F1 (95 % interval)"],
            [
                [name, share(entry["accuracy"]), share(entry["macro_f1"])]
                for name, entry in models(content)
            ],
        ),
        _metric_table(metrics),
        _class_table(metrics["classes"]),
        _confusion_table(metrics["confusion_matrix"], content["labels"]),
    ]
    found += long_texts(content.get("ledger") or {})
    if content.get("slices"):
        found.append(_slice_table(content["slices"]))
    if "frozen" in content:
        found.append(_frozen_table(content["frozen"]))
    if "seconds" in content:
        rows = [[phase, f"{value:.1f}"] for phase, value in content["seconds"].items()]
        rows.append(["all", f"{sum(content['seconds'].values()):.1f}"])
        found.append(("Seconds", ["phase", "seconds"], rows))
    return found


def _metric_table(metrics: Mapping[str, Any]) -> Table:
    known = [(title, metrics[key]) for key, title in METRICS.items() if key in metrics]
    rows = [
        [title, number(entry["value"]), number(entry.get("low")), number(entry.get("high"))]
        for title, entry in known
    ]
    return "Metrics", ["metric", "value", "95 % from", "to"], rows


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
    rows = [[pair["truth"], pair["predicted"], f"{pair['texts']:,}"] for pair in pairs]
    return "Most frequent confusions", ["truth", "predicted", "texts"], rows


def confusions(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> list[dict[str, Any]]:
    """Returns every kind of mistake, the most frequent first.

    Returns:
      `truth` and `predicted` by name, `texts`, and `share_of_truth`: of the texts of that class.
    """
    counts = np.asarray(matrix)
    support = counts.sum(1)
    found = [
        {
            "truth": labels[row],
            "predicted": labels[column],
            "texts": int(counts[row, column]),
            "share_of_truth": float(counts[row, column] / support[row]),
        }
        for row, column in np.argwhere(counts)
        if row != column
    ]
    return sorted(found, key=lambda pair: -pair["texts"])


def _slice_table(slices: Sequence[Mapping[str, Any]]) -> Table:
    rows = [
        [
            row["by"],
            row["value"],
            f"{row['texts']:,}",
            share(row["accuracy"]),
            STANDS[row["stands"]],
        ]
        for row in slices[:SHOWN_SLICES]
    ]
    title = f"Slices (the worst {len(rows)} of {len(slices)})"
    return title, ["by", "slice", "texts", "accuracy (95 % interval)", "stands"], rows


def _frozen_table(frozen: Mapping[str, Any]) -> Table:
    rows = [
        ["frozen", f"{frozen['parameters']:,}", ", ".join(frozen["groups"]) or "nothing"],
        ["trained", f"{frozen['trainable_parameters']:,}", f"{frozen['trainable_share']:.1%}"],
    ]
    return "What was frozen", ["", "parameters", "groups"], rows


def remarks(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns sentences that follow from the figures, by what they are about.

    Keys: `fitting`, `calibration`, `resamples`, `ranking`, `slices`; "" stands where there are no
    figures.
    """
    metrics = content["metrics"]
    calibration, slices = metrics.get("calibration"), content.get("slices")
    ranked = [entry["label"] for entry in content.get("ranking") or ()]
    return {
        "fitting": content.get("fitting", {}).get("sentence", ""),
        "calibration": calibration_told(calibration) if calibration else "",
        "resamples": _resamples_told(metrics) if "resamples" in metrics else "",
        "ranking": _ranking_told(ranked, metrics["classes"]) if ranked else "",
        "slices": _slices_told(slices) if slices else "",
    }


def _resamples_told(metrics: Mapping[str, Any]) -> str:
    text = "Intervals hold 95 %: Wilson's for accuracy, 1,000 bootstrap resamples of the texts for "
    if metrics["resamples"] < 1000:
        text += (
            f"F1 and Matthews, {metrics['resamples']:,} for the rest, fewer because there are so "
        )
        text += "many texts and classes"
    else:
        text += "the rest"
    if not metrics["areas_resampled"]:
        text += "; the areas have none, which would take minutes"
    return f"{text}. They say what other texts could give, not what another seed could."


def _ranking_told(drawn: Sequence[str], classes: Mapping[str, Mapping[str, Any]]) -> str:
    """Says which classes have a curve."""
    known = [row["support"] for row in classes.values() if row["roc_auc"] is not None]
    if len(classes) == 2:
        which = "second of two equally frequent" if known[0] == known[1] else "rarer of two"
        text = f"The curves are those of {visible(drawn[0])}, the {which} classes"
    elif len(drawn) < len(known):
        text = f"The curves are those of the {len(drawn)} of {len(classes)} classes with the "
        text += "lowest PR area, the lowest first, each against the rest"
    else:
        text = "The curves are those of each class against the rest"
    return f"{text}. Behind the name stands the area."


def _slices_told(slices: Sequence[Mapping[str, Any]]) -> str:
    judged = [row for row in slices if row["stands"] != "too_few"]
    below = sum(row["stands"] == "below" for row in judged)
    text = (
        "No slice is below the accuracy on all texts by more than its interval"
        if not below
        else f"{below} of {len(judged)} slices {'is' if below == 1 else 'are'} below the accuracy "
        "on all texts by more than their interval"
    )
    chance = len(judged) * 0.025
    if below and chance >= 0.5:
        text += f"; among {len(judged)}, about {chance:.0f} would be by chance alone"
    return text + "."
