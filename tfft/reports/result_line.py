"""The result of a run in one sentence: the metric beside the strongest baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfft.baselines.base import floor_name

Content = Mapping[str, Any]  # of report.json, or a part of it
Rows = Sequence[Content]


def main_name(content: Content) -> str:
    """Returns the title of the main metric."""
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
    is_within = figure["low"] <= value <= figure["high"]
    end = ", but the interval includes that value" if is_within else " by more than the interval"
    return f"{side} {named}{end}"


def strongest(content: Content) -> tuple[str, Content] | None:
    """Returns the baseline that is hardest to beat by the main metric, with its name in a sentence.

    Of equal baselines it is the last one; None stands where no baseline has the metric.
    """
    main, floors = content["main"], content["floors"]
    sign = -1 if main in content["lower"] else 1
    values = {name: entry.get(main, {}).get("value") for name, entry in floors.items()}
    known = {name: sign * value for name, value in values.items() if value is not None}
    if not known:
        return None
    name = max(reversed(known), key=known.__getitem__)
    return floor_name(name).replace(" + ", " with "), floors[name]


def answer(content: Content) -> str:
    """Returns the run's result in one sentence, without its full stop."""
    main = content["main"]
    metric, baseline = content["metrics"][main], strongest(content)
    where = f" on the {content['split']} split" if content.get("split") else ""
    text = f"{main_name(content)} {share(metric)}{where}"
    if baseline is None or metric["value"] is None:
        return text
    name, entry = baseline
    lower = main in content["lower"]
    note = " (lower is better)" if lower else ""
    return f"{text}{note}: {verdict(metric, name, entry[main]['value'], lower)}"


def number(value: float | None) -> str:
    """Returns a value with three decimals; a dash for None."""
    return "–" if value is None else f"{value:.3f}"


def share(entry: Content) -> str:
    """Returns the value of a metric with its interval."""
    if "low" not in entry:
        return number(entry["value"])
    return f"{number(entry['value'])} ({number(entry['low'])} to {number(entry['high'])})"
