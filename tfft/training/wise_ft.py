"""WiSE-FT: the mean of the weights before and after the training."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.storage.workdir import BEST
from tfft.training import early_stopping


def pretrained(stages: Sequence[Any], variables: dict[str, Any]) -> dict[str, np.ndarray] | None:
    """Returns copies of the variables where a stage goes back to them later; else None."""
    if not any(stage.l2_sp or stage.wise_ft for stage in stages):
        return None
    return {name: np.array(variable) for name, variable in variables.items()}


def started(
    stage: Any, variables: Mapping[str, Any], values: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Returns where the body's trained variables began, by name, if the stage goes back to it.

    Args:
      stage: the Stage.
      variables: the trained ones.
      values: the pretrained ones of `pretrained`; None takes those that the variables have.
    """
    if not stage.l2_sp and not stage.wise_ft:
        return {}
    body = {name: value for name, value in variables.items() if not name.startswith("head/")}
    return {n: np.array(v) if values is None else values[n] for n, v in body.items()}


def wise_ft(
    variables: dict[str, Any],
    start: dict[str, np.ndarray],
    alphas: Sequence[float],
    judge: Callable[[], dict[str, float]],
    better: Callable[[dict[str, float], dict[str, float]], bool],
    settle: Callable[[float], None] = lambda alpha: None,
) -> list[dict[str, float]]:
    """Sets weights to (1 - alpha) * start + alpha * end for the best alpha, 1 among them.

    Wortsman et al. 2022, WiSE-FT.

    Args:
      variables: by name, with the values of the end.
      start: values of the variables to mix, of the same shapes.
      alphas: shares of the end.
      judge: returns the validation figures of the weights as they are.
      better: compares two of its answers.
      settle: is called with alpha when the weights are set, for what follows from them.

    Returns:
      The figures with their `alpha`, the best first.
    """
    end = {name: np.array(variables[name]) for name in start}

    def put(alpha: float) -> None:
        for name, first in start.items():
            mixed = (1.0 - alpha) * first + alpha * end[name] if alpha < 1.0 else end[name]
            variables[name].assign(mixed)
        settle(alpha)

    tried: list[dict[str, float]] = []
    for alpha in (1.0, *alphas):
        put(alpha)
        found = {"alpha": alpha, **judge()}
        tried.insert(0 if tried and better(found, tried[0]) else len(tried), found)
    put(tried[0]["alpha"])
    return tried


def mix(recorder: Any, validation: Any) -> None:
    """Ends a stage with the best mix of its weights and the pretrained ones: `Stage.wise_ft`.

    The mix becomes the run's best weights if it is better than they are. A run that is killed
    between that and the next checkpoint finds it there.

    Args:
      recorder: a `checkpointing.Recorder` after the last epoch.
      validation: batches.
    """
    prepared, position, files = recorder.prepared, recorder.position, recorder.workdir
    stage, variables = prepared.stage, recorder.variables
    if not prepared.start:
        recorder.say.info(f"{stage.name}: no weight of the body was trained, wise_ft mixes nothing")
        return
    watched = stage.monitor if (stage.monitor or "").startswith("val_") else None
    better = functools.partial(
        early_stopping.better, monitor=watched, lower=recorder.lower_is_better
    )

    def judge() -> dict[str, float]:
        found = prepared.trained.evaluate(validation, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in found.items()}

    statistics = recorder.average.statistics
    trained = statistics and statistics.values()

    def settle(alpha: float) -> None:
        if statistics and alpha < 1.0:
            statistics.recompute()
        elif statistics:
            statistics.assign(trained)

    files.finish()
    arrays, state = files.load(BEST)
    done = state.get("wise_ft") if state["stage_number"] == position.stage else None
    if done:
        for name, value in arrays.items():
            variables[name].assign(value)
    recorder.mixed = done or wise_ft(
        variables, prepared.start, stage.wise_ft, judge, better, settle
    )
    best = recorder.mixed[0]
    rows = [[f"{value:.4g}" for value in row.values()] for row in recorder.mixed]
    title = f"{stage.name}: shares of the trained weights (WiSE-FT), the one that is kept first"
    recorder.say.table(title, list(best), rows)
    restored = stage.patience is not None and position.best["stage_number"] == position.stage
    record = {**(position.best if restored else position.records[-1]), **best}
    if best["alpha"] < 1.0 and (done or better(record, position.best)):
        position.best = record
        arrays = {name: np.array(variable) for name, variable in variables.items()}
        files.save(BEST, arrays, {**recorder.extra, **record, "wise_ft": recorder.mixed})
