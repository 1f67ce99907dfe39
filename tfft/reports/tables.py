"""How a report's figures read: in words, and as tables for the terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.baselines.base import floor_name
from tfft.data.truncation import tables as long_texts
from tfft.metrics.classification.class_metrics import confusions
from tfft.metrics.classification.reliability import told as calibration_told
from tfft.reports.result_line import answer, main_name, number, share

SHOWN_CLASSES = 20  # rows of a table on the terminal; the page and report.json hold all
SHOWN_SLICES = 8
STANDS = {
    "below": "below the whole",
    "above": "above the whole",
    "within": "not told apart",
    "too_few": "too few texts",
}
Table = tuple[str, list[str], list[list[str]]]


def visible(text: str) -> str:
    """Returns a text whose control characters can be seen."""
    return re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "\N{REPLACEMENT CHARACTER}", text)


def cell(text: str) -> str:
    """Returns a text that stands in a line or a table of Markdown as it is, on one line."""
    tidy = " ".join(visible(str(text)).split())
    return re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", html.escape(tidy, quote=False))


def sentence(text: str) -> str:
    """Returns a name as it begins a line."""
    return text[:1].upper() + text[1:]


def units(content: Mapping[str, Any]) -> str:
    """Returns what a person calls several examples."""
    return content.get("unit", "text") + "s"


def worded(told: Mapping[str, str], content: Mapping[str, Any]) -> dict[str, str]:
    """Returns sentences about texts as sentences about what the examples are."""
    return {key: text.replace("texts", units(content)) for key, text in told.items()}


def brief_keys(content: Mapping[str, Any]) -> list[str]:
    """Returns the figures of a short table: the first two, and the first of which less is better.

    Args:
      content: with `shown` and `lower`.
    """
    keys = list(content["shown"])
    losses = [key for key in keys[2:] if key in content["lower"]]
    return keys[:2] + losses[:1]


def models(content: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Returns this model and the floors, by the names that a person reads."""
    floors = [(floor_name(name), entry) for name, entry in content["floors"].items()]
    return [("this model", content["metrics"]), *floors[::-1]]


def tables(content: Mapping[str, Any]) -> list[Table]:
    """Returns what the terminal shows: title, columns and rows of each table.

    Args:
      content: of report.json, or as little of it as metrics, floors, what `report.named` returns
        and, for classes, labels.
    """
    found = _tables(content)
    if units(content) == "texts":
        return found
    return [
        (title, [column.replace("texts", units(content)) for column in columns], rows)
        for title, columns, rows in found
    ]


def _tables(content: Mapping[str, Any]) -> list[Table]:
    metrics, shown = content["metrics"], content["shown"]
    keys = [key for key in list(shown)[:2] if key in metrics]
    found = [
        (
            f"Result: {answer(content)}",
            ["model", *(f"{shown[key]} (95 % interval)" for key in keys)],
            [
                [name, *(share(entry[key]) if key in entry else "–" for key in keys)]
                for name, entry in models(content)
            ],
        ),
        _metric_table(metrics, shown),
    ]
    if metrics.get("classes"):
        found.append(_class_table(metrics))
    if "confusion_matrix" in metrics:
        found.append(_confusion_table(metrics["confusion_matrix"], content["labels"]))
    found += long_texts(content.get("ledger") or {}, main_name(content))
    if content.get("slices"):
        stands = worded(STANDS, content)
        found.append(_slice_table(content["slices"], main_name(content), stands))
    if "frozen" in content:
        found.append(_frozen_table(content["frozen"]))
    if "seconds" in content:
        rows = [[phase, f"{value:.1f}"] for phase, value in content["seconds"].items()]
        rows.append(["all", f"{sum(content['seconds'].values()):.1f}"])
        found.append(("Seconds", ["phase", "seconds"], rows))
    return found


def class_columns(metrics: Mapping[str, Any]) -> dict[str, str]:
    """Returns the figures that some class has, and the names that a person reads."""
    names = {"precision": "precision", "recall": "recall", "f1": "F1"}
    names |= {"roc_auc": "ROC area", "average_precision": "PR area"}
    # One label for each text makes the support a number of texts.
    names["support"] = "texts" if "confusion_matrix" in metrics else "support"
    rows = metrics.get("classes", {}).values()
    return {key: name for key, name in names.items() if any(key in row for row in rows)}


def _metric_table(metrics: Mapping[str, Any], shown: Mapping[str, str]) -> Table:
    known = [(title, metrics[key]) for key, title in shown.items() if key in metrics]
    rows = [
        [title, number(entry["value"]), number(entry.get("low")), number(entry.get("high"))]
        for title, entry in known
    ]
    return "Metrics", ["metric", "value", "95 % from", "to"], rows


def _class_table(metrics: Mapping[str, Any]) -> Table:
    classes = metrics["classes"]
    title, shown = "Per class", list(classes.items())
    if len(shown) > SHOWN_CLASSES:
        shown = sorted(shown, key=lambda entry: entry[1].get("f1") or 0.0)[:SHOWN_CLASSES]
        title += f" (the {SHOWN_CLASSES} of {len(classes)} with the lowest F1)"
    columns = class_columns(metrics)
    areas = ("roc_auc", "average_precision")  # for the page
    columns = {key: name for key, name in columns.items() if key not in areas}
    rows = [
        [
            name,
            *(
                f"{row['support']:,}" if key == "support" else number(row.get(key))
                for key in columns
            ),
        ]
        for name, row in shown
    ]
    return title, ["class", *columns.values()], rows


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


def _slice_table(
    slices: Sequence[Mapping[str, Any]], figure: str, stands: Mapping[str, str]
) -> Table:
    rows = [
        [
            row["by"],
            row["value"],
            f"{row['texts']:,}",
            share(row["figure"]),
            stands[row["stands"]],
        ]
        for row in slices[:SHOWN_SLICES]
    ]
    title = f"Slices (the worst {len(rows)} of {len(slices)})"
    return title, ["by", "slice", "texts", f"{figure} (95 % interval)", "stands"], rows


def _frozen_table(frozen: Mapping[str, Any]) -> Table:
    rows = [
        ["frozen", f"{frozen['parameters']:,}", ", ".join(frozen["groups"]) or "nothing"],
        ["trained", f"{frozen['trainable_parameters']:,}", f"{frozen['trainable_share']:.1%}"],
    ]
    return "What was frozen", ["", "parameters", "groups"], rows


def remarks(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns sentences that follow from the figures, by what they are about.

    Keys: `fitting`, `calibration`, `resamples`, `lower`, `ranking`, `slices`; "" stands where there
    are no figures.
    """
    metrics, shown = content["metrics"], content["shown"]
    calibration, slices = metrics.get("calibration"), content.get("slices")
    ranked = [entry["label"] for entry in content.get("ranking") or ()]
    lower = [name for key, name in shown.items() if key in content["lower"] and key in metrics]
    told = {
        "fitting": content.get("fitting", {}).get("sentence", ""),
        "calibration": calibration_told(calibration) if calibration else "",
        "resamples": _resamples_told(metrics, shown),
        "lower": f"Lower is better for {listed(lower)}." if lower else "",
        "ranking": _ranking_told(ranked, metrics["classes"]) if ranked else "",
        "slices": _slices_told(slices, main_name(content), worse(content)) if slices else "",
    }
    return worded(told, content)


def listed(names: Sequence[str]) -> str:
    """Returns names as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def worse(content: Mapping[str, Any]) -> str:
    """Returns on which side of the whole a slice is worse, "below" or "above"."""
    return "above" if content["main"] in content["lower"] else "below"


def _resamples_told(metrics: Mapping[str, Any], shown: Mapping[str, str]) -> str:
    if not any("low" in metrics.get(key, {}) for key in shown):
        return ""
    if "resamples" not in metrics:
        return (
            "Intervals hold 95 %: Wilson's for shares of the texts, bootstrap resamples of the "
            "texts for the rest. They say what other texts could give, not what another seed could."
        )
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


def _slices_told(slices: Sequence[Mapping[str, Any]], figure: str, side: str) -> str:
    judged = [row for row in slices if row["stands"] != "too_few"]
    apart = sum(row["stands"] == side for row in judged)
    text = (
        f"No slice is {side} the {figure} on all texts by more than its interval"
        if not apart
        else f"{apart} of {len(judged)} slices {'is' if apart == 1 else 'are'} {side} the {figure} "
        "on all texts by more than their interval"
    )
    chance = len(judged) * 0.025
    if apart and chance >= 0.5:
        text += f"; among {len(judged)}, about {chance:.0f} would be by chance alone"
    return text + "."
