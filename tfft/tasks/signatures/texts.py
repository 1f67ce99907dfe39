"""Answers that are texts, or places in a text: generated, extracted, tagged, or masked words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.layers.answer_spans import served
from tfft.layers.vocabulary_head import marked_words, words_of
from tfft.metrics import aggregates
from tfft.metrics.text import extractive_answers, tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.preprocessing.text.masking import places
from tfft.tasks.evaluators.generated_text import decode_texts
from tfft.tasks.evaluators.text_spans import predict_answers
from tfft.tasks.signatures.base import (
    Answers,
    Predictions,
    Results,
    ServedTask,
    ServingSignature,
    Tensors,
)


class GeneratedTextSignature(ServingSignature):
    """The text that is generated for each example.

    Args:
      task: whose prediction function gives `text`.
    """

    is_searched = True

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns `text`, strings [b]."""
        return {"text": outputs["text"]}

    def parse(self, answers: Answers) -> dict[str, Any]:
        """Returns `text`, [n], without probabilities of references."""
        return {"text": np.array(answers["text"], object)}

    def format_predictions(self, examples: Examples, outputs: Mapping[str, Any]) -> Predictions:
        """Returns `text` of each example."""
        return [{"text": text} for text in decode_texts(outputs)]


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

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns what `predict_answers` does, [b] each; for token ids the `logits`, [b r t 2]."""
        if "starts" not in features:
            return {"logits": outputs}
        return served(outputs, features, self.longest_answer, self.limit)

    def format_predictions(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Returns `answer`, `start`, `end` and `probability`, see `predict_answers`."""
        return predict_answers(examples, outputs, self.longest_answer, self.limit)

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        return extractive_answers.received(answers)

    def evaluate_answers(self, task: ServedTask, examples: Examples, answers: Answers) -> Results:
        """Returns the metrics of an export's answers, and no report details."""
        references = extractive_answers.texts(examples)
        terms = extractive_answers.measures(self.format_answers(answers, examples), references)
        return aggregates.figures(terms), {}


class SpanSignature(ServingSignature):
    """The spans of each text: their characters, labels and probabilities.

    Args:
      task: whose model gives probabilities of BIO tags.
      labels: of the spans, in the order of their tags.
    """

    def __init__(self, task: ServedTask, labels: Sequence[str]):
        super().__init__(task)
        self.labels = tuple(labels)

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns `word_spans.dense_spans`; for token ids the `probabilities` of tags, [b t c]."""
        if "starts" not in features:
            return {"probabilities": outputs}
        return word_spans.dense_spans(outputs, features["starts"], features["ends"], self.labels)

    def format_predictions(self, examples: Examples, outputs: Sequence[Any]) -> Predictions:
        """Returns `spans`: start, end, text, label and probability, for outputs [t c] a text."""
        spans = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.labels)
        return tagged_spans.named(spans, examples.inputs[0])

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        return tagged_spans.named(tagged_spans.received(answers), examples.inputs[0])

    def evaluate_answers(self, task: ServedTask, examples: Examples, answers: Answers) -> Results:
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


class MaskedWordSignature(ServingSignature):
    """The most probable words for each place that a text marks by "[MASK]".

    Args:
      task: that hides nothing by itself.
      names: of the backbone's tokens.
      most: how many words it names for a place.
    """

    def __init__(self, task: ServedTask, names: Sequence[str], most: int):
        super().__init__(task)
        self.names, self.most = names, most

    def serving_outputs(self, outputs: Any, features: Tensors) -> Tensors:
        """Returns `words`, string [b m k], and `probabilities` of the places marked in each text.

        A text with fewer places than another one is filled up with "" and 0.
        """
        return marked_words(outputs, self.names, self.most)

    def format_predictions(self, examples: Examples, outputs: Any) -> Predictions:
        """Returns for each place that a text marks where it is and the most probable words."""
        return self.format_answers(words_of(outputs, self.names, self.most), examples)

    def format_answers(self, answers: Answers, examples: Examples) -> Predictions:
        rows = zip(examples.inputs[0], answers["words"], answers["probabilities"], strict=True)
        return [{"masks": places(*row)} for row in rows]
