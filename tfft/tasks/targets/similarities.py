"""The similarity of two texts, as a number."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tfft.metrics import regression, retrieval
from tfft.tasks.targets.base import Target


@dataclasses.dataclass(frozen=True)
class Similarities(Target):
    """Answers that are numbers from 0 to the one that stands for a cosine of 1.

    Args:
      highest: that number.
    """

    highest: float = 1.0

    def check(self, counts: Mapping[str, int]) -> None:
        regression.check(counts)
        retrieval.as_similarities(list(counts), self.highest)
