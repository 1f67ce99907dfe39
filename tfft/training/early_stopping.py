"""The best epoch, early stopping, and the error for a loss that is not finite."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tfft.argument_checks.validated import COUNT, FILLED, NON_NEGATIVE, validated
from tfft.errors import ConfigError, DivergenceError, near
from tfft.tasks.evaluators.base import greater_is_better

LOSSES = ("loss", "val_loss")
USUAL = "val_accuracy"  # watched where a task has it; else the validation loss
Record = Mapping[str, Any]


@validated(monitor=FILLED, patience=COUNT, min_delta=NON_NEGATIVE)
@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Which epoch is the best one, and when a stage ends before its last epoch.

    Args:
      monitor: the metric that says which epoch is the best: "loss", "accuracy", or another of the
        task's metrics, with "val_" before it for the validation split. None takes the validation
        accuracy, then the loss.
      mode: "min" or "max" for a metric of a task of your own that does not declare whether a
        smaller or a larger value is better.
      patience: ends the stage when so many epochs in a row were no better; the next stage starts
        from the best weights (Prechelt 1998). None trains all epochs.
      min_delta: by how much an epoch has to be better, for `patience`.
    """

    monitor: str | None = None
    mode: Literal["auto", "min", "max"] = "auto"
    patience: int | None = None
    min_delta: float = 0.0


def check(stage: Any, task: Any, validated: bool) -> None:
    """Refuses a metric that no epoch will have.

    Raises:
      ConfigError: the name is unknown, or needs a validation split that there is not.
    """
    settings = stage.early_stopping
    if settings.monitor is None and settings.patience is None:
        return
    names = ["loss", *(metric.name for metric in task.build_metrics())]
    known = [f"val_{name}" for name in names] if validated else []
    monitor = settings.monitor or (USUAL if USUAL in known else "val_loss")
    if monitor in [*names, *known]:
        lower_is_better(settings, task)
        return
    problem = f"EarlyStopping.monitor={monitor!r} is no metric of an epoch."
    valid = near(monitor, [*known, *names])
    if monitor.startswith("val_") and not validated:
        problem = f"stage {stage.name!r} watches {monitor}, and the data have no validation split."
        valid = f"a validation split; or EarlyStopping.monitor of {', '.join(names)}"
    set_in = f"EarlyStopping.{'monitor' if settings.monitor else 'patience'}"
    raise ConfigError(problem, set_in=set_in, valid=valid)


def lower_is_better(settings: EarlyStopping, task: Any) -> bool:
    """Returns True if a smaller value of `EarlyStopping.monitor` is better.

    A loss is better when it is smaller. `EarlyStopping.mode` decides for other metrics, then the
    task's evaluator and metrics.

    Raises:
      ConfigError: the direction is unknown, or `mode` contradicts it for a loss.
    """
    name, mode = settings.monitor, settings.mode
    if name in LOSSES and mode == "max":
        raise ConfigError(
            f"EarlyStopping.monitor={name!r} with EarlyStopping.mode='max' keeps the epoch with "
            "the largest loss.",
            set_in="EarlyStopping.mode",
            valid='"auto" or "min"',
        )
    if name is None or name in LOSSES:
        return name in LOSSES
    if mode != "auto":
        return mode == "min"
    name = name.removeprefix("val_")
    greater = greater_is_better(task.build_evaluator(), task.build_metrics(), name)
    if greater is None:
        raise ConfigError(
            f"The task {task.name!r} does not declare if a larger or a smaller value of "
            f"EarlyStopping.monitor={settings.monitor!r} is better.",
            set_in="EarlyStopping.monitor",
            valid=f"EarlyStopping.mode = 'max' or 'min'; or {name!r} in the `metrics` of the "
            "task's evaluator",
        )
    return not greater


def better(
    record: Record, best: Record, monitor: str | None, least: float = 0.0, lower: bool = False
) -> bool:
    """Returns True if an epoch is better than the best so far.

    A value that is NaN or infinite is worse than every finite one.

    Args:
      monitor: the metric; None compares by validation accuracy where there is one, then loss, and
        takes the later epoch where nothing is validated.
      least: by how much the metric must have improved.
      lower: whether a smaller value of the metric is better; of a loss it always is.
    """
    if monitor is None and "val_loss" not in record:
        return True
    if monitor is None and USUAL not in record:
        monitor = "val_loss"
    new, old = (_value(each, monitor, lower) for each in (record, best))
    if new == old and least == 0 and "val_loss" in record and "val_loss" in best:
        return _value(record, "val_loss") > _value(best, "val_loss")
    return new != old and new - old > least


def _value(record: Record, monitor: str | None, lower: bool = False) -> float:
    """Returns the metric so that more is better; -inf if it is missing or not finite."""
    name = monitor or USUAL
    if name not in record:
        return 0.0 if monitor is None else -math.inf
    if not math.isfinite(record[name]):
        return -math.inf
    return -record[name] if lower or name in LOSSES else record[name]


def exhausted(
    records: Sequence[Record], number: int, stage: Any, lower: bool = False
) -> str | None:
    """Returns why a stage ends before its last epoch, None when it goes on.

    It follows from the records alone, so that a run that was stopped decides as one that was not.

    Args:
      records: of the run's finished epochs.
      number: of the stage.
      stage: with its `early_stopping`.
      lower: whether a smaller value of the monitored metric is better.
    """
    settings = stage.early_stopping
    if settings.patience is None:
        return None
    best: Record | None = None
    waited = 0
    for record in (each for each in records if each["stage_number"] == number):
        if best is None or better(record, best, settings.monitor, settings.min_delta, lower):
            best, waited = record, 0
        else:
            waited += 1
    if best is None or waited < settings.patience:
        return None
    name = settings.monitor or (USUAL if USUAL in best else "val_loss")
    return (
        f"stage {stage.name!r} ends early: {name} was {best[name]:.4f} after epoch "
        f"{best['epoch']} and has not improved by more than {settings.min_delta:g} in {waited} "
        "epochs"
    )


def refuse_divergence(stage: Any, logs: Record, place: str, learning_rate: float) -> None:
    """Raises a DivergenceError if a loss among the values of Keras' `logs` is not finite.

    Args:
      stage: the Stage.
      logs: metrics by name; "loss" is the mean over the epoch so far.
      place: the batches, for the message.
      learning_rate: of these batches.
    """
    broken = [name for name in LOSSES if not math.isfinite(logs.get(name, 0.0))]
    if not broken:
        return
    is_half = stage.execution.dtype_policy == "mixed_float16"
    precision = ', Execution.dtype_policy = "mixed_bfloat16"' if is_half else ""
    raise DivergenceError(
        f"{broken[0]} of stage {stage.name!r} is {logs[broken[0]]} {place}, at learning rate "
        f"{learning_rate:.3g}. The training stopped.",
        set_in=f"Stage.learning_rate={stage.learning_rate:g}",
        valid="a lower Stage.learning_rate, global_clipnorm = 1.0, a longer warmup"
        f"{precision}, or finite inputs and targets; with another workdir",
    )
