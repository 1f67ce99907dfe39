"""Bottleneck adapters: a small network with a residual behind chosen layers."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, FRACTION, NAMED, validated
from tfft.methods.base import Adapter, Drop, Method, Product, Values

ops = keras.ops


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bottleneck(Adapter):
    """An output y [o] becomes y + gelu(y down + down_bias) up + up_bias, with down [o s]."""

    name: ClassVar[str] = "adapter"
    late: ClassVar[tuple[str, ...]] = ("down", "down_bias")
    merges: ClassVar[bool] = False

    size: int

    def weights(self, place: str, inputs: int, outputs: int, rng: np.random.Generator) -> Values:
        """`down` normal with deviation 1 / sqrt(o), all else zero: at first y stays y."""
        down = rng.normal(0.0, outputs**-0.5, (outputs, self.size))
        return {
            "down": down.astype(np.float32),
            "down_bias": np.zeros(self.size, np.float32),
            "up": np.zeros((self.size, outputs), np.float32),
            "up_bias": np.zeros(outputs, np.float32),
        }

    def apply(
        self, part: Any, product: Product, rows: Any, training: bool | None, drop: Drop
    ) -> Any:
        """Adds what the small network makes of the output."""
        outer = product(rows)
        inner = keras.activations.gelu(ops.add(ops.matmul(outer, part.down), part.down_bias))
        inner = drop(part, inner, training)
        return ops.add(outer, ops.add(ops.matmul(inner, part.up), part.up_bias))

    def is_neutral(self, values: Values) -> bool:
        return not values["up"].any() and not values["up_bias"].any()


@validated(size=COUNT, dropout=FRACTION, targets=NAMED)
def adapters(
    size: int = 48,
    dropout: float = 0.0,
    targets: tuple[str, ...] = ("*/feedforward_output_dense",),
) -> Method:
    """Trains small networks behind layers, and the head (Houlsby et al. 2019).

    Args:
      size: the inner width.
      dropout: the share of inner activations that is dropped while training.
      targets: patterns of the Dense layers behind which one stands: the feed-forward block as in
        Pfeiffer et al. 2021, with "*/attention_output" both places of Houlsby et al.

    Returns:
      A method that begins with the pretrained backbone as it is; an export keeps the networks,
      which cannot be merged. About 1 % of the weights of a BERT. A rate of 1e-4 to 1e-3 is usual.

    Raises:
      ConfigError: a number that cannot be.
    """
    adapter = Bottleneck(size=size, dropout=dropout, targets=tuple(targets))
    return Method("adapters", ("*/adapter/*",), adapter)
