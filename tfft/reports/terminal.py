"""What a run prints when it ends: metrics, calibration, comparisons."""

from __future__ import annotations

from typing import Any

from tfft.reports import comparison
from tfft.reports.tables import tables


def show_calibration(content: dict[str, Any], say: Any) -> None:
    """Prints what `described` returned."""
    temperature, threshold = content.get("temperature"), content.get("threshold")
    if temperature:
        rows = [
            [name, *(f"{temperature[name][key]:.4f}" for key in temperature["before"])]
            for name in ("before", "after")
        ]
        title = f"Calibration: temperature {temperature['value']:.3f}"
        say.table(title, ["", "log loss", "expected calibration error"], rows, result=True)
    if threshold:
        if not threshold["reached"]:
            say.warn(f"the threshold does not reach its aim: {threshold_line(threshold)}")
        else:
            say.result(threshold_line(threshold))


def threshold_line(found: dict[str, Any]) -> str:
    """Returns a threshold in one sentence."""
    asked = f" {found['asked']:g}" if found.get("asked") else ""
    figures = ", ".join(
        f"{name} {'–' if found[name] is None else format(found[name], '.3f')}"
        for name in ("precision", "recall", "f1")
    )
    return (
        f"{found['label']!r} above a probability of {found['value']:.4f}, chosen for "
        f"{found['aim']}{asked} on the validation split ({figures} there)"
    )


def show_comparisons(content: dict[str, Any], say: Any) -> None:
    """Prints what a report says of its decision and its comparisons."""
    show_calibration(content, say)
    if content.get("comparisons"):
        say.table(*comparison.difference_table(content["comparisons"], content), result=True)


def show_report(content: dict[str, Any], say: Any) -> None:
    """Prints the tables of a report."""
    for key in ("unfinished", "data_changed"):
        if content.get(key):
            say.result(f"note: {content[key]}")
    for table in tables(content):
        say.table(*table, result=True)
