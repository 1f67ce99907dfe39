"""report.html: one page that needs no network and no other file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfft.data.truncation import tables as long_texts
from tfft.reports.highlighted_spans import pieces
from tfft.reports.result_line import answer, main_name, strongest
from tfft.reports.tables import (
    STANDS,
    class_columns,
    models,
    remarks,
    sentence,
    visible,
    worded,
    worse,
)
from tfft.reports.templates import template

SHOWN_SLICES = 12  # on the page without unfolding
SHOWN_PAIRS = 10


def page(content: Mapping[str, Any], plots: bool = True) -> str:
    """Returns report.html, with its plots or with tables alone."""
    return template("report.html.jinja").render(
        content=content,
        answer=answer(content),
        main=content["metrics"][content["main"]],
        main_name=main_name(content),
        models=models(content),
        remarks=remarks(content),
        pieces=pieces,
        long_texts=long_texts(content.get("ledger") or {}, main_name(content)),
        class_columns=worded(class_columns(content["metrics"]), content),
        stands=worded(STANDS, content),
        worse=worse(content),
        floor=strongest(content),
        shown_slices=SHOWN_SLICES,
        shown_pairs=SHOWN_PAIRS,
        slice_ends=_ends(content),
        plots=plots,
        pictures=_pictures(content) if plots else {},
        longest_phase=max([*content["seconds"].values(), 1e-9]),
    )


def _ends(content: Mapping[str, Any]) -> tuple[float, float]:
    """Returns between which figures the slices are drawn: 0 and 1 where all are."""
    figures = [content["metrics"][content["main"]], *(row["figure"] for row in content["slices"])]
    known = [entry for entry in figures if entry["value"] is not None]
    low = min((entry.get("low", entry["value"]) for entry in known), default=0.0)
    high = max((entry.get("high", entry["value"]) for entry in known), default=1.0)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    return (low, high) if high > low else (low - 0.5, low + 0.5)


def _pictures(content: Mapping[str, Any]) -> dict[str, Any]:
    """Returns inline SVG by name, and `curves`, a list of it; what has no figures is left out."""
    from tfft.reports import plots

    metrics, main = content["metrics"], content["main"]
    named = [(name, entry[main]) for name, entry in models(content) if main in entry]
    named = [(name, entry) for name, entry in named if entry["value"] is not None]
    found: dict[str, Any] = {}
    if named:
        found["comparison"] = plots.comparison(named, sentence(main_name(content)))
    if "confusion_matrix" in metrics:
        found["confusion"] = plots.confusion(metrics["confusion_matrix"], content["labels"])
    if "calibration" in metrics:
        found["reliability"] = plots.reliability(metrics["calibration"])
    if ranked := content.get("ranking"):
        classes = metrics["classes"].items()
        found["roc"] = plots.roc(ranked, {name: row["roc_auc"] for name, row in classes})
        areas = {name: row["average_precision"] for name, row in classes}
        found["precision_recall"] = plots.precision_recall(ranked, areas)
    train = content["lengths"].get("train")
    if train and train["texts"]:
        found["lengths"] = plots.lengths(train, content.get("sequence_length"), "training")
    drawn = {name: visible(svg) for name, svg in found.items()}
    curves = [
        visible(plots.curves(content["curves"], name, content["best"]))
        for name in _curve_names(content)
    ]
    return {**drawn, **({"curves": curves} if curves else {})}


def _curve_names(content: Mapping[str, Any]) -> list[str]:
    """Returns what is drawn over the epochs: the loss, the main figure, and what is validated."""
    seen = dict.fromkeys(
        name
        for record in content["curves"]
        for name, value in record.items()
        if isinstance(value, int | float)
    )
    wanted = ["loss", *(name for name in seen if f"val_{name}" in seen), content["main"]]
    return [name for name in dict.fromkeys(wanted) if name in seen]
