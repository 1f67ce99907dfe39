"""Which epoch is the best, and when a stage has stopped to get better."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfft.errors import ConfigError, near

SMALLER = ("loss", "error", "mae", "mse", "perplexity")  # metrics of which less is better
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


def better(record: Record, best: Record, monitor: str | None, least: float = 0.0) -> bool:
    """Says whether an epoch is better than the best so far.

    Args:
      monitor: the metric; None compares by validation accuracy where there is one, then loss, and
        takes the later epoch where nothing is validated.
      least: by how much the metric must have improved.
    """
    if monitor is None and "val_loss" not in record:
        return True
    if monitor is None and USUAL not in record:
        monitor = "val_loss"
    gain = _value(record, monitor) - _value(best, monitor)
    if gain == 0 and least == 0 and "val_loss" in record and "val_loss" in best:
        return record["val_loss"] < best["val_loss"]
    return gain > least


def _value(record: Record, monitor: str | None) -> float:
    """Returns the watched figure so that more is better; the worst there is when it is missing."""
    name = monitor or USUAL
    if name not in record:
        return 0.0 if monitor is None else float("-inf")
    return -record[name] if any(word in name for word in SMALLER) else record[name]


def exhausted(records: Sequence[Record], number: int, stage: Any) -> str | None:
    """Returns why a stage ends before its last epoch, None when it goes on.

    It follows from the records alone, so that a run that was stopped decides as one that was not.

    Args:
      records: of the run's finished epochs.
      number: of the stage.
      stage: with `patience`, `monitor` and `min_change`.
    """
    if stage.patience is None:
        return None
    best: Record | None = None
    waited = 0
    for record in records:
        if record["stage_number"] != number:
            continue
        if best is None or better(record, best, stage.monitor, stage.min_change):
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
