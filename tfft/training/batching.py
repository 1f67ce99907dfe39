"""How the examples of a stage become batches."""

from __future__ import annotations

import dataclasses
from typing import Any

import tensorflow as tf

from tfft.argument_checks.validated import COUNT, each, validated
from tfft.errors import ConfigError


@validated(**each("max_size gradient_accumulation_steps padded_lengths", COUNT))
@dataclasses.dataclass(frozen=True)
class Batching:
    """The batches of a stage.

    Args:
      max_size: the most tokens of a batch, padding included, instead of a number of examples; the
        learning rate stays as it is and losses are reported per example.
      gradient_accumulation_steps: how many batches make one step of the optimizer, as if they were
        one: each example has the same weight, and learning rate and warm-up count steps.
      oversample: repeats the examples of rarer classes until all classes are equally frequent.
      padded_lengths: what batches are padded to; None chooses at most six lengths that waste the
        fewest tokens of these data. `(128,)` pads every batch to 128.
    """

    max_size: int | None = None
    gradient_accumulation_steps: int = 1
    oversample: bool = False
    padded_lengths: tuple[int, ...] | None = None

    def check(self, stage: Any, task: Any) -> None:
        """Refuses oversampling where a task has no classes, and accumulation on several devices.

        Raises:
          ConfigError: oversampling repeats rarer classes; Keras cannot accumulate gradients under a
            distribution strategy.
        """
        steps = self.gradient_accumulation_steps
        if steps > 1 and tf.distribute.has_strategy():
            raise ConfigError(
                f"Batching.gradient_accumulation_steps={steps} of stage {stage.name!r} does not "
                "work under a distribution strategy.",
                set_in="Batching.gradient_accumulation_steps",
                valid="1; or --strategy=default",
            )
        if self.oversample and not task.target.are_classes:
            raise ConfigError(
                f"Batching.oversample=True of stage {stage.name!r} needs a class for each example, "
                f"and {task.name} has none.",
                set_in="Batching.oversample",
                valid="Batching.oversample = False",
            )
