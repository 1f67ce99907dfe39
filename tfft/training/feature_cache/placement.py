"""Whether the outputs of frozen layers are kept, and where."""

from __future__ import annotations

import dataclasses


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
