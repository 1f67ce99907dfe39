"""A stage made ready: mask, optimizer, schedule, and compile, in one action."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.layers.inspection import named_variables
from tfft.training.execution import set_precision, use_xla
from tfft.training.freezing import adapt, freeze_table, frozen_names, rate_factors, set_trainable
from tfft.training.model import Split, assemble
from tfft.training.optimizers.build import build_optimizer, make_optimizer
from tfft.training.regularizers.base import acts_in_step
from tfft.training.regularizers.dropout import set_dropout
from tfft.training.regularizers.training_step import TrainingStep
from tfft.training.stage import Stage, check_regularizers, needs_pretrained


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    Attributes:
      split: the model, and its prefix and tail.
      trained: the model whose `fit` is called: the tail when features are reused.
      frozen: names of the variables that stay as they are.
      start: the pretrained values of the backbone's trained weights, where the stage reads them.
      table: a row a group: name, parameters, trainable parameters, the range of rate factors.
    """

    stage: Stage
    split: Split
    trained: Any
    frozen: frozenset[str]
    table: list[dict[str, Any]]
    start: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)

    @property
    def trainable_share(self) -> float:
        """How much of all weights the stage trains, 0 to 1, the head and adapters included."""
        trained, total = (sum(row[k] for row in self.table) for k in ("trainable", "parameters"))
        return trained / total


def prepare(
    stage: Stage,
    backbone: Any,
    head: Any,
    task: Any,
    total_steps: int,
    reuse: bool = False,
    seed: int = 0,
    pretrained: Mapping[str, np.ndarray] | None = None,
) -> Prepared:
    """Sets the mask, makes a new optimizer and compiles, in one action.

    Args:
      stage: what to train and how.
      backbone: a Backbone.
      head: the task's head, from what it reads.
      task: gives the loss and the metrics.
      total_steps: the length of the schedule, in batches.
      reuse: train the tail on stored features rather than the whole model.
      seed: of the noise that the stage adds.
      pretrained: the values that L2SP and WiseFT go back to; those of now by default.

    Raises:
      ConfigError: the stage does not fit the task or the backbone.
    """
    check_regularizers(stage, task, backbone)
    stage.batching.check(stage, task)
    if not head.built:
        head.build(backbone.head_shape)
    adapt([stage], backbone, 0)
    frozen = frozen_names(stage, backbone, head)
    set_precision(backbone, head, stage.execution.dtype_policy)
    compiled = use_xla(stage.execution.jit_compile)
    backbone.packed = not compiled
    groups = set_trainable(backbone, head, frozen)
    set_dropout(backbone, None)
    for regularizer in stage.regularizers:
        regularizer.prepare(backbone)
    step = training_step(stage, seed)
    split = assemble(backbone, head, groups, step)
    optimizer = make_optimizer(stage, total_steps)
    trained: Any = split.tail if reuse and split.tail is not None else split.full
    head_alone = trained is split.tail and len(groups) == len(backbone.groups)
    for model in dict.fromkeys((split.full, trained)):
        model.compile(
            optimizer=optimizer,
            loss=task.build_loss(head),
            metrics=task.build_metrics(),
            jit_compile=compiled,
            steps_per_execution=stage.execution.batches_per_call(head_alone),
        )
        model.training_step = step
    named = {id(v): name for name, v in named_variables(backbone, head).items()}
    variables = {named[id(v)]: v for v in trained.trainable_variables}
    start = started(stage, variables, pretrained)
    factors = rate_factors(stage, backbone, head)
    build_optimizer(trained.optimizer, stage, variables, start, factors)
    table = freeze_table(backbone, head, frozen, factors)
    return Prepared(stage, split, trained, frozen, table, start)


def training_step(stage: Stage, seed: int) -> TrainingStep | None:
    """Returns the training step of a stage; None for Keras' own."""
    accumulated = stage.batching.gradient_accumulation_steps > 1
    acting = [one for one in stage.regularizers if acts_in_step(one)]
    return TrainingStep(acting, accumulated, seed) if acting or accumulated else None


def pretrained_values(
    stages: Sequence[Stage], variables: Mapping[str, Any]
) -> dict[str, np.ndarray] | None:
    """Returns copies of the variables where a stage goes back to them later; else None."""
    if not any(map(needs_pretrained, stages)):
        return None
    return {name: np.array(variable) for name, variable in variables.items()}


def started(
    stage: Stage, variables: Mapping[str, Any], values: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Returns the first values of the backbone's trained variables, if the stage reads them.

    Args:
      stage: the Stage.
      variables: the trained ones, by name.
      values: of `pretrained_values`; None takes those that the variables have.
    """
    return {
        name: np.array(variable) if values is None else values[name]
        for name, variable in variables.items()
        if needs_pretrained(stage) and not name.startswith("head/")
    }
