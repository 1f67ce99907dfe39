"""report.html: one page that needs no network and no other file."""

from __future__ import annotations

from typing import Any

from tfft.data.truncation import tables as long_texts
from tfft.reports import tables
from tfft.reports.highlighted_spans import pieces
from tfft.reports.result_line import Content, Rows, answer, main_name, strongest
from tfft.reports.templates import template

SHOWN_SLICES = 12  # on the page without unfolding
SHOWN_PAIRS = 10


def page(content: Content, plots: bool = True) -> str:
    """Returns report.html, with its plots or with tables alone."""
    return template("report.html.jinja").render(
        content=content,
        answer=answer(content),
        main=content["metrics"][content["main"]],
        main_name=main_name(content),
        models=tables.models(content),
        remarks=tables.remarks(content),
        pieces=pieces,
        long_texts=long_texts(content.get("ledger") or {}, main_name(content)),
        class_columns=tables.worded(tables.class_columns(content["metrics"]), content),
        stands=tables.worded(tables.STANDS, content),
        worse=tables.worse(content),
        floor=strongest(content),
        shown_slices=SHOWN_SLICES,
        shown_pairs=SHOWN_PAIRS,
        slice_ends=_ends(content),
        plots=plots,
        pictures=_pictures(content) if plots else {},
        longest_phase=max([*content["seconds"].values(), 1e-9]),
    )


def _ends(content: Content) -> tuple[float, float]:
    """Returns the ends of the axis of the slices: 0 and 1 where all values are between them."""
    entries = [content["metrics"][content["main"]], *(row["figure"] for row in content["slices"])]
    known = [entry for entry in entries if entry["value"] is not None]
    low = min((entry.get("low", entry["value"]) for entry in known), default=0.0)
    high = max((entry.get("high", entry["value"]) for entry in known), default=1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _pictures(content: Content) -> dict[str, Any]:
    """Returns inline SVG by name, and `curves`, a list of it; without values there is none."""
    from tfft.reports import plots

    metrics, main = content["metrics"], content["main"]
    named = [(name, entry[main]) for name, entry in tables.models(content) if main in entry]
    named = [(name, entry) for name, entry in named if entry["value"] is not None]
    pictures: dict[str, str] = {}
    if named:
        pictures["comparison"] = plots.comparison(named, tables.sentence(main_name(content)))
    if "confusion_matrix" in metrics:
        pictures["confusion"] = plots.confusion(metrics["confusion_matrix"], content["labels"])
    if "calibration" in metrics:
        pictures["reliability"] = plots.reliability(metrics["calibration"])
    if ranked := content.get("ranking"):
        classes = metrics["classes"].items()
        pictures["roc"] = plots.roc(ranked, {name: row["roc_auc"] for name, row in classes})
        areas = {name: row["average_precision"] for name, row in classes}
        pictures["precision_recall"] = plots.precision_recall(ranked, areas)
    train = content["lengths"].get("train")
    if train and train["texts"]:
        pictures["lengths"] = plots.lengths(train, content.get("sequence_length"), "training")
    records, best = content["curves"], content["best"]
    curves = [plots.curves(records, name, best) for name in _curve_names(records, main)]
    visible: dict[str, Any] = {name: tables.visible(svg) for name, svg in pictures.items()}
    return visible | ({"curves": list(map(tables.visible, curves))} if curves else {})


def _curve_names(records: Rows, main: str) -> list[str]:
    """Returns the curves over the epochs: the loss, the main metric, and the validated ones."""
    items = [item for record in records for item in record.items()]
    known = dict.fromkeys(name for name, value in items if isinstance(value, int | float))
    names = ["loss", *(name for name in known if f"val_{name}" in known), main]
    return [name for name in dict.fromkeys(names) if name in known]
