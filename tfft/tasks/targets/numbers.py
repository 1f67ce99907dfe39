"""Answers that are numbers, or the similarity of two texts as a number."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from tfft.errors import DataError
from tfft.metrics import regression, retrieval
from tfft.tasks.targets.base import Counts, Target


@dataclasses.dataclass(frozen=True)
class Numbers(Target):
    """Answers that are numbers, with the mean and the deviation of the training split.

    Args:
      sentinels: numbers that stand for a missing answer.
      center, scale: the mean and the standard deviation of the training answers.
      low, high: the smallest and the largest training answer.
    """

    sentinels: tuple[float, ...] = regression.SENTINELS
    center: float = 0.0
    scale: float = 1.0
    low: float = -np.inf
    high: float = np.inf

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the target with the mean and the deviation of the training answers.

        Raises:
          DataError: an answer is no number, one seems to be missing, all are the same, or float32
            cannot standardize them.
        """
        regression.check(counts)
        if not counts:
            return self
        answers = list(counts)
        values, weights = np.array(list(map(float, answers))), list(counts.values())
        usual = [v for v in values if not regression.is_sentinel(v, self.sentinels)] or list(values)
        low, high = min(usual), max(usual)
        regression.check_sentinels(counts, self.sentinels, low, high)
        values = regression.read(answers).astype(np.float64)
        center = float(np.average(values, weights=weights))
        scale = float(np.sqrt(np.average((values - center) ** 2, weights=weights)))
        if low == high:
            problem = f"all training answers are {answers[0]}."
            raise DataError(problem, valid="two different numbers or more")
        regression.check_scale(values, center, scale)
        return dataclasses.replace(self, center=center, scale=scale, low=low, high=high)

    def check(self, counts: Counts) -> None:
        regression.check(counts)
        regression.check_sentinels(counts, self.sentinels, self.low, self.high)


@dataclasses.dataclass(frozen=True)
class Similarities(Target):
    """Answers that are numbers from 0 to the one that stands for a cosine of 1.

    Args:
      highest: that number.
    """

    highest: float = 1.0

    def check(self, counts: Counts) -> None:
        regression.check(counts)
        retrieval.as_similarities(list(counts), self.highest)
