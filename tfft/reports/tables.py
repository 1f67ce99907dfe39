"""The metrics of a report in words, and as tables for the terminal."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Mapping, Sequence

from tfft.baselines.base import floor_name
from tfft.data.truncation import tables as long_texts
from tfft.metrics.classification.class_metrics import confusions
from tfft.metrics.classification.reliability import told as calibration_told
from tfft.reports.result_line import Content, Rows, answer, main_name, number, share

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


def units(content: Content) -> str:
    """Returns what a person calls several examples."""
    return content.get("unit", "text") + "s"


def worded(sentences: Mapping[str, str], content: Content) -> dict[str, str]:
    """Returns sentences about texts as sentences about the unit of the examples."""
    return {key: text.replace("texts", units(content)) for key, text in sentences.items()}


def brief_keys(content: Content) -> list[str]:
    """Returns the figures of a short table: the first two, and the first of which less is better.

    Args:
      content: with `shown` and `lower`.
    """
    keys = list(content["shown"])
    losses = [key for key in keys[2:] if key in content["lower"]]
    return keys[:2] + losses[:1]


def models(content: Content) -> list[tuple[str, Content]]:
    """Returns this model and the floors, by the names that a person reads."""
    floors = [(floor_name(name), entry) for name, entry in content["floors"].items()]
    return [("this model", content["metrics"]), *floors[::-1]]


def tables(content: Content) -> list[Table]:
    """Returns what the terminal shows: title, columns and rows of each table.

    Args:
      content: of report.json, or as little of it as metrics, floors, what `report.named` returns
        and, for classes, labels.
    """
    unit = units(content)
    return [
        (title, [column.replace("texts", unit) for column in columns], rows)
        for title, columns, rows in _tables(content)
    ]


def _tables(content: Content) -> Iterator[Table]:
    metrics, shown, name = content["metrics"], content["shown"], main_name(content)
    keys = [key for key in list(shown)[:2] if key in metrics]
    rows = [
        [model, *(share(entry[key]) if key in entry else "–" for key in keys)]
        for model, entry in models(content)
    ]
    columns = ["model", *(f"{shown[key]} (95 % interval)" for key in keys)]
    yield f"Result: {answer(content)}", columns, rows
    known = [(title, metrics[key]) for key, title in shown.items() if key in metrics]
    rows = [[t, *(number(each.get(key)) for key in ("value", "low", "high"))] for t, each in known]
    yield "Metrics", ["metric", "value", "95 % from", "to"], rows
    if metrics.get("classes"):
        yield _class_table(metrics)
    if "confusion_matrix" in metrics:
        yield _confusion_table(metrics["confusion_matrix"], content["labels"])
    yield from long_texts(content.get("ledger") or {}, name)
    if slices := content.get("slices"):
        stands, worst = worded(STANDS, content), slices[:SHOWN_SLICES]
        rows = [
            [
                row["by"],
                row["value"],
                f"{row['texts']:,}",
                share(row["figure"]),
                stands[row["stands"]],
            ]
            for row in worst
        ]
        columns = ["by", "slice", "texts", f"{name} (95 % interval)", "stands"]
        yield f"Slices (the worst {len(rows)} of {len(slices)})", columns, rows
    if "frozen" in content:
        frozen = content["frozen"]
        trained = [f"{frozen['trainable_parameters']:,}", f"{frozen['trainable_share']:.1%}"]
        groups = ", ".join(frozen["groups"]) or "nothing"
        rows = [["frozen", f"{frozen['parameters']:,}", groups], ["trained", *trained]]
        yield "What was frozen", ["", "parameters", "groups"], rows
    if "seconds" in content:
        seconds = {**content["seconds"], "all": sum(content["seconds"].values())}
        rows = [[phase, f"{value:.1f}"] for phase, value in seconds.items()]
        yield "Seconds", ["phase", "seconds"], rows


def class_columns(metrics: Content, areas: bool = True) -> dict[str, str]:
    """Returns the titles of the metrics that some class has, by key; `areas` are for the page."""
    names = {"precision": "precision", "recall": "recall", "f1": "F1"}
    if areas:
        names |= {"roc_auc": "ROC area", "average_precision": "PR area"}
    # One label for each text makes the support a number of texts.
    names["support"] = "texts" if "confusion_matrix" in metrics else "support"
    rows = metrics.get("classes", {}).values()
    return {key: name for key, name in names.items() if any(key in row for row in rows)}


def _class_table(metrics: Content) -> Table:
    title, classes = "Per class", list(metrics["classes"].items())
    if len(classes) > SHOWN_CLASSES:
        title += f" (the {SHOWN_CLASSES} of {len(classes)} with the lowest F1)"
        classes = sorted(classes, key=lambda entry: entry[1].get("f1") or 0.0)[:SHOWN_CLASSES]
    columns = class_columns(metrics, areas=False)
    formats = {key: number for key in columns} | {"support": "{:,}".format}
    rows = [[name, *(formats[key](row.get(key)) for key in columns)] for name, row in classes]
    return title, ["class", *columns.values()], rows


def _confusion_table(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> Table:
    """Returns the matrix, or its most frequent mistakes where it is too wide for a terminal."""
    if len(labels) <= SHOWN_CLASSES // 2:
        named = zip(labels, matrix, strict=True)
        rows = [[name, *(f"{count:,}" for count in row)] for name, row in named]
        return "Confusion matrix (rows: truth)", ["", *labels], rows
    pairs = confusions(matrix, labels)[:SHOWN_CLASSES]
    rows = [[pair["truth"], pair["predicted"], f"{pair['texts']:,}"] for pair in pairs]
    return "Most frequent confusions", ["truth", "predicted", "texts"], rows


def remarks(content: Content) -> dict[str, str]:
    """Returns sentences that follow from the figures, by what they are about.

    Keys: `fitting`, `calibration`, `resamples`, `lower`, `ranking`, `slices`; "" stands where there
    are no figures.
    """
    metrics, shown = content["metrics"], content["shown"]
    calibration, slices = metrics.get("calibration"), content.get("slices")
    ranked = [entry["label"] for entry in content.get("ranking") or ()]
    lower = [name for key, name in shown.items() if key in content["lower"] and key in metrics]
    sentences = {
        "fitting": content.get("fitting", {}).get("sentence", ""),
        "calibration": calibration_told(calibration) if calibration else "",
        "resamples": _on_resamples(metrics, shown),
        "lower": f"Lower is better for {listed(lower)}." if lower else "",
        "ranking": _on_ranking(ranked, metrics["classes"]) if ranked else "",
        "slices": _on_slices(slices, main_name(content), worse(content)) if slices else "",
    }
    return worded(sentences, content)


def listed(names: Sequence[str]) -> str:
    """Returns names as a sentence lists them."""
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def worse(content: Content) -> str:
    """Returns the side on which a slice is worse than all examples, "below" or "above"."""
    return "above" if content["main"] in content["lower"] else "below"


def _on_resamples(metrics: Content, shown: Mapping[str, str]) -> str:
    if not any("low" in metrics.get(key, {}) for key in shown):
        return ""
    text, resamples = "shares of the texts, bootstrap", metrics.get("resamples")
    if resamples is not None:
        text = "accuracy, 1,000 bootstrap"
    text += " resamples of the texts for "
    if resamples is not None and resamples < 1000:
        text += f"F1 and Matthews, {resamples:,} for the rest, fewer because there are so many "
        text += "texts and classes"
    else:
        text += "the rest"
    if not metrics.get("areas_resampled", True):
        text += "; the areas have none, which would take minutes"
    return (
        f"Intervals hold 95 %: Wilson's for {text}. They say what other texts could give, not what "
        "another seed could."
    )


def _on_ranking(curves: Sequence[str], classes: Mapping[str, Content]) -> str:
    """Returns a sentence on the classes that have a curve."""
    supports = [row["support"] for row in classes.values() if row["roc_auc"] is not None]
    which = "each class against the rest"
    if len(classes) == 2:
        equal = supports[0] == supports[1]
        which = "second of two equally frequent" if equal else "rarer of two"
        which = f"{visible(curves[0])}, the {which} classes"
    elif len(curves) < len(supports):
        which = f"the {len(curves)} of {len(classes)} classes with the lowest PR area, the lowest "
        which += "first, each against the rest"
    return f"The curves are those of {which}. Behind the name stands the area."


def _on_slices(slices: Rows, metric: str, side: str) -> str:
    compared = [row for row in slices if row["stands"] != "too_few"]
    apart = sum(row["stands"] == side for row in compared)
    if not apart:
        return f"No slice is {side} the {metric} on all texts by more than its interval."
    text = f"{apart} of {len(compared)} slices {'is' if apart == 1 else 'are'} {side} the {metric} "
    text += "on all texts by more than their interval"
    chance = len(compared) * 0.025
    if chance >= 0.5:
        text += f"; among {len(compared)}, about {chance:.0f} would be by chance alone"
    return text + "."
