"""The result of a run in one sentence: the metric beside the strongest baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfft.baselines.base import floor_name


def main_name(content: Mapping[str, Any]) -> str:
    """Returns what a person calls the main figure."""
    return content["shown"][content["main"]]


def verdict(figure: Mapping[str, float], baseline: str, value: float, lower: bool = False) -> str:
    """Returns a comparison of the model's metric with a baseline's, given the model's interval.

    Args:
      figure: `value` of the model, and `low` and `high` if it has an interval.
      baseline: its name.
      value: the metric of the baseline.
      lower: whether a smaller value is better.
    """
    named = f"{baseline} ({number(value)})"
    if figure["value"] == value:
        return f"equal to {named}"
    side = "better than" if (figure["value"] < value) == lower else "worse than"
    if "low" not in figure:
        return f"{side} {named}"
    if figure["low"] <= value <= figure["high"]:
        return f"{side} {named}, but the interval includes that value"
    return f"{side} {named} by more than the interval"


def strongest(content: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]] | None:
    """Returns the floor that is hardest to beat by the main figure, and its name in a sentence.

    Of equal floors it is the last one; None stands where no floor has the figure.
    """
    main = content["main"]
    sign = -1 if main in content["lower"] else 1
    known = [
        (sign * entry[main]["value"], place, name, entry)
        for place, (name, entry) in enumerate(content["floors"].items())
        if entry.get(main, {}).get("value") is not None
    ]
    if not known:
        return None
    _, _, name, entry = max(known, key=lambda each: each[:2])
    return floor_name(name).replace(" + ", " with "), entry


def answer(content: Mapping[str, Any]) -> str:
    """Returns the run's result in one sentence, without its full stop."""
    main = content["main"]
    figure, floor = content["metrics"][main], strongest(content)
    where = f" on the {content['split']} split" if content.get("split") else ""
    text = f"{main_name(content)} {share(figure)}{where}"
    if floor is None or figure["value"] is None:
        return text
    name, entry = floor
    lower = main in content["lower"]
    note = " (lower is better)" if lower else ""
    return f"{text}{note}: {verdict(figure, name, entry[main]['value'], lower)}"


def number(value: float | None) -> str:
    """Returns a figure as a person reads it; a dash where there is none."""
    return "–" if value is None else f"{value:.3f}"


def share(entry: Mapping[str, Any]) -> str:
    """Returns a figure with its interval."""
    if "low" not in entry:
        return number(entry["value"])
    return f"{number(entry['value'])} ({number(entry['low'])} to {number(entry['high'])})"
