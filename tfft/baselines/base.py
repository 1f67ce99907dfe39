"""What every baseline returns."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

Say = Callable[[str], None] | None  # gets a line with what was fitted


@dataclasses.dataclass(frozen=True)
class Floor:
    """What a floor answers.

    Attributes:
      outputs: for the test texts, as the model's: float [n c].
      described: what it was fitted on, for the report.
    """

    outputs: Any
    described: dict[str, Any] = dataclasses.field(default_factory=dict)
