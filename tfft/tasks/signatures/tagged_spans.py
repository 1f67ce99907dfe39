"""Answers that are spans of a text with a label each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.metrics.text import tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class SpanSignature(ServingSignature):
    """The spans of each text: their characters, labels and probabilities.

    Args:
      task: whose model gives probabilities of BIO tags.
      labels: of the spans, in the order of their tags.
    """

    def __init__(self, task: ServedTask, labels: Sequence[str]):
        super().__init__(task)
        self.labels = tuple(labels)

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `word_spans.dense_spans`; for token ids the `probabilities` of tags, [b t c]."""
        if "starts" not in features:
            return {"probabilities": outputs}
        return word_spans.dense_spans(outputs, features["starts"], features["ends"], self.labels)

    def format_predictions(
        self, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> list[dict[str, Any]]:
        """Returns `spans`: start, end, text, label and probability, for outputs [t c] a text."""
        spans = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.labels)
        return tagged_spans.named(spans, examples.inputs[0])

    def format_answers(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        return tagged_spans.named(tagged_spans.received(answers), examples.inputs[0])

    def evaluate_answers(
        self, task: ServedTask, examples: Examples, answers: Answers
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the metrics and report details of an export's answers.

        Raises:
          ExportError: an export of an earlier version does not give the words of a text.
        """
        references = tagged_spans.truth(examples)
        spans = [[span[:3] for span in each] for each in tagged_spans.received(answers)]
        words = tagged_spans.served_word_sums(references, answers, self.labels)
        more = {"token_accuracy": ("ratio", words)}
        metrics = tagged_spans.span_metrics(references, spans, self.labels, more)
        return metrics, task.build_evaluator().report_details(examples, None)
