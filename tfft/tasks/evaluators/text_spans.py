"""Metrics and reports of parts of a text: answers in a context, and labelled spans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from tfft.baselines.sliding_window_answers import answer_floors
from tfft.baselines.span_dictionary import span_floors
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.metrics.text import answer_span_scores, extractive_answers, tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples

Outputs = Sequence[np.ndarray]  # an array for each example


class AnswerEvaluator(Evaluator):
    """Evaluates logits of both ends of an answer, float [r t 2] an example.

    Args:
      longest_answer: the most tokens of an answer.
      limit: the difference of log-probabilities above which no answer is predicted.
    """

    metrics = reported(extractive_answers.FIGURES)

    def __init__(self, longest_answer: int, limit: float):
        self.longest_answer, self.limit = longest_answer, limit

    def terms(self, examples: Examples, outputs: Outputs) -> Terms:
        predictions = predict_answers(examples, outputs, self.longest_answer, self.limit)
        return extractive_answers.measures(predictions, extractive_answers.texts(examples))

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss where every token is equally probable."""
        return answer_span_scores.uniform_loss(targets)

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns a sliding window over words and, where it is ever right, no answer at all."""
        return answer_floors(train, test, self.longest_answer)

    def slices(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by whether a context has an answer."""
        references = extractive_answers.texts(examples)
        return {"answer": ["there is one" if each else "there is none" for each in references]}

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many answers are in no window."""
        return answer_span_scores.left_out(examples.encoded)

    def report_examples(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns the examples with the least F1, the surest first."""
        predictions = predict_answers(examples, outputs, self.longest_answer, self.limit)
        worst = extractive_answers.surest_errors(examples, predictions)
        return shown_examples(examples, list(worst), worst.__getitem__)


def predict_answers(
    examples: Examples, outputs: Outputs, longest_answer: int, limit: float
) -> list[Details]:
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

    def evaluate(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns what `span_metrics` does, and the share of words with the right tag."""
        words = tagged_spans.word_sums(examples.targets.rows(), outputs)
        more = {"token_accuracy": ("ratio", words)}
        return tagged_spans.span_metrics(*self._spans(examples, outputs), self.labels, more)

    def main_terms(self, examples: Examples, outputs: Outputs) -> dict[str, np.ndarray]:
        """Returns the spans of each text, as `hits`, `predicted` and `true`."""
        return tagged_spans.span_sums(*self._spans(examples, outputs))

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of the shares of the tags for every word."""
        tags = np.concatenate([row[row >= 0] for row in targets.rows()])[None]
        shares = np.bincount(tags[0], minlength=1 + 2 * len(self.labels)) / max(tags.size, 1)
        return float(self._loss()(tags, np.tile(shares.astype("f4"), (1, tags.size, 1))))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the most frequent tag, and a dictionary of the training spans."""
        known = (train.inputs[0], word_spans.of_tokens(train), tagged_spans.truth(train))
        return span_floors(known, (test.inputs[0], word_spans.of_tokens(test)), self.labels)

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many spans do not match whole words, or are truncated."""
        rows = (tagged_spans.truth(examples), word_spans.of_tokens(examples))
        return tagged_spans.told(zip(*rows, examples.encoded.cut > 0, strict=True))

    def report_details(self, examples: Examples, outputs: Any) -> Details:
        """Returns `labels`."""
        return {"labels": list(self.labels)}

    def report_examples(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns the examples with the most spans that are missed or wrong."""
        worst = tagged_spans.errors(*self._spans(examples, outputs), examples.inputs[0])
        return shown_examples(examples, list(worst), worst.__getitem__)

    def _spans(self, examples: Examples, outputs: Outputs) -> tuple[Any, Any]:
        """Returns the spans of each text, start, end and label: references and predictions."""
        rows = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.labels)
        return tagged_spans.truth(examples), [[span[:3] for span in spans] for spans in rows]
