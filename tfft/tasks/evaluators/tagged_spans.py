"""Metrics and reports of spans of a text with a label each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfft.baselines.base import Floor
from tfft.baselines.span_dictionary import span_floors
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.metrics.text import tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.tasks.evaluators.base import Evaluator, Log, reported
from tfft.tasks.report_examples import shown_examples


class SpanEvaluator(Evaluator):
    """Evaluates probabilities of BIO tags at the tokens of each text, float [t c].

    Args:
      labels: of the spans, in the order of their tags.
      loss: of the training.
    """

    metrics = reported(tagged_spans.FIGURES)
    aggregate = "f1"

    def __init__(self, labels: Sequence[str], loss: Callable[[], keras.losses.Loss]):
        self.labels, self._loss = tuple(labels), loss

    def evaluate(self, examples: Examples, outputs: Sequence[np.ndarray]) -> dict[str, Any]:
        """Returns what `span_metrics` does, and the share of words with the right tag."""
        words = tagged_spans.word_sums(examples.targets.rows(), outputs)
        references, predictions = self._spans(examples, outputs)
        more = {"token_accuracy": ("ratio", words)}
        return tagged_spans.span_metrics(references, predictions, self.labels, more)

    def main_terms(
        self, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> dict[str, np.ndarray]:
        """Returns the spans of each text, as `hits`, `predicted` and `true`."""
        return tagged_spans.span_sums(*self._spans(examples, outputs))

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of the shares of the tags for every word."""
        known = np.concatenate([row[row >= 0] for row in targets.rows()])[None]
        shares = np.bincount(known[0], minlength=1 + 2 * len(self.labels)) / max(known.size, 1)
        return float(self._loss()(known, np.tile(shares.astype("f4"), (1, known.size, 1))))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        """Returns the most frequent tag, and a dictionary of the training spans."""
        words = word_spans.of_tokens(train)
        known = (train.inputs[0], words, tagged_spans.truth(train))
        return span_floors(known, (test.inputs[0], word_spans.of_tokens(test)), self.labels)

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many spans do not match whole words, or are truncated."""
        truncated = examples.encoded.cut > 0
        words = word_spans.of_tokens(examples)
        return tagged_spans.told(zip(tagged_spans.truth(examples), words, truncated, strict=True))

    def report_details(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns `labels`."""
        return {"labels": list(self.labels)}

    def report_examples(self, examples: Examples, outputs: Sequence[np.ndarray]) -> dict[str, Any]:
        """Returns the examples with the most spans that are missed or wrong."""
        worst = tagged_spans.errors(*self._spans(examples, outputs), examples.inputs[0])
        return shown_examples(examples, list(worst), worst.__getitem__)

    def _spans(
        self, examples: Examples, outputs: Sequence[np.ndarray]
    ) -> tuple[list[list[tagged_spans.Span]], list[list[tagged_spans.Span]]]:
        """Returns the spans of each text: references and predictions."""
        each = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.labels)
        return tagged_spans.truth(examples), [[span[:3] for span in spans] for spans in each]
