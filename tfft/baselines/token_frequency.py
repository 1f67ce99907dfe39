"""The most frequent tokens, as a guess for each masked one."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.metrics.text.masked_tokens import constant, hidden, shares


def floors(train: Any, test: Any, tokens: int, most: int) -> dict[str, Floor]:
    """Returns the outputs by how often each of `tokens` ids is hidden in the training texts.

    Args:
      train, test: targets, as of `hidden`.
      tokens: how many ids there are.
      most: as in `constant`.
    """
    texts = hidden(train)
    seen = np.concatenate(texts)
    share = shares(seen[seen >= 0], tokens)
    details = {"fitted_on": len(texts), "training_texts": len(texts)}
    return {"frequency": Floor(constant(share, hidden(test), most), details)}
