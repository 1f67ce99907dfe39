"""What the runs of a plan come to: mean, spread, and what to think of a gain."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import NAMES
from tfft.evaluation import run_comparison, stored_predictions
from tfft.reports import comparison, report, result_line
from tfft.reports import tables as report_tables
from tfft.reports.printable import portable
from tfft.storage import manifest
from tfft.storage.workdir import Workdir
from tfft.training import early_stopping

COPIED = ("task", "backbone", "data", "unit", "labels", "split", "frozen")


def _best(
    reports: Mapping[str, Mapping[str, Any]], watched: str | None, lower: bool = False
) -> str:
    """Returns the run whose best epoch is the best by the figure watched, the first of equals.

    Without a figure to watch it is validation accuracy, then loss.

    Args:
      lower: whether a smaller value of the figure is better.
    """
    names = list(reports)
    best = names[0]
    for name in names[1:]:
        record, other = reports[name]["best"], reports[best]["best"]
        compared = record and (watched or "val_loss" in record)
        if compared and early_stopping.better(record, other, watched, lower=lower):
            best = name
    return best


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Returns mean (`value`), standard deviation with n - 1 (`sd`), `least`, `most`, `values`."""
    return {
        "value": float(np.mean(values)),
        "sd": float(np.std(values, ddof=1)),
        "least": float(min(values)),
        "most": float(max(values)),
        "values": [float(value) for value in values],
    }


def _figures(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the spread of every figure that all entries have."""
    return {
        name: spread([entry[name]["value"] for entry in entries])
        for name, first in entries[0].items()
        if isinstance(first, Mapping) and first.get("value") is not None
        if all(entry[name]["value"] is not None for entry in entries)
    }


def summarize_plan(
    kind: str,
    names: Sequence[str],
    files: Workdir,
    base: pathlib.Path | None,
    watched: str | None = None,
    lower: bool = False,
) -> dict[str, Any]:
    """Returns the content of a plan's report.json; docs/compare.md describes it.

    Args:
      kind: "seeds" or "folds".
      names: of the runs, all complete.
      files: of the plan.
      base: a run or a plan to compare with.
      watched: `EarlyStopping.monitor` of the runs' last stage, by which the best run is chosen.
      lower: whether a smaller value of it is better.
    """
    reports = {name: Workdir(files.path / name).read_json("report.json") or {} for name in names}
    every = list(reports.values())
    figures = _figures([each["metrics"] for each in every])
    validated = [
        {
            name: {"value": value}
            for name, value in (each["best"] or {}).items()
            if name[:4] == "val_"
        }
        for each in every
    ]
    naming = {key: every[0][key] for key in ("main", "shown", "lower")}
    main = naming["main"]
    gains = [
        _gain(name, every, main)
        for name in every[0]["floors"]
        if all(
            _known(each["metrics"], main) and _known(each["floors"][name], main) for each in every
        )
    ]
    kept = [stored_predictions.load(Workdir(files.path / name)) for name in names]
    content = {
        "schema": stored_predictions.SCHEMA,
        "plan": kind,
        **{key: every[0][key] for key in COPIED if key in every[0]},
        **naming,
        "answer": _answer(kind, len(names), figures, every[0]),
        "figures": figures,
        "validation": _figures(validated),
        "floors": {n: _figures([each["floors"][n] for each in every]) for n in every[0]["floors"]},
        "gains": gains,
        "comparisons": portable(_comparisons(kept, figures.get(main, {}).get("sd"), base), base),
        "best": _best(reports, watched, lower),
        "monitor": watched,
        "runs": [_line(name, each, watched) for name, each in reports.items()],
        "seconds": _summed([each["seconds"] for each in every]),
    }
    return report.plain(content)


def _known(entry: Mapping[str, Any], key: str) -> bool:
    return entry.get(key, {}).get("value") is not None


def _gain(floor: str, every: Sequence[Mapping[str, Any]], main: str) -> dict[str, Any]:
    """Returns the main figure minus a floor's, run by run, and what to think of it."""
    pairs = [(each["metrics"][main], each["floors"][floor][main]) for each in every]
    found = spread([model["value"] - below["value"] for model, below in pairs])
    name, warning = NAMES.get(floor, floor), None
    if abs(found["value"]) < found["sd"]:
        warning = run_comparison.smaller_than_spread(f"against {name}", found["value"], found["sd"])
    return {"over": name, **found, "warning": warning}


def _comparisons(
    kept: Sequence[stored_predictions.Outputs], sd: float | None, base: pathlib.Path | None
) -> list[dict[str, Any]]:
    if base is None:
        return []
    opened, plan = run_comparison.open_run(base), run_comparison.answers("this plan", kept)
    if opened.answers.main != plan.main:
        return []
    found = run_comparison.difference(opened.answers, plan)
    return [run_comparison.judged(found, opened, sd=sd)] if found["examples"] else []


def _answer(kind: str, runs: int, figures: Mapping[str, Any], content: Mapping[str, Any]) -> str:
    name, figure = result_line.main_name(content), figures.get(content["main"])
    where = f"over {runs} {kind}", f"on the {content['split']} split"
    if figure is None:
        return f"{name} is undefined in some run {' '.join(where)}"
    return (
        f"{name} {figure['value']:.3f} ± {figure['sd']:.3f} {where[0]} "
        f"({figure['least']:.3f} to {figure['most']:.3f}) {where[1]}"
    )


def _line(name: str, content: Mapping[str, Any], watched: str | None) -> dict[str, Any]:
    metrics, best = content["metrics"], content["best"] or {}
    keys = [key for key in report_tables.brief_keys(content) if key in metrics]
    figure = metrics[content["main"]]
    return {
        "name": name,
        "seed": content["seed"],
        **{key: metrics[key]["value"] for key in keys},
        **{end: figure[end] for end in ("low", "high") if end in figure},
        **{key: value for key, value in best.items() if key.startswith("val_")},
        **({"watched": best.get(watched)} if watched else {}),
        "seconds": sum(content["seconds"].values()),
    }


def _summed(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: collections.Counter[str] = collections.Counter()
    for seconds in every:
        found.update(seconds)
    return dict(found)


def tables(content: Mapping[str, Any]) -> list[report_tables.Table]:
    """Returns what the terminal and the page show of a plan's report."""
    shown = content["shown"]
    names = {key: shown[key] for key in report_tables.brief_keys(content)}
    names |= {key: key.replace("_", " ") for key in content["validation"]}
    watched = content.get("monitor")
    if watched and watched not in names:
        names["watched"] = f"monitor: {watched}"
    runs = [
        [
            run["name"],
            *(result_line.number(run.get(key)) for key in names),
            f"{run['seconds']:.0f}",
        ]
        for run in content["runs"]
    ]
    figures = [
        [name, *(f"{entry[key]:.4f}" for key in ("value", "sd", "least", "most"))]
        for name, entry in {**content["figures"], **content["validation"]}.items()
    ]
    gains = [
        [
            f"minus {gain['over']}",
            f"{gain['value']:+.3f}",
            f"{gain['sd']:.3f}",
        ]
        for gain in content["gains"]
    ]
    found = [
        (f"Result: {content['answer']}", ["figure", "mean", "sd", "least", "most"], figures),
        ("Runs", ["run", *names.values(), "seconds"], runs),
    ]
    if gains:
        title = f"{report_tables.sentence(result_line.main_name(content))} beside the floors"
        found.append((title, ["", "mean difference", "sd"], gains))
    if content["comparisons"]:
        found.append(comparison.difference_table(content["comparisons"], content))
    return found


def write(files: Workdir, content: Mapping[str, Any], say: Any) -> None:
    """Shows the plan's result and writes its page and, last, its report.json."""
    shown = tables(content)
    for table in shown:
        say.table(*table, result=True)
    warnings = [each["warning"] for each in (*content["gains"], *content["comparisons"])]
    warnings = [warning for warning in warnings if warning]
    for warning in warnings:
        say.warn(warning)
    main = content["main"]
    named = [(run["name"], {**run, "value": run[main]}) for run in content["runs"]]
    mean = (f"all {content['plan']}", content["figures"].get(main, comparison.NONE))
    page = comparison.page(
        f"{len(named)} {content['plan']}",
        shown,
        warnings,
        [mean, *named],
        result_line.main_name(content),
    )
    manifest.remove(files)
    files.write("report.html", page)
    files.write_json("report.json", content)
    members = [f"{run['name']}/report.json" for run in content["runs"]]
    manifest.write(files, ["config.gin", "report.html", "report.json", *members])
    say.result(f"report: {files.path / 'report.html'}")
