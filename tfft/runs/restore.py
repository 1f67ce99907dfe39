"""The best weights of a run, put into its model again."""

from __future__ import annotations

import copy
from typing import Any

import keras

from tfft.errors import WorkdirError
from tfft.evaluation import finite_checks
from tfft.layers.inspection import is_seed, named_variables
from tfft.methods import attachment
from tfft.runs import initial_weights
from tfft.storage.workdir import BEST, Workdir
from tfft.tasks.base import with_calibration
from tfft.training import checkpointing
from tfft.training.model import assemble

DECISION = "best/decision.json"  # temperature and threshold


def built_head(task: Any, backbone: Any) -> keras.layers.Layer:
    """Returns a task's head with its first weights."""
    head = task.build_head(backbone)
    head.build(backbone.head_shape)
    return head


def restore(task: Any, backbone: Any, files: Workdir) -> tuple[Any, Any, Any]:
    """Returns the task with its labels, the head and the model with a run's best weights.

    Args:
      task: without labels they are those of the run.
      backbone: as the task reads it.
      files: the run's folder.

    Raises:
      WorkdirError: the weights are missing or damaged, or not finite.
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
    decision = files.read_json(DECISION)
    try:
        task = with_calibration(task, decision, head) if decision else task
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise _unfit(files, DECISION, error) from error
    return task, head, assemble(backbone, head, frozenset()).full


def _unfit(files: Workdir, name: str, error: Exception) -> WorkdirError:
    """Returns the error about a file of a run that does not fit its config."""
    reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
    return WorkdirError(
        f"{files.path / name} does not fit the run's config: {reason}.",
        set_in=str(files.path / name),
        valid="the file that the run wrote; or the command that trained it, in another folder",
    )
