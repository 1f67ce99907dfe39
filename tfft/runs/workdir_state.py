"""What makes two runs the same run, and what `train` would do with a workdir."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.evaluation import stored_predictions
from tfft.storage.workdir import Workdir
from tfft.training.checkpointing import position_of
from tfft.training.stage import Stage


def describe(files: Workdir, identity: dict[str, Any], stages: int, runs: Sequence[str]) -> str:
    """Returns what `train` would do with a folder, and writes nothing.

    Args:
      files: The folder; it need not exist.
      identity: Of a single run, see `Workdir.open`.
      stages: Number of stages.
      runs: Names of the runs of a plan; empty for a single run.

    Raises:
      WorkdirError: `train` would refuse the folder.
    """
    files.check({**identity, "plan": runs} if runs else identity)
    if files.read_json("run.json") is None:
        others = sorted(files.path.iterdir()) if files.path.exists() else []
        rest = f", beside {len(others)} other files" if others else ""
        return f"workdir {files.path}: train would begin a new run{rest}"
    if not runs:
        return f"workdir {files.path}: {_run(files, stages)}"
    folders = [Workdir(files.path / name) for name in runs]
    complete = sum(stored_predictions.finished(folder) is not None for folder in folders)
    return f"workdir {files.path}: {complete} of {len(runs)} runs are complete; " + (
        "train would report on them" if complete == len(runs) else "train would continue"
    )


def _run(files: Workdir, stages: int) -> str:
    if stored_predictions.finished(files):
        return "this run is complete; train would show its report"
    state = files.newest_state()
    if state is None:
        return "this run has no checkpoint yet; train would begin it again"
    position = position_of(files, state, stages)
    if position.stage >= stages:
        return "training is complete; train would evaluate it and write the report"
    return (
        f"train would continue this run at stage {position.stage + 1} of {stages}, "
        f"epoch {position.epoch + 1}, batch {position.step + 1}"
    )


def run_identity(
    task: Any, backbone: Any, data: str, stages: Sequence[Stage], seed: int, config: str | None
) -> dict[str, Any]:
    """Returns what makes two runs the same run.

    Args:
      data: The fingerprint of the source.
      config: The text of the config; None for a run from Python.
    """
    run = {
        "task": task.get_config(),
        "backbone": backbone.config(),
        "stages": [described(stage) for stage in stages],
    }
    return {
        "config": config or json.dumps(run, indent=1, sort_keys=True, default=str),
        "data": data,
        "weights": backbone.fingerprint(),
        "seed": seed,
    }


def described(settings: Any) -> Any:
    """Returns a stage's settings as JSON, each object with the name of its class."""
    if dataclasses.is_dataclass(settings):
        values = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
        return {"class": type(settings).__name__, **described(values)}
    if isinstance(settings, Mapping):
        return {key: described(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [described(value) for value in settings]
    return settings
