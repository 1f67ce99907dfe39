"""(IA)3: factors on keys, values and the inner activations of the feed-forward block."""

from __future__ import annotations

import dataclasses
import fnmatch
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import DISTINCT, validated
from tfft.errors import ConfigError
from tfft.methods.base import Adapter, Drop, Method, Plain, Product, Values

ops = keras.ops


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scaling(Adapter):
    """A factor for each output of a Dense layer, `columns` [o], or for each input, `rows` [i].

    Attributes:
      inner: the targets whose inputs are scaled.
    """

    name: ClassVar[str] = "ia3"

    inner: tuple[str, ...]

    def weights(self, place: str, inputs: int, outputs: int, rng: np.random.Generator) -> Values:
        """Returns a factor of one for each input, or for each output."""
        if any(fnmatch.fnmatch(place, pattern) for pattern in self.inner):
            return {"rows": np.ones(inputs, np.float32)}
        return {"columns": np.ones(outputs, np.float32)}

    def apply(
        self, part: Any, product: Product, rows: Any, training: bool | None, drop: Drop
    ) -> Any:
        """Scales what goes into the product or what comes out of it."""
        if hasattr(part, "rows"):
            return product(ops.multiply(rows, part.rows))
        return ops.multiply(product(rows), part.columns)

    def merged(self, values: Values, kernel: np.ndarray, bias: np.ndarray) -> Plain:
        if "rows" in values:
            return kernel * values["rows"][:, None], bias
        return kernel * values["columns"], bias * values["columns"]

    def is_neutral(self, values: Values) -> bool:
        return all((value == 1.0).all() for value in values.values())


@validated(outputs=DISTINCT, inputs=DISTINCT)
def ia3(
    outputs: tuple[str, ...] = ("*/key", "*/value"),
    inputs: tuple[str, ...] = ("*/feedforward_output_dense",),
) -> Method:
    """Trains factors on activations, and the head (Liu et al. 2022, (IA)3).

    Args:
      outputs: patterns of the Dense layers whose outputs are scaled.
      inputs: patterns of those whose inputs are, as the feed-forward block's inner activations.

    Raises:
      ConfigError: there is no pattern.

    Returns:
      A method that begins with the pretrained backbone as it is; an export has plain kernels. About
      0.06 % of the weights of a BERT. Rates of 1e-3 to 1e-2 are usual.
    """
    if not outputs and not inputs:
        raise ConfigError(
            "ia3 scales nothing. Received: outputs=(), inputs=().", valid="a pattern in one of them"
        )
    adapter = Scaling(targets=(*outputs, *inputs), inner=tuple(inputs))
    return Method("ia3", ("*/ia3/columns", "*/ia3/rows"), adapter)
