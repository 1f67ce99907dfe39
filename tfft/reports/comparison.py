"""Runs beside each other: paired on the same texts, on the terminal and as a page.

Needs no TensorFlow: a run keeps what it answered (see `stored_predictions`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from tfft.reports.templates import template
from tfft.storage.atomic_write import refuse_existing, write_atomic

NONE: Mapping[str, Any] = {"value": None}


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
    if len(opened) == 1:
        [one] = opened
        names = [name for name in one.kept[0].sums if name != MODEL]
        bases = [answers(name, one.kept, name) for name in names]
        differences = [judged(difference(base, one.answers), one) for base in bases]
    else:
        differences = []
        for other in opened[1:]:
            found = difference(opened[0].answers, other.answers)
            if not found["examples"] or (found["left_out"] and not shared):
                raise DataError(
                    partly(found) + ".",
                    valid="runs on the same data"
                    + ("; or --shared, for the texts that they share" * bool(found["examples"])),
                )
            differences.append(judged(found, opened[0], other))
    naming = {key: opened[0].report[key] for key in ("main", "shown", "lower")}
    runs = [_row(path, run, naming) for path, run in zip(paths, opened, strict=True)]
    return report.plain({**naming, "runs": runs, "differences": differences})


def _row(path: str, run: Opened, naming: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what one line of the table says of a run or a plan."""
    content, figures = run.report, run.report.get("figures")
    metrics = figures or content["metrics"]
    frozen = content.get("frozen") or {}
    return {
        "name": path,
        "backbone": content.get("backbone"),
        "data": content.get("data"),
        "runs": len(run.kept),
        **{key: metrics.get(key, NONE) for key in report_tables.brief_keys(naming)},
        "trained": frozen.get("trainable_parameters"),
        "seconds": sum(content.get("seconds", {}).values()),
    }


def tables(content: Mapping[str, Any]) -> list[report_tables.Table]:
    """Returns what the terminal shows of `side_by_side`."""
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


def _figure(entry: Mapping[str, Any], runs: int) -> str:
    """Returns a figure with its interval, or as mean and standard deviation of several runs."""
    if runs == 1 or entry["value"] is None:
        return result_line.share(entry)
    mean, sd = (result_line.number(entry[key]) for key in ("value", "sd"))
    return f"{mean} ± {sd} ({runs} runs)"


def difference_table(
    differences: Sequence[Mapping[str, Any]], naming: Mapping[str, Any]
) -> report_tables.Table:
    """Returns the table of paired differences.

    Args:
      differences: what `difference` returns.
      naming: with `main` and `shown`.
    """
    tested = any("mcnemar" in found for found in differences)
    rows = []
    for found in differences:
        test = found.get("mcnemar") or {}
        only = f"{test['only_other']:,} / {test['only_base']:,}" if test else "–"
        classes = [signed(found.get("macro_f1")), only, chance(test.get("p"))]
        rows.append(
            [
                f"{found['other']} against {found['base']}",
                signed(found.get(naming["main"])),
                *(classes if tested else ()),
                f"{found['examples']:,}",
            ]
        )
    columns = ["difference", f"{result_line.main_name(naming)} (95 % interval)"]
    columns += ["macro F1 (95 % interval)", "only one right", "p"] if tested else []
    told = " (p: how often chance alone differs as much)" if tested else ""
    return f"Paired differences{told}", [*columns, report_tables.units(naming)], rows


def signed(entry: Mapping[str, Any] | None) -> str:
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
    named: Sequence[tuple[str, Mapping[str, Any]]],
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

    drawn = [(name, interval(entry)) for name, entry in named if entry["value"] is not None]
    figure = report_tables.sentence(figure)
    return template("compare.html.jinja").render(
        title=title,
        tables=shown,
        warnings=warnings,
        picture=report_tables.visible(plots.comparison(drawn, figure)) if drawn else "",
        figure=figure,
        tested=any("p" in columns for _, columns, _ in shown),
        visible=report_tables.visible,
    )


def interval(entry: Mapping[str, Any]) -> dict[str, float]:
    """Returns a figure with ends to draw: its interval, or a plan's lowest and highest run."""
    ends = {
        "low": entry.get("low", entry.get("least")),
        "high": entry.get("high", entry.get("most")),
    }
    return {"value": entry["value"], **{key: end for key, end in ends.items() if end is not None}}


def run(paths: Sequence[str], output: str, force: bool, shared: bool, say: Any) -> None:
    """Shows runs side by side; writes the page when `output` is a file.

    Raises:
      WorkdirError: a folder holds no finished run, or `output` exists and `force` is off.
    """
    refuse_existing(output, force)
    content = side_by_side(paths, shared)
    with readable(*paths):
        found = tables(content)
    for table in found:
        say.table(*table, result=True)
    warnings = [each["warning"] for each in content["differences"] if each["warning"]]
    warnings += [partly(each) for each in content["differences"] if each["left_out"]]
    for warning in warnings:
        say.warn(warning)
    if output != "-":
        named = [(run["name"], run[content["main"]]) for run in content["runs"]]
        figure = result_line.main_name(content)
        write_atomic(output, page("Runs compared", found, warnings, named, figure))
        say.result(f"page: {output}")
