"""Baselines of generated texts: the most frequent answer, and the text itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfft.baselines.base import Floor


def most_frequent_answer(answers: Sequence[str], count: int) -> dict[str, Floor]:
    """Returns the most frequent training answer, the first of equally frequent ones.

    Args:
      answers: of the training split.
      count: how many test examples there are.
    """
    distinct, first, counts = np.unique(np.array(answers), return_index=True, return_counts=True)
    answer = str(distinct[np.lexsort((first, -counts))[0]])
    return {"most_frequent": Floor({"text": [answer] * count})}


def copied_text(texts: Sequence[str]) -> dict[str, Floor]:
    """Returns each text as its own answer."""
    return {"copy": Floor({"text": list(texts)})}
