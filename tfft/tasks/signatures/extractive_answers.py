"""Answers that stand in a context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.layers.answer_spans import served
from tfft.metrics import aggregates
from tfft.metrics.text import extractive_answers
from tfft.tasks.evaluators.extractive_answers import predict_answers
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class AnswerSignature(ServingSignature):
    """The answer to each question, where it stands in its context, and its probability.

    Args:
      task: whose model gives logits of both ends of an answer.
      longest_answer: the most tokens of an answer.
      limit: the difference of log-probabilities above which no answer is predicted.
    """

    def __init__(self, task: ServedTask, longest_answer: int, limit: float):
        super().__init__(task)
        self.longest_answer, self.limit = longest_answer, limit

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what `predict_answers` does, [b] each; for token ids the `logits`, [b r t 2]."""
        if "starts" not in features:
            return {"logits": outputs}
        return served(outputs, features, self.longest_answer, self.limit)

    def format_predictions(
        self, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """Returns `answer`, `start`, `end` and `probability`, see `predict_answers`."""
        return predict_answers(examples, outputs, self.longest_answer, self.limit)

    def format_answers(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        return extractive_answers.received(answers)

    def evaluate_answers(
        self, task: ServedTask, examples: Examples, answers: Answers
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the metrics of an export's answers, and no report details."""
        terms = extractive_answers.measures(
            self.format_answers(answers, examples), extractive_answers.texts(examples)
        )
        return aggregates.figures(terms), {}
