"""The places of a stage and of its training step at which a regularizer acts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

Forward = Callable[[], tuple[Any, Any]]  # returns a loss and outputs
# Of a step; a stage whose regularizers override none of them trains with Keras' own step.
STEP_PLACES = ("begin_step", "on_hidden", "on_pooled", "target_loss", "loss", "gradients")


@dataclasses.dataclass
class StepState:
    """The state of a training step while it is traced.

    Attributes:
      seed: int32 [2], of the stage and the number of the step. Random numbers of a regularizer
        follow from it, not from the order in which regularizers are listed.
      targets: of the batch, [b ...], or several by name.
      values: what a regularizer keeps from one place to another.
      tape: of the pass that is traced.
      watched: tensors whose gradients `gradients` needs, by name.
    """

    seed: tf.Tensor
    targets: Any
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    tape: tf.GradientTape | None = None
    watched: dict[str, tf.Tensor] = dataclasses.field(default_factory=dict)

    def watch(self, name: str, tensor: tf.Tensor) -> None:
        """Asks for the gradient of the loss by a tensor of the forward pass."""
        assert self.tape is not None
        self.tape.watch(tensor)
        self.watched[name] = tensor


@dataclasses.dataclass(frozen=True)
class Gradients:
    """A pass forward and back.

    Attributes:
      loss: [].
      outputs: of the model, [b ...].
      weights: the gradients of the trained weights, in their order; None stands for zero.
      watched: the gradients of what was watched, by name.
    """

    loss: tf.Tensor
    outputs: Any
    weights: list[Any]
    watched: Mapping[str, Any]


class Regularizer:
    """Acts at places of a stage; a subclass is a frozen dataclass of its settings.

    Several of one stage act in the order of `order`. Two of the same class are refused.

    Attributes:
      order: of those that act at the same place, one with a larger number reads what the others
        made; the name of the class decides between equal numbers.
      needs_pretrained: whether it reads the pretrained weights later.
    """

    order: ClassVar[int] = 0
    needs_pretrained: ClassVar[bool] = False

    # Of a stage ---------------------------------------------------------------------------------

    def check(self, stage: Any, task: Any, backbone: Any) -> None:
        """Refuses what the regularizer cannot work on.

        Raises:
          ConfigError: what it needs and the stage, the task or the backbone does not have.
        """

    def prepare(self, backbone: Any) -> None:
        """Changes the layers of the backbone before the model is built."""

    def begin_stage(
        self, stages: Sequence[Any], number: int, backbone: Any, head: Any, seed: int, console: Any
    ) -> None:
        """Changes weights before the first step of stage `number`; not when a run is resumed."""

    def extend_optimizer(self, optimizer_class: type) -> type:
        """Returns the class of the optimizer, or one that inherits from it."""
        return optimizer_class

    def configure_optimizer(
        self, optimizer: Any, variables: Mapping[str, Any], start: Mapping[str, np.ndarray]
    ) -> frozenset[str]:
        """Sets attributes of the optimizer; returns the names of weights that must not decay.

        Args:
          optimizer: of Keras, not built yet.
          variables: the trained ones by name, in the optimizer's order.
          start: the pretrained values of those of the backbone.
        """
        return frozenset()

    # Of a step ----------------------------------------------------------------------------------

    def begin_step(self, step: StepState) -> None:
        """Draws what several places of the step need."""

    def on_hidden(self, step: StepState, hidden: Any, padding_mask: Any) -> Any:
        """Returns what the trained part reads in place of `hidden`, [b t d], [b d] or [b ...]."""
        return hidden

    def on_pooled(self, step: StepState, pooled: Any) -> Any:
        """Returns what the head reads in place of the pooled features, [b d]."""
        return pooled

    def target_loss(self, step: StepState, loss_of: Callable[[Any], Any], targets: Any) -> Any:
        """Returns the loss of a pass for targets as of `step`; `loss_of(targets)` is the task's."""
        return loss_of(targets)

    def loss(self, step: StepState, forward: Forward) -> tuple[Any, Any]:
        """Returns the loss of a step and the outputs; each call of `forward` is a pass."""
        return forward()

    def gradients(self, step: StepState, compute: Callable[[], Gradients]) -> Gradients:
        """Returns the gradients of a step; each call of `compute` is a pass forward and back."""
        return compute()


def acts_in_step(regularizer: Regularizer) -> bool:
    """Returns True if a regularizer overrides a place of the training step."""
    kind = type(regularizer)
    return any(getattr(kind, name) is not getattr(Regularizer, name) for name in STEP_PLACES)


class _Place(keras.layers.Layer):
    """Where regularizers change a tensor in training.

    Args:
      step: the `TrainingStep`; None, as in a model out of a `.keras` file, changes nothing.
    """

    def __init__(self, step: Any = None, **kwargs: Any):
        super().__init__(**kwargs)
        self.step = step

    def get_config(self) -> dict[str, Any]:
        return super().get_config()  # without the step, which belongs to the training


@keras.saving.register_keras_serializable("tfft")
class HiddenPlace(_Place):
    """Where regularizers change what the trained part of a model reads, in training."""

    def call(self, hidden: Any, padding_mask: Any = None, training: bool | None = None) -> Any:
        if not training or self.step is None:
            return hidden
        return self.step.on_hidden(hidden, padding_mask)


@keras.saving.register_keras_serializable("tfft")
class PooledPlace(_Place):
    """Where regularizers change the pooled features [b d] that the head reads, in training."""

    def call(self, pooled: Any, training: bool | None = None) -> Any:
        return self.step.on_pooled(pooled) if training and self.step is not None else pooled
