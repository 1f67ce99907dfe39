"""How good a model is on parts of the evaluated texts: where it fails, and how sure that is.

A grouping is a name and a value for each text, such as the year that it was written in. Each value
makes a slice.
"""

from __future__ import annotations

import collections
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import ConfigError, DataError
from tfft.metrics import aggregates
from tfft.metrics.confidence_intervals import Figure

Slicer = Callable[[str], str] | str
TOO_FEW = 30  # texts; fewer say nothing unless their interval leaves the whole's accuracy out
MOST_VALUES = 20  # of a grouping; more are quartiles when they are numbers, or the rarest merge
OWN = ("class", "length", "cut")  # names that a report's own groupings have
OTHERS = "other values"


def grouped(
    texts: Sequence[str],
    slices: Mapping[str, Slicer] | None,
    columns: Mapping[str, Sequence[str]] | None = None,
) -> dict[str, list[str]]:
    """Returns for each grouping a value for each text.

    Args:
      texts: n of them.
      slices: by name a function from a text to the name of its slice, or a regular expression:
        then the slices are the texts in which it is found ("yes") and the others ("no").
      columns: more groupings, with their n values.

    Raises:
      ConfigError: two groupings of one name, a broken regular expression, or a function that
        returns something other than a string, a whole number or True and False.
    """
    found: dict[str, list[str]] = {}
    for name, column in (columns or {}).items():
        _refuse_taken(name, found, "a column")
        found[name] = [value or "(empty)" for value in column]
    for name, slicer in (slices or {}).items():
        _refuse_taken(name, found, f"slices[{name!r}]")
        value_of = _matcher(name, slicer) if isinstance(slicer, str) else slicer
        found[name] = [_named(value_of(text), name) for text in texts]
    return {name: few_values(values) for name, values in found.items()}


def _refuse_taken(name: str, found: Mapping[str, Any], what: str) -> None:
    if name in found or name in OWN:
        raise ConfigError(
            f"{what} is called {name!r}, and so is another grouping of the report.",
            set_in=f"train.slices[{name!r}]",
            valid=f"a name of its own, none of {', '.join((*OWN, *found))}",
        )


def _matcher(name: str, pattern: str) -> Callable[[str], str]:
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise ConfigError(
            f"train.slices[{name!r}] = {pattern!r} is no regular expression: {error}.",
            set_in=f"train.slices[{name!r}]",
            valid="a regular expression, or a function from a text to the name of its slice",
        ) from error
    return lambda text: "yes" if search(text) else "no"


def _named(value: Any, name: str) -> str:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, str | int | np.integer):
        return str(value) or "(empty)"
    raise ConfigError(
        f"the function slices[{name!r}] returned {value!r}, a {type(value).__name__}.",
        set_in=f"train.slices[{name!r}]",
        valid="a string, a whole number, or True and False",
    )


def few_values(values: Sequence[str]) -> list[str]:
    """Returns the values with at most `MOST_VALUES` of them left.

    More than that become quartiles where all are numbers; otherwise the rarest become one.
    """
    counts = collections.Counter(values)
    if len(counts) <= MOST_VALUES:
        return list(values)
    try:
        numbers = np.array(values, float)
    except ValueError:
        numbers = np.array([np.nan])
    if np.isfinite(numbers).all():
        return quartiles(numbers)
    # The most frequent ones, by name where they are equally so: the same on every machine.
    kept = sorted(counts, key=lambda value: (-counts[value], value))[: MOST_VALUES - 1]
    return [value if value in kept else OTHERS for value in values]


def quartiles(numbers: np.ndarray, unit: str = "") -> list[str]:
    """Returns for each number the quarter that it is in, such as "12 to 30 tokens".

    Equal numbers are in one quarter, so that quarters of few distinct numbers differ in size, or
    are less than four.

    Raises:
      DataError: there is no number.
    """
    if not len(numbers):
        raise DataError("there is nothing to divide into quarters.", valid="one number or more")
    bounds = np.unique(np.quantile(numbers, [0.25, 0.5, 0.75], method="inverted_cdf"))
    place = np.searchsorted(bounds, numbers)  # a bound belongs to the quarter that it ends
    names = {}
    for quarter in np.unique(place):
        inside = numbers[place == quarter]
        low, high = f"{inside.min():.6g}", f"{inside.max():.6g}"
        names[quarter] = (low if low == high else f"{low} to {high}") + unit
    return [names[quarter] for quarter in place]


def encoded_groups(encoded: Any) -> dict[str, Sequence[str]]:
    """Returns the divisions that follow from tokens: by length, and by what was cut.

    Args:
      encoded: with `full_lengths` and `cut`, tokens of each text, int [n].
    """
    return {
        "length": quartiles(encoded.full_lengths, " tokens"),
        "cut": np.where(encoded.cut > 0, "cut", "whole").tolist(),
    }


def slice_rows(
    groups: Mapping[str, Sequence[str]], measure: str, sums: aggregates.Terms, lower: bool = False
) -> list[dict[str, Any]]:
    """Returns a figure on each slice, the worst first.

    Args:
      groups: for each grouping a value for each of the n texts; one value alone is no grouping.
      measure, sums: aggregate and terms of the figure, see `aggregates.prepare`.
      lower: whether less is better.

    Returns:
      `by`, `value`, `texts`, `figure` with its interval (see `aggregates.interval`), and how it
      `stands` to the figure on all texts: "below" or "above" where the interval leaves that out;
      "too_few" where it does not, or is a bootstrap interval, and there are less than 30 texts;
      else "within". Those that are surely worse come first, those with too few texts last; within
      these, the worst figure first, and undefined ones last.
    """
    whole = aggregates.value(measure, sums)
    rows = []
    for name, values in groups.items():
        distinct, place = np.unique(np.asarray(values, object).astype(str), return_inverse=True)
        if len(distinct) < 2:
            continue
        for number, value in enumerate(distinct):
            inside = np.flatnonzero(place == number)
            part = {key: np.asarray(column)[inside] for key, column in sums.items()}
            figure = aggregates.interval(measure, part)
            small = len(inside) < TOO_FEW
            # The bootstrap of a few examples is too narrow: of one it is a point.
            unknown = small and not aggregates.is_share(measure, part)
            stands = "too_few" if unknown else _stands(figure, whole, small)
            rows.append(
                {
                    "by": name,
                    "value": str(value),
                    "texts": len(inside),
                    "figure": figure,
                    "stands": stands,
                }
            )
    order = ("above", "within", "below") if lower else ("below", "within", "above")
    sign = -1 if lower else 1

    def badness(row: Mapping[str, Any]) -> tuple[int, float]:
        found = row["figure"]["value"]
        return (*order, "too_few").index(row["stands"]), np.inf if found is None else sign * found

    return sorted(rows, key=badness)


def _stands(figure: Figure, whole: float | None, small: bool) -> str:
    if whole is not None and "low" in figure:
        if figure["high"] < whole:
            return "below"
        if figure["low"] > whole:
            return "above"
    return "too_few" if small else "within"
