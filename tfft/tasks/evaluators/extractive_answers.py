"""Metrics and reports of answers that stand in a context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.baselines.sliding_window_answers import answer_floors
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.metrics.text import answer_span_scores, extractive_answers
from tfft.tasks.evaluators.base import Evaluator, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples


class AnswerEvaluator(Evaluator):
    """Evaluates logits of both ends of an answer, float [r t 2] an example.

    Args:
      longest_answer: the most tokens of an answer.
      limit: the difference of log-probabilities above which no answer is predicted.
    """

    metrics = reported(extractive_answers.FIGURES)

    def __init__(self, longest_answer: int, limit: float):
        self.longest_answer, self.limit = longest_answer, limit

    def terms(self, examples: Examples, outputs: Sequence[np.ndarray]) -> Terms:
        return extractive_answers.measures(
            self._predictions(examples, outputs), extractive_answers.texts(examples)
        )

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss where every token is equally probable."""
        return answer_span_scores.uniform_loss(targets)

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        """Returns a sliding window over words and, where it is ever right, no answer at all."""
        return answer_floors(train, test, self.longest_answer)

    def slices(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by whether a context has an answer."""
        known = extractive_answers.texts(examples)
        return {"answer": ["there is one" if each else "there is none" for each in known]}

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many answers are in no window."""
        return answer_span_scores.left_out(examples.encoded)

    def report_examples(self, examples: Examples, outputs: Sequence[np.ndarray]) -> dict[str, Any]:
        """Returns the examples with the least F1, the surest first."""
        predictions = self._predictions(examples, outputs)
        worst = extractive_answers.surest_errors(examples, predictions)
        return shown_examples(examples, list(worst), worst.__getitem__)

    def _predictions(
        self, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        return predict_answers(examples, outputs, self.longest_answer, self.limit)


def predict_answers(
    examples: Examples, outputs: Sequence[np.ndarray], longest_answer: int, limit: float
) -> list[dict[str, Any]]:
    """Returns `answer` with the characters it begins with and ends before, and `probability`.

    No answer is "", from -1 to -1, with the probability of that.

    Args:
      examples: questions and contexts, with their tokens.
      outputs: logits of both ends, float [r t 2] an example.
      longest_answer: the most tokens of an answer.
      limit: the difference of log-probabilities above which no answer is predicted.
    """
    spans = answer_span_scores.found(examples.encoded, outputs, longest_answer)
    return answer_span_scores.told(spans, examples.inputs[1], limit)
