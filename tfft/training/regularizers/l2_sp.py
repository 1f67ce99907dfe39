"""L2-SP: a pull towards the pretrained weights."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tfft.argument_checks.validated import POSITIVE, validated
from tfft.errors import ConfigError
from tfft.training.optimizers.decoupled import Rated, extended, pull_towards
from tfft.training.regularizers.base import Regularizer


@validated(strength=POSITIVE)
@dataclasses.dataclass(frozen=True)
class L2SP(Regularizer):
    """Pulls the backbone's weights towards the pretrained ones (Li et al. 2018).

    It takes the place of weight decay there; the head keeps the optimizer's.

    Args:
      strength: a step gives back learning rate x strength of the distance.
    """

    needs_pretrained: ClassVar[bool] = True
    strength: float

    def check(self, stage: Any, task: Any, backbone: Any) -> None:
        share = self.strength * stage.learning_rate
        if share >= 1:
            raise ConfigError(
                f"L2SP.strength * Stage.learning_rate = {share:g} gives back more than the "
                "distance.",
                set_in="L2SP.strength",
                valid=f"below {1 / stage.learning_rate:g}",
            )

    def extend_optimizer(self, optimizer_class: type) -> type:
        return extended(optimizer_class, Pulled)

    def configure_optimizer(
        self, optimizer: Any, variables: Mapping[str, Any], start: Mapping[str, np.ndarray]
    ) -> frozenset[str]:
        optimizer.strength = self.strength
        starts = (start.get(name) for name in variables)
        optimizer.starts = tuple(None if value is None else tf.constant(value) for value in starts)
        return frozenset(start)


class Pulled(Rated):
    """Goes before an optimizer of Keras: weights are pulled towards where they started.

    Before each step w = w - rate * strength * (w - start), the rate being the variable's own: the
    penalty L2-SP, decoupled from gradients and moments as weight decay is (Loshchilov and Hutter
    2019).
    """

    strength = 0.0
    starts: tuple[Any, ...] = ()  # in the order of the trainable variables; None is not pulled

    def _apply_weight_decay(self, variables: Any) -> None:
        super()._apply_weight_decay(variables)
        pull_towards(self, variables, self.strength, self._factor, self._way_back)

    def _way_back(self, variable: Any) -> Any:
        start = self.starts[self._index(variable)]
        return None if start is None else variable - start
