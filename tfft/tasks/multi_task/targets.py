"""The targets of each part under its name, and the loss of the best constant output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.tasks.base import Task
from tfft.tasks.multi_task.data import Share


def targets_of(shares: Mapping[str, Share]) -> dict[str, dict[str, Any]]:
    """Returns the targets of all examples by task, each with its `mask`, float32 [n].

    The mask is 1 for an example that has targets, of those of tokens one that is not padding, and 0
    for the others, whose targets are zeros or padding.

    Args:
      shares: the examples of each task.
    """
    result = {}
    for name, share in shares.items():
        own = share.examples.targets
        if not len(share.rows):  # those of no example
            own = share.task.encode_targets(Examples(tuple([] for _ in share.task.inputs), []))
            own = Ragged(np.zeros(0, np.int32), np.zeros(1, np.int64)) if own is None else own
        mask = np.zeros(share.count, np.float32)
        mask[share.rows] = 1.0
        if isinstance(own, Ragged):
            mask[share.rows] = [(row != own.padding).any() for row in own.rows()]
        result[name] = {"targets": share.placed(own), "mask": mask}
    return result


def constant_loss(
    tasks: Mapping[str, Task], weights: Mapping[str, float], targets: Mapping[str, Any]
) -> float | None:
    """Returns the loss of each task's best constant answer; None where one has none.

    Args:
      targets: of `targets_of`.
    """
    total = 0.0
    for name, task in tasks.items():
        own, mask = targets[name]["targets"], targets[name]["mask"]
        rows = np.flatnonzero(mask)
        own = own.take(rows) if isinstance(own, Ragged) else own[rows]
        loss = task.build_evaluator().constant_loss(own) if len(rows) else 0.0
        if loss is None:
            return None
        total += weights[name] * loss * len(rows) / len(mask)
    return total
