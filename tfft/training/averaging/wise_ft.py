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

Metrics = dict[str, float]


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
    validate: Callable[[], Metrics],
    better: Callable[[Metrics, Metrics], bool],
    on_mixed: Callable[[float], None] = lambda alpha: None,
) -> list[Metrics]:
    """Sets weights to (1 - alpha) * start + alpha * end for the best alpha, 1 among them.

    Wortsman et al. 2022, WiSE-FT.

    Args:
      variables: by name, with the values of the end.
      start: values of the variables to mix, of the same shapes.
      alphas: shares of the end.
      validate: returns the validation metrics of the weights as they are.
      better: compares two sets of metrics.
      on_mixed: is called with alpha when the weights are set.

    Returns:
      The metrics with their `alpha`, the best first.
    """
    end = {name: np.array(variables[name]) for name in start}

    def assign_mix(alpha: float) -> None:
        for name, first in start.items():
            mixed = (1.0 - alpha) * first + alpha * end[name] if alpha < 1.0 else end[name]
            variables[name].assign(mixed)
        on_mixed(alpha)

    results: list[Metrics] = []
    for alpha in (1.0, *alphas):
        assign_mix(alpha)
        metrics = {"alpha": alpha, **validate()}
        is_best = bool(results) and better(metrics, results[0])
        results.insert(0 if is_best else len(results), metrics)
    assign_mix(results[0]["alpha"])
    return results


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
        recorder.say.info(
            f"{stage.name}: no weight of the backbone was trained, WiseFT mixes nothing"
        )
        return
    stopping, lower = stage.early_stopping, recorder.lower_is_better
    monitor = stopping.monitor if (stopping.monitor or "").startswith("val_") else None
    better = functools.partial(early_stopping.better, monitor=monitor, lower=lower)

    def validate() -> Metrics:
        metrics = prepared.trained.evaluate(validation, verbose=0, return_dict=True)
        return {f"val_{name}": float(value) for name, value in metrics.items()}

    statistics = recorder.average.statistics
    trained = statistics and statistics.values()

    def set_statistics(alpha: float) -> None:
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
    recorder.mixed = done or best_mix(
        variables, prepared.start, shares, validate, better, set_statistics
    )
    best = recorder.mixed[0]
    rows = [[f"{value:.4g}" for value in row.values()] for row in recorder.mixed]
    title = f"{stage.name}: shares of the trained weights (WiSE-FT), the one that is kept first"
    recorder.say.table(title, list(best), rows)
    restored = stopping.patience is not None and position.best["stage_number"] == position.stage
    record = {**(position.best if restored else position.records[-1]), **best}
    if best["alpha"] < 1.0 and (done or better(record, position.best)):
        position.best = record
        arrays = {name: np.array(variable) for name, variable in variables.items()}
        kept = {**recorder.extra, **record, "wise_ft": recorder.mixed}
        position.best_weights = files.save(BEST, arrays, kept)
