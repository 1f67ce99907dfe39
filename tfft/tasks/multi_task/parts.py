"""Checks of the tasks that are parts of one, and the preprocessor that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data.inputs import names_of
from tfft.errors import ConfigError
from tfft.tasks.base import CustomPrediction, Task, modality_of, serving_signature


def _wrong(problem: str, valid: str, member: str = "tasks") -> ConfigError:
    return ConfigError(problem, set_in=f"MultiTask.{member}", valid=valid)


def check(tasks: Mapping[str, Task], weights: Mapping[str, float]) -> None:
    """Refuses tasks that cannot be learned together.

    Raises:
      ConfigError: there are less than two, or one reads or learns in a way of its own.
    """
    if len(tasks) < 2 or any(not name or "/" in name for name in tasks):
        raise _wrong(
            f"MultiTask has the tasks {', '.join(map(repr, tasks)) or 'none'}.",
            'two tasks or more by name, without "/": {"topic": @TextClassification(), ...}',
        )
    for name, task in tasks.items():
        output = task.backbone_output
        own = output.instances or task.augmentation is not None
        own = own or isinstance(task, CustomPrediction) or serving_signature(task).task is not task
        if own or output.kind not in ("pooled", "tokens") or modality_of(task) != "text":
            raise _wrong(
                f"{task.name} reads or answers in a way of its own: it cannot stand beside others.",
                "tasks that read a row an example: classification, of pairs too, several labels, "
                "regression, tagging",
                f"tasks, {name!r}",
            )
    if len({task.inputs for task in tasks.values()}) > 1:
        inputs = "; ".join(f"{n}: {', '.join(names_of(task.inputs))}" for n, task in tasks.items())
        raise _wrong(f"the tasks have different inputs ({inputs}).", "tasks of the same inputs")
    for name in weights:
        if name not in tasks:
            problem = f"MultiTask.weights has {weights[name]} for {name!r}."
            raise _wrong(problem, f"0 or more, for {', '.join(tasks)}", "weights")


def preprocessor(preprocessors: Sequence[Any], own: Any) -> Any:
    """Returns the preprocessor that serves all tasks: the backbone's, or one that gives more.

    Args:
      preprocessors: that each task builds from the backbone's.
      own: the backbone's.

    Raises:
      ConfigError: two tasks read texts in different ways.
    """
    more = [each for each in preprocessors if each is not own]
    if len({each.fingerprint() for each in more}) > 1:
        raise _wrong(
            "the tasks read their texts in different ways.", "tasks that make the same of a text"
        )
    return more[0] if more else own
