"""What the runs of a plan come to: mean, spread, and what to think of a gain."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft import compare, monitor, outputs, report, report_tables
from tfft.workdir import Workdir, write_atomic


def _best(reports: Mapping[str, Mapping[str, Any]], watched: str | None) -> str:
    """Returns the run whose best epoch is the best by the figure watched, the first of equals.

    Without a figure to watch it is validation accuracy, then loss.
    """
    names = list(reports)
    best = names[0]
    for name in names[1:]:
        record, other = reports[name]["best"], reports[best]["best"]
        if record and (watched or "val_loss" in record) and monitor.better(record, other, watched):
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
) -> dict[str, Any]:
    """Returns the content of a plan's report.json; docs/compare.md describes it.

    Args:
      kind: "seeds" or "folds".
      names: of the runs, all complete.
      files: of the plan.
      base: a run or a plan to compare with.
      watched: `monitor` of the runs' last stage, by which the best run is chosen.
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
    gains = [_gain(name, every) for name in every[0]["floors"]]
    kept = [outputs.load(Workdir(files.path / name)) for name in names]
    content = {
        "schema": report.SCHEMA,
        "plan": kind,
        **{key: every[0][key] for key in ("task", "backbone", "data", "labels", "split", "frozen")},
        "answer": _answer(kind, len(names), figures, every[0]["split"]),
        "figures": figures,
        "validation": _figures(validated),
        "floors": {n: _figures([each["floors"][n] for each in every]) for n in every[0]["floors"]},
        "gains": gains,
        "comparisons": _comparisons(kept, figures["accuracy"]["sd"], base),
        "best": _best(reports, watched),
        "monitor": watched,
        "runs": [_line(name, each, watched) for name, each in reports.items()],
        "seconds": _summed([each["seconds"] for each in every]),
    }
    return report.plain(content)


def _gain(floor: str, every: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns by how much accuracy is above a floor's, run by run, and what to think of it."""
    pairs = [(each["metrics"]["accuracy"], each["floors"][floor]["accuracy"]) for each in every]
    found = spread([model["value"] - below["value"] for model, below in pairs])
    name, warning = report_tables.NAMES.get(floor, floor), None
    if abs(found["value"]) < found["sd"]:
        warning = compare.smaller_than_spread(f"against {name}", found["value"], found["sd"])
    return {"over": name, **found, "warning": warning}


def _comparisons(
    kept: Sequence[outputs.Outputs], sd: float, base: pathlib.Path | None
) -> list[dict[str, Any]]:
    if base is None:
        return []
    opened = compare.open_run(base)
    found = compare.difference(opened.answers, compare.answers("this plan", kept))
    return [compare.judged(found, max(sd, opened.spread or 0.0))] if found["examples"] else []


def _answer(kind: str, runs: int, figures: Mapping[str, Any], split: str) -> str:
    accuracy = figures["accuracy"]
    return (
        f"accuracy {accuracy['value']:.3f} ± {accuracy['sd']:.3f} over {runs} "
        f"{kind} ({accuracy['least']:.3f} to {accuracy['most']:.3f}) on the {split} split"
    )


def _line(name: str, content: Mapping[str, Any], watched: str | None) -> dict[str, Any]:
    metrics, best = content["metrics"], content["best"] or {}
    figures = {key: metrics[key]["value"] for key in ("accuracy", "macro_f1", "log_loss")}
    seconds = sum(content["seconds"].values())
    return {
        "name": name,
        "seed": content["seed"],
        **figures,
        "low": metrics["accuracy"]["low"],
        "high": metrics["accuracy"]["high"],
        "val_accuracy": best.get("val_accuracy"),
        "val_loss": best.get("val_loss"),
        **({"watched": best.get(watched)} if watched else {}),
        "seconds": seconds,
    }


def _summed(every: Sequence[Mapping[str, float]]) -> dict[str, float]:
    found: collections.Counter[str] = collections.Counter()
    for seconds in every:
        found.update(seconds)
    return dict(found)


def tables(content: Mapping[str, Any]) -> list[report_tables.Table]:
    """Returns what the terminal and the page show of a plan's report."""
    keys = ["accuracy", "macro_f1", "log_loss", "val_accuracy", "val_loss"]
    names = [key.replace("_", " ") for key in keys]
    watched = content.get("monitor")
    if watched and watched not in ("val_accuracy", "val_loss"):
        keys, names = [*keys, "watched"], [*names, f"monitor: {watched}"]
    runs = [
        [run["name"], *(report_tables.number(run[key]) for key in keys), f"{run['seconds']:.0f}"]
        for run in content["runs"]
    ]
    figures = [
        [name, *(f"{entry[key]:.4f}" for key in ("value", "sd", "least", "most"))]
        for name, entry in {**content["figures"], **content["validation"]}.items()
    ]
    gains = [
        [f"above {gain['over']}", f"{gain['value']:+.3f}", f"{gain['sd']:.3f}"]
        for gain in content["gains"]
    ]
    found = [
        (f"Result: {content['answer']}", ["figure", "mean", "sd", "least", "most"], figures),
        ("Runs", ["run", *names, "seconds"], runs),
        ("Accuracy beside the floors", ["", "mean difference", "sd"], gains),
    ]
    if content["comparisons"]:
        found.append(compare.difference_table(content["comparisons"]))
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
    named = [
        (run["name"], {"value": run["accuracy"], "low": run["low"], "high": run["high"]})
        for run in content["runs"]
    ]
    mean = (f"all {content['plan']}", compare.interval(content["figures"]["accuracy"]))
    title = f"{len(named)} {content['plan']}"
    write_atomic(files.path / "report.html", compare.page(title, shown, warnings, [mean, *named]))
    files.write_json("report.json", content)
    say.result(f"report: {files.path / 'report.html'}")
