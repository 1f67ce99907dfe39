"""Made examples that can be learned, for tests and for trying a setting."""

from __future__ import annotations

import numpy as np

from tfft.sources import Source

WORDS = "the a film plot cast scene story screen music line end of with and in it is was".split()


def synthetic(examples: int = 512, classes: int = 2, seed: int = 0) -> Source:
    """Returns texts of filler words that hold one word of their class.

    Args:
      examples: of the training split; validation and test have a quarter each.
      classes: how many labels.
      seed: of all choices.
    """
    rng = np.random.default_rng(seed)

    def rows(count: int) -> tuple[list[str], list[str]]:
        labels = [f"class_{number % classes}" for number in range(count)]
        texts = []
        for label in labels:
            words = list(rng.choice(WORDS, rng.integers(2, 20)))
            words.insert(int(rng.integers(0, len(words))), f"mark{label[6:]}")
            texts.append(" ".join(words))
        return texts, labels

    quarter = max(classes, examples // 4)
    parts = {"train": rows(examples), "validation": rows(quarter), "test": rows(quarter)}
    return Source("synthetic", parts, ["made examples: a figure on them means nothing"])
