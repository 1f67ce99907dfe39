"""Runs beside each other: paired on the same texts, on the terminal and as a page.

Needs no TensorFlow: a run keeps what it answered (see `stored_predictions`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tfft.errors import DataError
from tfft.evaluation.run_comparison import (
    Opened,
    answers,
    difference,
    judged,
    open_run,
    partly,
    readable,
)
from tfft.evaluation.stored_predictions import MODEL
from tfft.reports import report, result_line
from tfft.reports import tables as report_tables
from tfft.reports.printable import portable
from tfft.reports.result_line import Content, Rows
from tfft.reports.templates import template
from tfft.storage.atomic_write import refuse_existing, write_atomic

NONE: Content = {"value": None}


def side_by_side(paths: Sequence[str], shared: bool = False) -> dict[str, Any]:
    """Returns several runs' figures and their differences to the first one, JSON-able.

    One run alone is compared with its floors.

    Args:
      paths: of runs or plans.
      shared: compare on the texts that two runs share, when they were evaluated on others too.

    Raises:
      WorkdirError: a folder holds no finished run.
      DataError: two runs were evaluated on different texts, or are of different tasks.
    """
    opened = [open_run(path) for path in paths]
    with readable(*paths):
        return _side_by_side(paths, opened, shared)


def _side_by_side(paths: Sequence[str], opened: Sequence[Opened], shared: bool) -> dict[str, Any]:
    first, *others = opened
    differences = []
    if not others:
        bases = [answers(name, first.kept, name) for name in first.kept[0].sums if name != MODEL]
        differences = [judged(difference(base, first.answers), first) for base in bases]
    for other in others:
        paired = difference(first.answers, other.answers)
        if not paired["examples"] or (paired["left_out"] and not shared):
            flag = "; or --shared, for the texts that they share" if paired["examples"] else ""
            raise DataError(f"{partly(paired)}.", valid=f"runs on the same data{flag}")
        differences.append(judged(paired, first, other))
    naming = {key: first.report[key] for key in ("main", "shown", "lower")}
    runs = [_row(path, run, naming) for path, run in zip(paths, opened, strict=True)]
    return report.plain({**naming, "runs": runs, "differences": differences})


def _row(path: str, run: Opened, naming: Content) -> dict[str, Any]:
    """Returns the values of one line of the table, of a run or a plan."""
    content = run.report
    metrics = content.get("figures") or content["metrics"]
    return {
        "name": path,
        "backbone": content.get("backbone"),
        "data": content.get("data"),
        "runs": len(run.kept),
        **{key: metrics.get(key, NONE) for key in report_tables.brief_keys(naming)},
        "trained": (content.get("frozen") or {}).get("trainable_parameters"),
        "seconds": sum(content.get("seconds", {}).values()),
    }


def tables(content: Content) -> list[report_tables.Table]:
    """Returns the tables of `side_by_side` for the terminal."""
    keys = report_tables.brief_keys(content)
    runs = [
        [
            run["name"],
            *(_figure(run[key], run["runs"]) for key in keys),
            "–" if run["trained"] is None else f"{run['trained']:,}",
            f"{run['seconds']:.0f}",
            run["backbone"] or "–",
        ]
        for run in content["runs"]
    ]
    names = [content["shown"][key] for key in keys]
    columns = ["run", *names, "trained weights", "seconds", "backbone"]
    return [("Runs", columns, runs), difference_table(content["differences"], content)]


def _figure(entry: Content, runs: int) -> str:
    """Returns a figure with its interval, or as mean and standard deviation of several runs."""
    if runs == 1 or entry["value"] is None:
        return result_line.share(entry)
    mean, sd = (result_line.number(entry[key]) for key in ("value", "sd"))
    return f"{mean} ± {sd} ({runs} runs)"


def difference_table(differences: Rows, naming: Content) -> report_tables.Table:
    """Returns the table of paired differences.

    Args:
      differences: what `difference` returns.
      naming: with `main` and `shown`.
    """
    tested = any("mcnemar" in each for each in differences)
    rows = []
    for each in differences:
        row = [f"{each['other']} against {each['base']}", signed(each.get(naming["main"]))]
        if tested:
            test = each.get("mcnemar") or {}
            only = f"{test['only_other']:,} / {test['only_base']:,}" if test else "–"
            row += [signed(each.get("macro_f1")), only, chance(test.get("p"))]
        rows.append([*row, f"{each['examples']:,}"])
    title = "Paired differences"
    columns = ["difference", f"{result_line.main_name(naming)} (95 % interval)"]
    if tested:
        title += " (p: how often chance alone differs as much)"
        columns += ["macro F1 (95 % interval)", "only one right", "p"]
    return title, [*columns, report_tables.units(naming)], rows


def signed(entry: Content | None) -> str:
    """Returns a difference with its interval."""
    if entry is None or entry["value"] is None:
        return "–"
    ends = f" ({entry['low']:+.3f} to {entry['high']:+.3f})" if "low" in entry else ""
    return f"{entry['value']:+.3f}{ends}"


def chance(p: float | None) -> str:
    """Returns a p-value as a person reads it."""
    if p is None:
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def page(
    title: str,
    shown: Sequence[report_tables.Table],
    warnings: Sequence[str],
    named: Sequence[tuple[str, Content]],
    figure: str,
) -> str:
    """Returns tables as one HTML file that needs nothing else.

    Args:
      title: of the page.
      shown: the tables.
      warnings: sentences.
      named: figures to draw, by name; undefined ones are left out.
      figure: what they are.
    """
    from tfft.reports import plots

    entries = [(name, interval(entry)) for name, entry in named if entry["value"] is not None]
    figure = report_tables.sentence(figure)
    return template("compare.html.jinja").render(
        title=title,
        tables=shown,
        warnings=warnings,
        picture=report_tables.visible(plots.comparison(entries, figure)) if entries else "",
        figure=figure,
        tested=any("p" in columns for _, columns, _ in shown),
        visible=report_tables.visible,
    )


def _short_names(values: list[Any], paths: Sequence[str]) -> list[Any]:
    """Returns texts in which the absolute paths of runs begin where the runs' folders differ."""
    folders = [os.path.dirname(path.rstrip("/")) for path in paths if os.path.isabs(path)]
    above = os.path.commonpath(folders) if folders else ""
    return portable(values, os.path.join(above, "run") if above else None)


def interval(entry: Content) -> dict[str, float]:
    """Returns a figure with ends to draw: its interval, or a plan's lowest and highest run."""
    ends = {"low": entry.get("low", entry.get("least")), "value": entry["value"]}
    ends["high"] = entry.get("high", entry.get("most"))
    return {key: end for key, end in ends.items() if end is not None}


def run(paths: Sequence[str], output: str, force: bool, shared: bool, say: Any) -> None:
    """Shows runs side by side; writes the page when `output` is a file.

    Raises:
      WorkdirError: a folder holds no finished run, or `output` exists and `force` is off.
    """
    refuse_existing(output, force)
    content = side_by_side(paths, shared)
    with readable(*paths):
        shown = tables(content)
    for table in shown:
        say.table(*table, result=True)
    warnings = [each["warning"] for each in content["differences"] if each["warning"]]
    warnings += [partly(each) for each in content["differences"] if each["left_out"]]
    for warning in warnings:
        say.warn(warning)
    if output != "-":
        named = [(run["name"], run[content["main"]]) for run in content["runs"]]
        figure = result_line.main_name(content)
        shown, warnings, named = _short_names([shown, warnings, named], paths)
        write_atomic(output, page("Runs compared", shown, warnings, named, figure))
        say.result(f"page: {output}")
