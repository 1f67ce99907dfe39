"""The best weights of a run, put into its model again."""

from __future__ import annotations

import copy
from typing import Any, Literal

import keras

from tfft.errors import WorkdirError
from tfft.evaluation import finite_checks
from tfft.layers.inspection import is_seed, named_variables
from tfft.methods import attachment
from tfft.runs import initial_weights
from tfft.storage import manifest
from tfft.storage.workdir import AGAIN, BEST, Workdir
from tfft.tasks.base import needs_fit, with_calibration
from tfft.training import checkpointing
from tfft.training.model import assemble

DECISION = "best/decision.json"  # temperature and threshold
WEIGHTS = "weights"  # its key for the checksum of the weights


def built_head(task: Any, backbone: Any) -> keras.layers.Layer:
    """Returns a task's head with its first weights."""
    head = task.build_head(backbone)
    head.build(backbone.head_shape)
    return head


def read_decision(files: Workdir) -> dict[str, Any] | None:
    """Returns the temperature and threshold of a run; None if there are none.

    Raises:
      WorkdirError: they are damaged, or belong to other weights than the best ones.
    """
    found = files.read_json(DECISION)
    if found is not None and found.pop(WEIGHTS, None) != files.arrays_checksum(BEST):
        raise files.damaged(DECISION, f"it belongs to other weights than {BEST}")
    return found


def write_decision(files: Workdir, values: dict[str, Any]) -> None:
    """Writes temperature and threshold with the checksum of the weights that they belong to."""
    files.write_json(DECISION, {**values, WEIGHTS: files.arrays_checksum(BEST)})


def restore(
    task: Any,
    backbone: Any,
    files: Workdir,
    decision: Literal["required", "optional", "none"] = "required",
) -> tuple[Any, Any, Any]:
    """Returns the task with its labels, the head and the model with a run's best weights.

    Args:
      task: without labels they are those of the run.
      backbone: as the task reads it.
      files: the run's folder.
      decision: whether temperature and threshold are applied. "required" refuses a run that lacks
        them though its task has them fitted.

    Raises:
      WorkdirError: the weights are missing or damaged, or not finite; or the decision is.
    """
    arrays, state = files.load(BEST)
    finite_checks.refuse_weights(arrays, str(files.path / BEST))
    try:
        if task.target.names is None:
            task = copy.copy(task)
            task.target = task.target.with_names(state["labels"])
        attachment.attach_again(backbone, state.get("adapters", []))
        head = built_head(task, backbone)
        variables = named_variables(backbone, head)
        checkpointing.assign(
            {name: variables[name] for name in arrays if not is_seed(name)}, arrays
        )
        initial_weights.note_restored(backbone, arrays, files.path)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unfit(files, BEST, error) from error
    if decision != "none":
        task = decided(task, head, files, decision == "required")
    return task, head, assemble(backbone, head, frozenset()).full


def decided(task: Any, head: Any, files: Workdir, required: bool) -> Any:
    """Returns the task with the temperature and threshold of a run, which its head gets too.

    Args:
      required: whether a run without them is refused if its task has them fitted.
    """
    values = read_decision(files)
    if not values and required and needs_fit(task):
        raise WorkdirError(
            f"{files.path / DECISION}, with the temperature or threshold, is missing or empty.",
            set_in=str(files.path / DECISION),
            valid=AGAIN,
        )
    try:
        return with_calibration(task, values, head) if values else task
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unfit(files, DECISION, error) from error


def restore_finished(
    task: Any, backbone: Any, files: Workdir, unfinished: bool, say: Any
) -> tuple[Any, Any, bool]:
    """Returns the task and the model as `restore` does, and True for a run that is complete.

    Args:
      unfinished: whether a run that is not complete is used, with a warning.
      say: the console.

    Raises:
      WorkdirError: as `restore` and `manifest.require` do.
    """
    finished = manifest.require(files, unfinished, say.warn)
    task, _, model = restore(task, backbone, files, "required" if finished else "optional")
    return task, model, finished


def _unfit(files: Workdir, name: str, error: Exception) -> WorkdirError:
    """Returns the error about a file of a run that does not fit its config."""
    reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return WorkdirError(
        f"{files.path / name} does not fit the run's config: {reason}.",
        set_in=str(files.path / name),
        valid="the file that the run wrote; or the command that trained it, in another folder",
    )
