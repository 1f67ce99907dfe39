"""Made examples that can be learned, for tests and for trying a setting."""

from __future__ import annotations

import numpy as np

from tfft.argument_checks.validated import SEED, Range, validated
from tfft.data.sources.base import MemorySource, Source
from tfft.data.splits import Rows
from tfft.errors import DataError

SIZE = Range(least=1, most=1_000_000)  # of what is made and held in memory
WORDS = ["the", "a", "film", "plot", "cast", "scene", "story", "screen", "music", "with", "is"]


@validated(examples=SIZE, classes=SIZE, seed=SEED)
def synthetic(examples: int = 512, classes: int = 2, seed: int = 0) -> Source:
    """Returns texts of filler words, each with one word that only its class has.

    Args:
      examples: of the training split; validation and test have a quarter each.
      classes: how many labels, named class_0, class_1 and so on.
      seed: of all choices.

    Raises:
      DataError: fewer than two classes, or fewer examples than classes.
    """
    if classes < 2 or examples < classes:
        raise DataError(
            f"synthetic(examples={examples}, classes={classes}) cannot be learned.",
            valid="two classes or more, and an example of each",
            see="tfft list",
        )
    rng = np.random.default_rng(seed)
    quarter = max(classes, examples // 4)
    sizes = {"train": examples, "validation": quarter, "test": quarter}
    rows = {split: _rows(size, classes, rng) for split, size in sizes.items()}
    return MemorySource("synthetic", rows, ["made examples: a figure on them means nothing"])


def _rows(count: int, classes: int, rng: np.random.Generator) -> Rows:
    numbers = [number % classes for number in range(count)]
    return [_text(number, rng) for number in numbers], [f"class_{number}" for number in numbers]


def _text(number: int, rng: np.random.Generator) -> str:
    words = [str(word) for word in rng.choice(WORDS, rng.integers(2, 20))]
    words.insert(int(rng.integers(0, len(words) + 1)), f"mark{number}")
    return " ".join(words)
