"""Truncation of long texts: how much, of which class, its effect on metrics, and remedies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tfft.metrics import aggregates

MANY = 0.1  # share of the training texts above which remedies are logged
ALL = "all"  # the row of a split without classes
SHOWN = 20  # rows of a table on the terminal
GROUPS = {"whole": "read whole, at once", "windows": "read whole, in windows", "cut": "cut"}
Table = tuple[str, list[str], list[list[str]]]


def ledger(splits: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Returns the truncated texts and tokens, by split and class, JSON-able.

    Args:
      splits: by name, with `full_lengths` and `kept` (tokens, int [n]), `windows` (`Windows`, or
        None) and, for classes, `targets` (class numbers, int [n]).
      labels: the class names; none for one row, "all", of each split.

    Returns:
      splits: for each split and class `texts`, `cut_texts`, `tokens`, `cut_tokens`, and `windows`
      where texts are read in windows.
    """
    return {"splits": {name: _by_class(part, labels) for name, part in splits.items()}}


def _by_class(part: Any, labels: Sequence[str]) -> dict[str, dict[str, int]]:
    cut = part.cut
    columns = {
        "texts": np.ones(len(cut), int),
        "cut_texts": cut > 0,
        "tokens": part.full_lengths,
        "cut_tokens": cut,
    }
    if part.windows is not None:
        columns["windows"] = part.windows.counts
    classes = part.targets if labels else np.zeros(len(cut), int)
    names = labels or [ALL]
    rows = [np.bincount(classes, column, len(names)).astype(int) for column in columns.values()]
    return {
        name: dict(zip(columns, row, strict=True))
        for name, row in zip(names, np.transpose(rows).tolist(), strict=True)
    }


def describe_cut(encoded: Any) -> str:
    """Returns how many texts and tokens of an encoded split were truncated."""
    cut = encoded.truncation()
    return (
        f"{cut['cut_texts']:,} of {cut['texts']:,} texts cut, "
        f"{cut['cut_tokens']:,} of {cut['tokens']:,} tokens"
    )


def on_cut(part: Any, measure: str, sums: aggregates.Terms) -> dict[str, dict[str, Any]]:
    """Returns a figure on texts read whole, read in several windows, and cut.

    Args:
      part: as the splits of `ledger`.
      measure, sums: aggregate and terms of the figure, see `aggregates.prepare`.

    Returns:
      For each kind that there is: `value` with its 95 % interval (see `aggregates.interval`),
        `texts`.
    """
    cut = part.cut > 0
    several = np.zeros(len(cut), bool) if part.windows is None else part.windows.several
    groups = {"whole": ~cut & ~several, "windows": ~cut & several, "cut": cut}
    return {
        name: {
            **aggregates.interval(measure, {key: np.asarray(sums[key])[rows] for key in sums}),
            "texts": int(rows.sum()),
        }
        for name, rows in groups.items()
        if rows.any()
    }


def lengths_table(splits: Mapping[str, Any]) -> Table:
    """Returns a table of the lengths of the texts of each split, and of truncation."""
    rows = []
    for split, part in splits.items():
        full, cut = part.full_lengths, part.truncation()
        median, high = np.percentile(full, [50, 95])
        lengths = [f"{len(full):,}", f"{median:.0f}", f"{math.ceil(high)}", f"{full.max()}"]
        tokens = f"{cut['cut_tokens']:,} of {cut['tokens']:,}"
        rows.append([split, *lengths, f"{cut['cut_texts']:,}", tokens])
    columns = ["split", "texts", "median", "95 %", "longest", "texts cut", "tokens cut"]
    return "Texts, in tokens", columns, rows


def tables(content: Mapping[str, Any], figure: str) -> list[Table]:
    """Returns title, columns and rows of the tables of a report; none where nothing is cut.

    Args:
      content: the result of `ledger`, and `figure` with that of `on_cut`.
      figure: its name for a person.
    """
    splits = content.get("splits", {})
    by_class = any(set(rows) != {ALL} for rows in splits.values())
    result = []
    if rows := _cut_rows(splits):
        columns = ["split", "class", "texts", "texts cut", "tokens", "tokens cut"]
        if not by_class:
            columns, *rows = ([row[0], *row[2:]] for row in [columns, *rows])
        result.append(("Cut, by class" if by_class else "Cut", columns, rows))
    groups = content.get("figure", {})
    if set(groups) - {"whole"}:
        rows = [
            [GROUPS[name], f"{entry['texts']:,}", _figure(entry)] for name, entry in groups.items()
        ]
        title = f"{figure[:1].upper()}{figure[1:]} by how much was read"
        result.append((title, ["texts", "number", f"{figure} (95 % interval)"], rows))
    return result


def _cut_rows(splits: Mapping[str, Mapping[str, Mapping[str, int]]]) -> list[list[str]]:
    """Returns the classes of each split of which something is cut, the most tokens first."""
    rows = []
    for split, classes in splits.items():
        for label, row in classes.items():
            if row["cut_texts"]:
                pairs = ((row[name], row[f"cut_{name}"]) for name in ("texts", "tokens"))
                cells = [cell for total, cut in pairs for cell in (f"{total:,}", _of(cut, total))]
                rows.append((-row["cut_tokens"], [split, label, *cells]))
    return [cells for _, cells in sorted(rows, key=lambda row: row[0])[:SHOWN]]


def _figure(entry: Mapping[str, Any]) -> str:
    if "low" not in entry:
        return "–" if entry["value"] is None else f"{entry['value']:.3f}"
    return f"{entry['value']:.3f} ({entry['low']:.3f} to {entry['high']:.3f})"


def _of(part: int, total: int) -> str:
    return f"{part:,} ({part / total:.0%})" if total else f"{part:,}"


class Remedy(NamedTuple):
    """A setting that would cut less.

    Attributes:
      setting: as it is written.
      cost: the computation, as a multiple of today's.
      cut: the share of all tokens that would still be cut.
    """

    setting: str
    cost: float
    cut: float


def computation(lengths: np.ndarray, dim: int) -> float:
    """Returns the products of an encoder layer for rows of these lengths, up to a factor.

    For each of t tokens 12 d^2 in the dense layers, of which the inner one has 4 d units, and 2 t d
    in attention.
    """
    wide = np.asarray(lengths, np.float64)
    return float((wide * (12 * dim**2 + 2 * wide * dim)).sum())


def remedies(full: np.ndarray, limit: int, dim: int, longest: int) -> list[Remedy]:
    """Returns settings that cut less than `limit` does, the cheapest first.

    Args:
      full: the tokens of each text, int [n].
      limit: `sequence_length`.
      dim: d, the width of the body.
      longest: the tokens that the body has positions for.
    """
    now, tokens = computation(np.minimum(full, limit), dim), int(full.sum())
    room = limit - 2
    step = room - min(limit // 4, room - 1)  # windows overlap by a quarter
    needed = 1 + np.ceil(np.maximum(full - limit, 0) / step).astype(int)
    most = max(8, math.ceil(np.percentile(needed, 95)))
    read = np.minimum(needed, most)
    covered = np.minimum(full, limit + (read - 1) * step)
    work = now + float(((read - 1) * computation(np.array([limit]), dim)).sum())
    setting = 'long_texts="windows"' + (f", most_windows={most}" if most > 8 else "")
    result = [Remedy(setting, work / now, 1 - int(covered.sum()) / tokens)]
    longer = min(longest, 32 * math.ceil(np.percentile(full, 95) / 32))
    if longer > limit:
        covered = np.minimum(full, longer)
        cost = computation(covered, dim) / now
        result.append(Remedy(f"sequence_length={longer}", cost, 1 - int(covered.sum()) / tokens))
    return sorted(result, key=lambda remedy: remedy.cost)


def notes(part: Any, limit: int, dim: int, longest: int, windows: bool = True) -> list[str]:
    """Returns log lines: how texts are read in windows, and the remedies for truncation.

    Args:
      part: the training split, as in `ledger`.
      limit, dim, longest: as in `remedies`.
      windows: whether the task could read windows.
    """
    lines = [] if part.windows is None else [part.windows.told()]
    remedy = hint(part, limit, dim, longest, windows)
    return [*lines, remedy] if remedy else lines


def hint(part: Any, limit: int, dim: int, longest: int, windows: bool = True) -> str | None:
    """Returns the remedies as text where many training texts are cut, else None."""
    cut = part.cut
    texts = float((cut > 0).mean())
    if texts < MANY:
        return None
    tokens = cut.sum() / part.full_lengths.sum()
    line = f"{texts:.0%} of the training texts are cut, {tokens:.0%} of all tokens. "
    if part.windows is not None:
        return f"{line}A larger {part.windows.remedy} reads more (docs/long_texts.md)"
    each = [
        f"{one.setting} at {one.cost:.1f} times the computation, which cuts {one.cut:.0%}"
        for one in remedies(part.full_lengths, limit, dim, longest)
        if windows or "windows" not in one.setting
    ]
    if not each:
        return f"{line}Shorter texts, such as sentences, would be read whole"
    return f"{line}Read more with {'; or '.join(each)} (docs/long_texts.md)"
