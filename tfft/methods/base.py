"""What a method adds to the layers of a backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np

Values = Mapping[str, np.ndarray]  # of an adapter's variables, by their names within it
Plain = tuple[np.ndarray, np.ndarray]  # kernel [i o] and bias [o]
Product = Callable[[Any], Any]  # from [... i] to [... o]
Drop = Callable[[Any, Any, Any], Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Adapter:
    """The weights that a method adds at each Dense layer that it names; a subclass is a kind.

    Attributes:
      targets: patterns of the names of Dense layers, such as "*/query".
      dropout: the share that `drop` drops while training.
    """

    name: ClassVar[str]  # of the variables' group
    late: ClassVar[tuple[str, ...]] = ()  # the variables that the first step cannot move
    merges: ClassVar[bool] = True  # whether kernel and bias can take the adapter in

    targets: tuple[str, ...]
    dropout: float = 0.0

    def weights(self, place: str, inputs: int, outputs: int, rng: np.random.Generator) -> Values:
        """Returns the first values of the variables, with which the layer is as it was.

        Args:
          place: the name of the Dense layer.
          inputs, outputs: the sizes i and o of its kernel [i o].
          rng: of what is random.
        """
        raise NotImplementedError

    def apply(
        self, part: Any, product: Product, rows: Any, training: bool | None, drop: Drop
    ) -> Any:
        """Returns the adapted layer's output before its activation, [... o].

        Args:
          part: has the variables as attributes.
          product: the layer's own product and bias, from [... i] to [... o].
          rows: [... i].
          training: the mode.
          drop: dropout at the rate of `part`, called with it, a tensor and the mode.
        """
        raise NotImplementedError

    def merged(self, values: Values, kernel: np.ndarray, bias: np.ndarray) -> Plain:
        """Returns kernel [i o] and bias [o] of a plain layer that computes the same."""
        raise NotImplementedError

    def is_neutral(self, values: Values) -> bool:
        """Returns True if the layer is as it was without the adapter, to the bit."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True)
class Method:
    """The few weights that a stage trains, of those that it does not freeze, beside the head.

    Attributes:
      name: shown in messages.
      trains: patterns as in `Stage.freeze`.
      adds: small weights beside the backbone's own, to be trained; None for nothing new.
    """

    name: str
    trains: tuple[str, ...]
    adds: Adapter | None = None
