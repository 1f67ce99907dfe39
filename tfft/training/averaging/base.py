"""The places of a stage at which an average of weights acts."""

from __future__ import annotations

from typing import Any, ClassVar


class Averaging:
    """An average of weights; a subclass is a frozen dataclass of its settings.

    Attributes:
      needs_pretrained: whether it reads the pretrained weights later.
      needs_validation: whether it chooses on validation data.
      needs_train_loop: whether only the loop of `tfft.train` computes it.
    """

    needs_pretrained: ClassVar[bool] = False
    needs_validation: ClassVar[bool] = False
    needs_train_loop: ClassVar[bool] = False

    def extend_optimizer(self, optimizer_class: type) -> type:
        """Returns the class of the optimizer, or one that inherits from it."""
        return optimizer_class

    def optimizer_arguments(self) -> dict[str, Any]:
        """Returns arguments for the optimizer of Keras."""
        return {}

    def configure_optimizer(self, optimizer: Any, steps: int) -> None:
        """Sets attributes of the optimizer of Keras, for a stage of `steps` of its steps."""

    def warnings(self, steps: int, epochs: int) -> list[str]:
        """Returns a message for each setting that has no effect in a stage of this length."""
        return []

    def end_stage(self, recorder: Any, validation: Any) -> None:
        """Changes the weights when the stage ends.

        Args:
          recorder: a `checkpointing.Recorder` after the last epoch.
          validation: batches of the validation split; None without one.
        """
