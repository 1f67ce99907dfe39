"""LoRA: a low-rank change of chosen kernels."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, FRACTION, NAMED, POSITIVE, validated
from tfft.errors import ConfigError
from tfft.methods.base import Adapter, Drop, Method, Plain, Product, Values

ops = keras.ops


@dataclasses.dataclass(frozen=True, kw_only=True)
class LowRank(Adapter):
    """A kernel W [i o] becomes W + alpha / rank * a b, with a [i r] and b [r o].

    Keras' own `enable_lora` has no dropout, and on a kernel with an axis of heads its a has r$
    columns for each head: several times the weights of the paper's method.
    """

    name: ClassVar[str] = "lora"
    late: ClassVar[tuple[str, ...]] = ("a",)

    rank: int
    alpha: float

    def weights(self, place: str, inputs: int, outputs: int, rng: np.random.Generator) -> Values:
        """Returns `a` uniform within 1 / sqrt(i) and `b` zero, as the paper's code does."""
        if self.rank > min(inputs, outputs):
            raise ConfigError(
                f"lora.rank={self.rank} is above the rank of {place}, [{inputs} {outputs}].",
                valid=f"1 to {min(inputs, outputs)}; 4 to 16 is usual",
            )
        bound = inputs**-0.5
        a = rng.uniform(-bound, bound, (inputs, self.rank))
        return {"a": a.astype(np.float32), "b": np.zeros((self.rank, outputs), np.float32)}

    def apply(
        self, part: Any, product: Product, rows: Any, training: bool | None, drop: Drop
    ) -> Any:
        """Adds the change as a branch; then no gradient of a whole kernel is computed."""
        inner = ops.matmul(drop(part, rows, training), part.a)
        return ops.add(product(rows), ops.matmul(inner * (self.alpha / self.rank), part.b))

    def merged(self, values: Values, kernel: np.ndarray, bias: np.ndarray) -> Plain:
        return kernel + self.alpha / self.rank * (values["a"] @ values["b"]), bias

    def is_neutral(self, values: Values) -> bool:
        return not values["b"].any()


@validated(rank=COUNT, alpha=POSITIVE, dropout=FRACTION, targets=NAMED)
def lora(
    rank: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.0,
    targets: tuple[str, ...] = ("*/query", "*/value"),
) -> Method:
    """Trains low-rank changes of kernels, and the head (Hu et al. 2021, LoRA).

    Args:
      rank: r, the rank of a change.
      alpha: a change is multiplied by alpha / rank.
      dropout: the share of a change's inputs that is dropped while training.
      targets: patterns of the Dense layers that change: "*/query", "*/key", "*/value",
        "*/attention_output", "*/feedforward_intermediate_dense", "*/feedforward_output_dense".

    Returns:
      A method that begins with the pretrained backbone as it is; an export has plain kernels. About
      0.3 % of the weights of a BERT. A rate ten times that of full fine-tuning is usual.

    Raises:
      ConfigError: a number that cannot be.
    """
    adapter = LowRank(rank=rank, alpha=alpha, dropout=dropout, targets=tuple(targets))
    return Method("lora", ("*/lora/a", "*/lora/b"), adapter)
