"""The best epoch, early stopping, and the error for a loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.errors import ConfigError, DivergenceError, near

LOSSES = ("loss", "val_loss")
USUAL = "val_accuracy"  # watched where a task has it; else the validation loss
Record = Mapping[str, Any]


def check(stage: Any, task: Any, validated: bool) -> None:
    """Refuses a metric that no epoch will have, and a choice on data that there are not.

    Raises:
      ConfigError: the name is unknown, or needs a validation split that there is not.
    """
    if stage.wise_ft and not validated:
        raise ConfigError(
            f"stage {stage.name!r} chooses wise_ft={stage.wise_ft} on validation data: there are "
            "none.",
            set_in="Stage.wise_ft",
            valid="a source with a validation split; or wise_ft=()",
        )
    if stage.monitor is None and stage.patience is None:
        return
    names = ["loss", *(metric.name for metric in task.metrics())]
    known = [f"val_{name}" for name in names] if validated else []
    wanted = stage.monitor or (USUAL if USUAL in known else "val_loss")
    if wanted in [*names, *known]:
        lower_is_better(stage, task)
        return
    if wanted.startswith("val_") and not validated:
        raise ConfigError(
            f"stage {stage.name!r} watches {wanted}, and the data have no validation split.",
            set_in="Stage.monitor" if stage.monitor else "Stage.patience",
            valid=f"a validation split; or Stage.monitor of {', '.join(names)}",
        )
    raise ConfigError(
        f"Stage.monitor={wanted!r} is no figure of an epoch.", valid=near(wanted, [*known, *names])
    )


def lower_is_better(stage: Any, task: Any) -> bool:
    """Returns True if a smaller value of `Stage.monitor` is better.

    A loss is better when it is smaller. `Stage.monitor_mode` decides for other metrics, then the
    task, see `Task.lower_is_better`.

    Raises:
      ConfigError: the direction is unknown, or `monitor_mode` contradicts it for a loss.
    """
    name, mode = stage.monitor, stage.monitor_mode
    if name in LOSSES and mode == "max":
        raise ConfigError(
            f"Stage.monitor={name!r} with Stage.monitor_mode='max' keeps the epoch with the "
            "largest loss.",
            set_in="Stage.monitor_mode",
            valid='"auto" or "min"',
        )
    if name is None or name in LOSSES:
        return name in LOSSES
    if mode != "auto":
        return mode == "min"
    lower = task.lower_is_better(name.removeprefix("val_"))
    if lower is None:
        raise ConfigError(
            f"The task {task.name!r} does not declare if a larger or a smaller value of "
            f"Stage.monitor={name!r} is better.",
            set_in="Stage.monitor",
            valid=f"Stage.monitor_mode = 'max' or 'min'; or {name.removeprefix('val_')!r} in the "
            "`figures` of the task, and in its `lower` if a smaller value is better",
        )
    return lower


def better(
    record: Record,
    best: Record,
    monitor: str | None,
    least: float = 0.0,
    lower: bool = False,
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
      stage: with `patience`, `monitor` and `min_change`.
      lower: whether a smaller value of the monitored metric is better.
    """
    if stage.patience is None:
        return None
    best: Record | None = None
    waited = 0
    for record in records:
        if record["stage_number"] != number:
            continue
        if best is None or better(record, best, stage.monitor, stage.min_change, lower):
            best, waited = record, 0
        else:
            waited += 1
    if best is None or waited < stage.patience:
        return None
    name = stage.monitor or (USUAL if USUAL in best else "val_loss")
    return (
        f"stage {stage.name!r} ends early: {name} was {best[name]:.4f} after epoch "
        f"{best['epoch']} and has not improved by more than {stage.min_change:g} in {waited} epochs"
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
    precision = ', Stage.precision = "mixed_bfloat16"' * (stage.precision == "mixed_float16")
    raise DivergenceError(
        f"{broken[0]} of stage {stage.name!r} is {logs[broken[0]]} {place}, at learning rate "
        f"{learning_rate:.3g}. The training stopped.",
        set_in=f"Stage.learning_rate={stage.learning_rate:g}",
        valid="a lower Stage.learning_rate, Stage.clip_norm = 1.0, a longer Stage.warmup"
        f"{precision}, or finite inputs and targets; with another workdir",
    )
