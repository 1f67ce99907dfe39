"""Whether the outputs of frozen layers are kept, and where."""

from __future__ import annotations

import dataclasses
from typing import Literal

from tfft.argument_checks.validated import validated


@validated()
@dataclasses.dataclass(frozen=True)
class FeatureCache:
    """Whether the outputs of the frozen layers are computed once, and where they are kept.

    Args:
      where: "memory" and "disk" compute the frozen prefix once and train on its outputs, "disk"
        keeps them for other stages and runs; "auto" takes what is on disk, else memory, else disk,
        where that pays and fits; "off" computes the prefix at every step.
      dtype: "float16" stores them in half the space, and the report says what that changed;
        "float32" stores them as the layers compute them, which in mixed precision is in half the
        space too.
    """

    where: Literal["auto", "memory", "disk", "off"] = "auto"
    dtype: Literal["float32", "float16"] = "float32"

    @property
    def half(self) -> bool:
        """Whether features are stored in float16."""
        return self.dtype == "float16"


@dataclasses.dataclass(frozen=True)
class Decision:
    """Whether a stage trains on stored outputs: "memory", "disk" or "off", why, and their bytes."""

    kind: str
    reason: str
    size: int = 0


def gain(layers: int, trained: int, epochs: float) -> float:
    """Returns how many times quicker training gets when the frozen layers are computed once.

    With a backward pass of twice the forward one: E(L + 2k) / ((L - k) + 3kE).
    """
    return epochs * (layers + 2 * trained) / max(layers - trained + 3 * trained * epochs, 1e-9)
