"""report.html: one page that needs no network and no other file."""

from __future__ import annotations

import importlib.resources
from collections.abc import Mapping
from typing import Any

from tfft.metrics.ledger import tables as long_texts
from tfft.report_tables import (
    METRICS,
    NAMES,
    STANDS,
    STRONGEST,
    answer,
    models,
    number,
    remarks,
    visible,
)

SHOWN_SLICES = 12  # on the page without unfolding
SHOWN_PAIRS = 10


def page(content: Mapping[str, Any]) -> str:
    """Returns report.html."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=FunctionLoader(_template),
    )
    environment.filters |= {
        "number": number,
        "count": lambda value: f"{value:,}",
        "visible": visible,
    }
    return environment.get_template("report.html.jinja").render(
        content=content,
        answer=answer(content),
        models=models(content),
        remarks=remarks(content),
        long_texts=long_texts(content.get("ledger") or {}),
        metric_names=METRICS,
        stands=STANDS,
        floor=content["floors"].get(STRONGEST),
        floor_name=NAMES[STRONGEST],
        shown_slices=SHOWN_SLICES,
        shown_pairs=SHOWN_PAIRS,
        pictures=_pictures(content),
        longest_phase=max([*content["seconds"].values(), 1e-9]),
    )


def _template(name: str) -> str:
    return importlib.resources.files("tfft").joinpath(name).read_text("utf-8")


def _pictures(content: Mapping[str, Any]) -> dict[str, str]:
    """Returns inline SVG by name; a picture without figures is left out."""
    from tfft import plots

    metrics = content["metrics"]
    named = [(name, entry["accuracy"]) for name, entry in models(content)]
    found = {
        "comparison": plots.comparison(named, "Accuracy"),
        "confusion": plots.confusion(metrics["confusion_matrix"], content["labels"]),
    }
    if "calibration" in metrics:
        found["reliability"] = plots.reliability(metrics["calibration"])
    if ranked := content.get("ranking"):
        classes = metrics["classes"].items()
        found["roc"] = plots.roc(ranked, {name: row["roc_auc"] for name, row in classes})
        areas = {name: row["average_precision"] for name, row in classes}
        found["precision_recall"] = plots.precision_recall(ranked, areas)
    for name in ("loss", "accuracy"):
        if any(record.get(name) is not None for record in content["curves"]):
            found[name] = plots.curves(content["curves"], name, content["best"])
    train = content["lengths"].get("train")
    if train and train["texts"]:
        found["lengths"] = plots.lengths(train, content.get("sequence_length"), "training")
    return {name: visible(svg) for name, svg in found.items()}
