"""Two runs on the same examples: their stored predictions, paired."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import floor_name
from tfft.errors import DataError, WorkdirError
from tfft.evaluation import stored_predictions
from tfft.evaluation.stored_predictions import MODEL, Key, Outputs
from tfft.metrics import aggregates
from tfft.metrics.paired_tests import compare_predictions
from tfft.storage import manifest
from tfft.storage.workdir import Workdir

PREVIOUS = "previous"
# Errors of code that reads values of another structure than it expects.
STRUCTURE = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


@dataclasses.dataclass(frozen=True)
class Answers:
    """What one model, or the models of a plan's runs, answered.

    Attributes:
      name: for a person.
      runs: of the plan; 1 without one.
      main: the key of the figure that is compared.
      measure: how it follows from `terms`.
      terms: by example and number of the run what `aggregates.by_example` returns.
      named: by example the labels of the truth and of the answer of one run alone; empty for a task
        without classes.
    """

    name: str
    runs: int
    main: str
    measure: str
    terms: Mapping[Key, Mapping[int, Any]]
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
    found: dict[Key, dict[int, Any]] = {}
    named: dict[Key, tuple[str, str]] = {}
    for run, each in enumerate(kept):
        for key, row in each.rows(column):
            found.setdefault(key, {})[run] = row
        if len(kept) == 1 and column in each.predicted:
            labels = np.array(each.labels, object)
            pairs = zip(labels[each.truth], labels[each.predicted[column]], strict=True)
            named = dict(zip(each.keys(), pairs, strict=True))
    return Answers(
        floor_name(name),
        len(kept),
        kept[0].main,
        kept[0].measure,
        found,
        named,
    )


@contextlib.contextmanager
def readable(*paths: str | pathlib.Path) -> Iterator[None]:
    """Turns errors about the structure of reports and stored predictions into a `WorkdirError`."""
    try:
        yield
    except STRUCTURE as error:
        raise WorkdirError(
            f"the report or the predictions in {', '.join(map(str, paths))} have another content "
            f"than a run writes: {error}.",
            valid="the command that trained the run once more: it writes them again",
        ) from error


def open_run(path: str | pathlib.Path) -> Opened:
    """Reads a run or a plan.

    Raises:
      WorkdirError: it is none, is not complete, or is damaged.
    """
    with readable(path):
        return _open_run(path)


def _open_run(path: str | pathlib.Path) -> Opened:
    files = Workdir(path)
    files.read_json("run.json")  # refuses the format of another version
    content = files.read_json("report.json")
    if content is None:
        raise WorkdirError(
            f"{path} holds no finished run.",
            valid="the workdir of a run that has its report.json",
            see="tfft train --gin_file=FILE --workdir=FOLDER",
        )
    folders = [files.path / one["name"] for one in content.get("runs", ())] or [files.path]
    if content.get("schema") != stored_predictions.SCHEMA:
        raise WorkdirError(
            f"{path} was evaluated by another version, whose outputs are kept otherwise.",
            valid="the command that trained it once more: it evaluates the weights again",
        )
    kept = tuple(map(_complete_outputs, folders))
    manifest.require(files, False, None)
    files.read_json("report.json")  # is the one that the run ended with
    return Opened(content, kept, answers(str(path), kept))


def _complete_outputs(folder: pathlib.Path) -> Outputs:
    """Returns the stored predictions of a run that is complete."""
    files = Workdir(folder)
    manifest.require(files, False, None)
    return stored_predictions.load(files)


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
    shared = [key for key in base.terms if key in other.terms]
    union = len(base.terms) + len(other.terms) - len(shared)
    found = {"base": base.name, "other": other.name, "examples": len(shared)}
    found["left_out"] = union - len(shared)
    if not shared:
        return found
    rows = [
        aggregates.over_runs(base.measure, [each.terms[key] for key in shared])
        for each in (base, other)
    ]
    found[base.main] = aggregates.paired(rows[0], rows[1])
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


def comparisons(kept: stored_predictions.Outputs, against: Any, say: Any) -> list[dict[str, Any]]:
    """Returns how the model stands to each floor and to another run, for the report.

    Args:
      kept: of this run.
      against: the folder of a run or a plan, or None.
    """
    model = answers("this model", [kept])
    names = [name for name in kept.sums if name != stored_predictions.MODEL]
    found = [difference(answers(name, [kept], name), model) for name in names]
    if against is not None:
        base = open_run(against).answers
        if base.main != model.main:
            say.warn(f"not compared with {base.name}: it is judged by {base.main}")
            return found
        other = difference(base, model)
        if not other["examples"]:
            say.warn(f"not compared with {base.name}: no evaluated text is in both")
            return found
        if other["left_out"]:
            say.warn(partly(other))
        found.append(other)
    return found
