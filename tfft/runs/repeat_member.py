"""One run of a plan of several, and what it shares with the others."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class RepeatMember:
    """What a run of a plan is given beside its own settings.

    Attributes:
      name: of its folder within the plan's.
      pool: of a fold, the numbers of the pool's examples by split, int [n]; empty for a seed.
      features: frozen features in memory; `Features` fills it for the runs that follow.
      floors: by name; filled by the first run where all have the same splits, else None.
    """

    name: str
    pool: Mapping[str, np.ndarray]
    features: dict[str, Any]
    floors: dict[str, Any] | None
