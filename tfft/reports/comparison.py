"""Runs beside each other: paired on the same texts, on the terminal and as a page.

Needs no TensorFlow: a run keeps what it answered (see `outputs`).
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import DataError, WorkdirError
from tfft.evaluation import stored_predictions
from tfft.evaluation.stored_predictions import MODEL, Key, Outputs
from tfft.metrics import aggregates
from tfft.metrics.paired_tests import compare_predictions
from tfft.reports import report
from tfft.reports import tables as report_tables
from tfft.reports.templates import read_template
from tfft.storage.atomic_write import refuse_existing, write_atomic
from tfft.storage.workdir import Workdir

PREVIOUS = "previous"
NONE: Mapping[str, Any] = {"value": None}


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one model, or the models of a plan's runs, answered.

    Attributes:
      name: for a person.
      runs: of the plan; 1 without one.
      main: the key of the figure that is compared.
      measure: how it follows from `columns`.
      columns: by example its `corpus.columns`, [k], the mean over the runs that evaluated it.
      named: by example the labels of the truth and of the answer of one run alone; empty for a task
        without classes.
    """

    name: str
    runs: int
    main: str
    measure: str
    columns: Mapping[Key, np.ndarray]
    named: Mapping[Key, tuple[str, str]]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run's or a plan's folder: its report, and its answers."""

    report: Mapping[str, Any]
    kept: tuple[Outputs, ...]
    answers: Answers

    @property
    def spread(self) -> float | None:
        """The standard deviation of the main figure over a plan's runs; None for a run alone."""
        return self.report.get("figures", {}).get(self.report["main"], {}).get("sd")


def answers(name: str, kept: Sequence[Outputs], column: str = MODEL) -> Answers:
    """Returns one model's answers out of what runs kept.

    Args:
      name: for a person.
      kept: of one run, or of a plan's runs.
      column: "model" or a floor's name.
    """
    found: dict[Key, list[np.ndarray]] = {}
    named: dict[Key, tuple[str, str]] = {}
    for each in kept:
        for key, row in each.rows(column):
            found.setdefault(key, []).append(row)
        if len(kept) == 1 and column in each.predicted:
            labels = np.array(each.labels, object)
            pairs = zip(labels[each.truth], labels[each.predicted[column]], strict=True)
            named = dict(zip(each.keys(), pairs, strict=True))
    return Answers(
        report_tables.floor_name(name),
        len(kept),
        kept[0].main,
        kept[0].measure,
        {key: np.mean(rows, axis=0) for key, rows in found.items()},
        named,
    )


def open_run(path: str | pathlib.Path) -> Opened:
    """Reads a run or a plan.

    Raises:
      WorkdirError: it is none, or is not complete.
    """
    files = Workdir(path)
    content = files.read_json("report.json")
    if content is None:
        raise WorkdirError(
            f"{path} holds no finished run.",
            valid="the workdir of a run that has its report.json",
            see="tfft train --gin_file=FILE --workdir=FOLDER",
        )
    folders = [files.path / one["name"] for one in content.get("runs", ())] or [files.path]
    if not all((folder / stored_predictions.FILE).exists() for folder in folders):
        raise WorkdirError(
            f"{path} was evaluated by a version that kept no outputs.",
            valid="the command that trained it once more: it evaluates the weights again",
        )
    if content.get("schema") != report.SCHEMA:
        raise WorkdirError(
            f"{path} was evaluated by another version, whose outputs are kept otherwise.",
            valid="the command that trained it once more: it evaluates the weights again",
        )
    kept = tuple(stored_predictions.load(Workdir(folder)) for folder in folders)
    return Opened(content, kept, answers(str(path), kept))


def resolve(against: str | None, workdir: pathlib.Path, say: Any) -> pathlib.Path | None:
    """Returns the folder that `train(against=...)` means; None when there is nothing to compare.

    Args:
      against: a folder, "previous" for the run beside `workdir` that was finished last, or None.
      workdir: of this run.

    Raises:
      WorkdirError: the folder holds no finished run.
    """
    if against is None:
        return None
    if against != PREVIOUS:
        open_run(against)
        return pathlib.Path(against)
    beside = [path for path in workdir.resolve().parent.glob("*/report.json")]
    beside = [path for path in beside if path.parent != workdir.resolve()]
    for path in sorted(beside, key=lambda path: -path.stat().st_mtime):
        try:
            open_run(path.parent)
        except WorkdirError:
            continue
        return path.parent
    say.info(f"there is no finished run beside {workdir} to compare with")
    return None


def difference(base: Answers, other: Answers) -> dict[str, Any]:
    """Returns how another model stands to a base on the examples that both answered.

    Returns:
      The names, `examples` and `left_out` (numbers of examples), by its key the main figure with
      its interval, and for classes of two runs alone `macro_f1` and `mcnemar` (see
      `compare_predictions`). Without a shared example there are the names and numbers alone.

    Raises:
      DataError: the two have different main figures.
    """
    if (base.main, base.measure) != (other.main, other.measure):
        raise DataError(
            f"{base.name} is judged by {base.main} and {other.name} by {other.main}.",
            valid="runs of one task",
        )
    shared = [key for key in base.columns if key in other.columns]
    union = len(base.columns) + len(other.columns) - len(shared)
    found = {"base": base.name, "other": other.name, "examples": len(shared)}
    found["left_out"] = union - len(shared)
    if not shared:
        return found
    rows = (np.stack([each.columns[key] for key in shared]) for each in (base, other))
    found[base.main] = aggregates.paired(base.measure, next(rows), next(rows))
    if not base.named or not other.named:
        return found
    names = [[base.named[key][0] for key in shared]]
    names += [[each.named[key][1] for key in shared] for each in (base, other)]
    numbers = np.unique(names, return_inverse=True)[1].reshape(3, -1)
    return {**found, **compare_predictions(*numbers)}


def partly(found: Mapping[str, Any]) -> str:
    """Returns the line that says on how many examples a comparison stands."""
    return (
        f"{found['base']} and {found['other']} were not evaluated on the same texts: "
        f"{found['examples']:,} are shared, {found['left_out']:,} are left out"
    )


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


def judged(found: dict[str, Any], *runs: Opened, sd: float | None = None) -> dict[str, Any]:
    """Adds the spread over seeds or folds and a warning when the difference is smaller.

    Args:
      found: what `difference` returns of examples that are shared.
      runs: whose spreads count, the largest.
      sd: one more spread.
    """
    value = found[runs[0].report["main"]]["value"]
    spreads = [each for each in (sd, *(run.spread for run in runs)) if each is not None]
    spread, warning = max(spreads, default=None), None
    if spread is not None and value is not None and abs(value) < spread:
        warning = smaller_than_spread(f"{found['other']} against {found['base']}", value, spread)
    return {**found, "spread": spread, "warning": warning}


def smaller_than_spread(what: str, value: float, spread: float) -> str:
    """Returns the warning about a difference that another seed could undo."""
    return (
        f"{what}: a difference of {value:+.3f} is smaller than the spread over the runs, "
        f"{spread:.3f} (one standard deviation)"
    )


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
        return report_tables.share(entry)
    mean, sd = (report_tables.number(entry[key]) for key in ("value", "sd"))
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
    columns = ["difference", f"{report_tables.main_name(naming)} (95 % interval)"]
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
    from jinja2 import Environment, StrictUndefined

    from tfft.reports import plots

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    drawn = [(name, interval(entry)) for name, entry in named if entry["value"] is not None]
    figure = report_tables.sentence(figure)
    template = read_template("compare.html.jinja")
    return environment.from_string(template).render(
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
    found = tables(content)
    for table in found:
        say.table(*table, result=True)
    warnings = [each["warning"] for each in content["differences"] if each["warning"]]
    warnings += [partly(each) for each in content["differences"] if each["left_out"]]
    for warning in warnings:
        say.warn(warning)
    if output != "-":
        named = [(run["name"], run[content["main"]]) for run in content["runs"]]
        figure = report_tables.main_name(content)
        write_atomic(output, page("Runs compared", found, warnings, named, figure))
        say.result(f"page: {output}")
