"""By how much no answer has to be more probable than the best one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tfft.data.examples import Examples
from tfft.metrics.text import answer_span_scores, extractive_answers
from tfft.tasks.calibrations.base import CalibratedTask, Calibration


class NoAnswerThreshold(Calibration):
    """Chooses the threshold that gives the best F1.

    Args:
      threshold: a difference of log-probabilities; "validation" fits it; None always answers.
      longest_answer: the most tokens of an answer.
    """

    def __init__(self, threshold: float | Literal["validation"] | None, longest_answer: int):
        self.threshold, self.longest_answer = threshold, longest_answer
        self.fits = threshold == "validation"

    def fit(
        self, task: CalibratedTask, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> dict[str, Any]:
        """Returns `null_threshold` for validation data.

        Args:
          examples: questions and contexts, with their answers and tokens.
          outputs: logits of both ends, float [r t 2] an example.
        """
        spans = answer_span_scores.found(examples.encoded, outputs, self.longest_answer)
        return {"null_threshold": extractive_answers.best_threshold(examples, spans)}

    @property
    def limit(self) -> float:
        """The difference of log-probabilities above which no answer is predicted."""
        threshold = self.values.get("null_threshold", self.threshold)
        if threshold is None:
            return np.inf
        return 0.0 if isinstance(threshold, str) else float(threshold)
