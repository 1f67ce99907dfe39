"""A stage made ready: mask, optimizer, schedule, and compile, in one action."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.errors import ConfigError
from tfft.layers.inspection import named_variables
from tfft.training import wise_ft
from tfft.training.dropout import set_dropout
from tfft.training.execution import set_precision, use_xla
from tfft.training.freezing import adapt, freeze_table, frozen_names, rate_factors, set_trainable
from tfft.training.model import Split, assemble
from tfft.training.optimizer import build_optimizer, make_optimizer
from tfft.training.regularizers.train_step import refuse
from tfft.training.stage import SHORT_STEPS, Stage


@dataclasses.dataclass(frozen=True)
class Prepared:
    """A stage ready to train.

    Attributes:
      split: the model, and its prefix and tail.
      trained: the model whose `fit` is called: the tail when features are reused.
      frozen: names of the variables that stay as they are.
      start: the pretrained values of the body's trained weights, where the stage goes back to them.
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
        trained, whole = (sum(row[k] for row in self.table) for k in ("trainable", "parameters"))
        return trained / whole


def prepare(
    stage: Stage,
    body: Any,
    head: Any,
    task: Any,
    total_steps: int,
    reuse: bool = False,
    seed: int = 0,
    pretrained: Mapping[str, np.ndarray] | None = None,
) -> Prepared:
    """Sets the mask, makes a new optimizer and compiles: one action.

    Args:
      stage: what to train and how.
      body: a Backbone.
      head: the task's head, from what it reads.
      task: gives the loss and the metrics.
      total_steps: the length of the schedule, in batches.
      reuse: train the tail on stored features rather than the whole model.
      seed: of the noise that the stage adds.
      pretrained: the values that `l2_sp` and `wise_ft` go back to; those of now by default.

    Raises:
      ConfigError: the stage is one that `chain` must write out first.
    """
    refuse(stage, task)
    if stage.unfreeze:
        raise ConfigError(
            f"stage {stage.name!r} stands for several: unfreeze={stage.unfreeze!r}.",
            valid="tfft.train, which goes through them; or a Stage with a freeze_layers of its own",
        )
    if not head.built:
        head.build(body.head_shape)
    adapt([stage], body, 0)
    frozen = frozen_names(stage, body, head)
    set_precision(body, head, stage.precision)
    body.packed = not use_xla(stage.xla)
    still = set_trainable(body, head, frozen)
    set_dropout(body, stage.dropout)
    additions = stage.additions(seed)
    split = assemble(body, head, still, additions)
    optimizer = make_optimizer(stage, total_steps)
    trained: Any = split.tail if reuse and split.tail is not None else split.full
    head_alone = trained is split.tail and len(still) == len(body.groups)
    steps: Any = stage.steps_per_execution
    if steps == "auto":
        steps = SHORT_STEPS if head_alone else 1
    for model in [split.full, *([split.tail] if trained is split.tail else [])]:
        model.compile(
            optimizer=optimizer,
            loss=task.loss_on(head),
            metrics=task.metrics(),
            jit_compile=use_xla(stage.xla),
            steps_per_execution=steps,
        )
        model.additions = additions
    named = {id(v): name for name, v in named_variables(body, head).items()}
    variables = {named[id(v)]: v for v in trained.trainable_variables}
    start = wise_ft.started(stage, variables, pretrained)
    factors = rate_factors(stage, body, head)
    build_optimizer(trained.optimizer, stage, variables, start, factors)
    table = freeze_table(body, head, frozen, factors)
    return Prepared(stage, split, trained, frozen, table, start)
