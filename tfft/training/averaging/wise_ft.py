"""WiSE-FT: the mean of the weights before and after the training."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from tfft.argument_checks.validated import Range, validated
from tfft.errors import ConfigError
from tfft.storage.workdir import BEST
from tfft.training import early_stopping
from tfft.training.averaging.base import Averaging


@validated(shares=Range(above=0, below=1))
@dataclasses.dataclass(frozen=True)
class WiseFT(Averaging):
    """Mixes the pretrained backbone into the trained one when the stage ends.

    Wortsman et al. 2022, WiSE-FT. The head and adapters stay as they were trained.

    Args:
      shares: of the trained weights in the mix; validation takes the best, 1 included.
    """

    needs_pretrained: ClassVar[bool] = True
    needs_validation: ClassVar[bool] = True
    needs_train_loop: ClassVar[bool] = True
    shares: tuple[float, ...] = (0.25, 0.5, 0.75)

    def __post_init__(self) -> None:
        if not self.shares:
            raise ConfigError(
                "WiseFT.shares is empty: nothing is mixed.",
                set_in="WiseFT.shares",
                valid="shares such as (0.25, 0.5, 0.75); or Stage.averaging without WiseFT",
            )

    def end_stage(self, recorder: Any, validation: Any) -> None:
        mix(recorder, validation, self.shares)


def best_mix(
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


def mix(recorder: Any, validation: Any, shares: Sequence[float]) -> None:
    """Ends a stage with the best mix of its weights and the pretrained ones.

    The mix becomes the run's best weights if it is better than they are. A run that is killed
    between that and the next checkpoint finds it there.

    Args:
      recorder: a `checkpointing.Recorder` after the last epoch.
      validation: batches.
      shares: of the trained weights.
    """
    prepared, position, files = recorder.prepared, recorder.position, recorder.workdir
    stage, variables = prepared.stage, recorder.variables
    if not prepared.start:
        recorder.say.info(f"{stage.name}: no weight of the body was trained, WiseFT mixes nothing")
        return
    monitor = stage.early_stopping.monitor or ""
    watched = monitor if monitor.startswith("val_") else None
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
    recorder.mixed = done or best_mix(variables, prepared.start, shares, judge, better, settle)
    best = recorder.mixed[0]
    rows = [[f"{value:.4g}" for value in row.values()] for row in recorder.mixed]
    title = f"{stage.name}: shares of the trained weights (WiSE-FT), the one that is kept first"
    recorder.say.table(title, list(best), rows)
    restored = (
        stage.early_stopping.patience is not None
        and position.best["stage_number"] == position.stage
    )
    record = {**(position.best if restored else position.records[-1]), **best}
    if best["alpha"] < 1.0 and (done or better(record, position.best)):
        position.best = record
        arrays = {name: np.array(variable) for name, variable in variables.items()}
        kept = {**recorder.extra, **record, "wise_ft": recorder.mixed}
        position.best_weights = files.save(BEST, arrays, kept)
