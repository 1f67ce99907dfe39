"""Token classification: spans of a text with a label each, such as the names in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, NAMED, NON_NEGATIVE, validated
from tfft.baselines import span_dictionary
from tfft.baselines.base import Floor, Say
from tfft.data.encoded_split import Ragged, ragged
from tfft.data.examples import Examples
from tfft.errors import refuse_unknown
from tfft.losses.batch_metrics import TokenAccuracy
from tfft.losses.classification import TokenCrossentropy, class_weights
from tfft.metrics.text import tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.tasks.base import Answers, Task
from tfft.tasks.report_examples import shown_examples


@validated(labels=NAMED, dropout=FRACTION, label_smoothing=FRACTION, class_weights=NON_NEGATIVE)
class TokenClassification(Task):
    """A softmax over BIO tags for each word, on the body's output at the word's first token.

    An answer is a list of spans in JSON, `[[start, end, "LABEL"], ...]`, in characters of the text,
    the end exclusive. A span is learned as the words that it touches.

    Args:
      labels: of the spans, in the order of the outputs; None takes those of the training split,
        sorted.
      dropout: share of the tokens' features that is dropped in training.
      label_smoothing: share of the target that is spread evenly over the tags.
      class_weights: what a word counts in the loss, by the label of its span; "O" for the words
        outside. One that is left out counts 1.
    """

    name: ClassVar[str] = "token_classification"
    reads: ClassVar[str] = "tokens"
    measure: ClassVar[str] = "f1"
    figures: ClassVar[Mapping[str, str]] = tagged_spans.FIGURES

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, float] | None = None,
    ):
        self.labels = None if labels is None else tagged_spans.tags_of(labels)
        self.dropout, self.label_smoothing = dropout, label_smoothing
        self.class_weights = class_weights and dict(class_weights)

    @property
    def names(self) -> tuple[str, ...]:
        """The labels of the spans."""
        return tagged_spans.labels_of(self.labels or ())

    def preprocessor(self, own: Any) -> word_spans.WordPreprocessor:
        return word_spans.WordPreprocessor(**own.settings())

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        """Returns the task with a tag for each part of the spans that the answers hold.

        Raises:
          DataError: an answer is no list of spans, none has a span, or one has another label.
        """
        names = tagged_spans.labels_in(found)
        task = copy.copy(self)
        task.labels = self.labels or tagged_spans.tags_of(names)
        refuse_unknown(names, task.names)
        return task

    def targets(self, examples: Examples) -> Ragged | None:
        """Returns the number of a tag where a word begins, -1 elsewhere: int32, a row of tokens.

        None where there are no tokens.
        """
        if examples.encoded is None:
            return None
        rows = zip(tagged_spans.truth(examples), word_spans.of_tokens(examples), strict=True)
        return ragged([tagged_spans.token_tags(*row, self.names) for row in rows])

    def warnings(self, examples: Examples) -> list[str]:
        """Returns how many spans no model can find as they are."""
        rows = (
            tagged_spans.truth(examples),
            word_spans.of_tokens(examples),
            examples.encoded.cut > 0,
        )
        return tagged_spans.told(zip(*rows, strict=True))

    def head(self) -> keras.layers.Layer:
        # Not `dense_head`: the order in which layers are made decides their first weights.
        tags = len(self.labels or ())
        dense = keras.layers.Dense(tags, activation="softmax", dtype="float32", name="softmax")
        dropout = keras.layers.Dropout(self.dropout, name="dropout")
        return keras.Sequential([dropout, dense], name="head")

    def loss(self) -> keras.losses.Loss:
        where, names = "TokenClassification.class_weights", (tagged_spans.OUTSIDE, *self.names)
        found = class_weights(self.class_weights, names, None, where)
        weights = found and (found[0], *np.repeat(found[1:], 2).tolist())
        return TokenCrossentropy(len(self.labels or ()), self.label_smoothing, weights)

    def metrics(self) -> list[Any]:
        return [TokenAccuracy()]

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of answering the shares of the tags for every word."""
        known = np.concatenate([row[row >= 0] for row in targets.rows()])[None]
        shares = np.bincount(known[0], minlength=len(self.labels or ())) / max(known.size, 1)
        return float(self.loss()(known, np.tile(shares.astype("f4"), (1, known.size, 1))))

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        found = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.names)
        return tagged_spans.named(found, examples.inputs[0])

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `words.dense_spans`; for token ids, whose text is unknown, the tags' chances."""
        if "starts" not in read:
            return {"probabilities": outputs}
        return word_spans.dense_spans(outputs, read["starts"], read["ends"], self.names)

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        return tagged_spans.named(tagged_spans.received(answers), examples.inputs[0])

    def evaluate_answers(self, examples: Examples, answers: Answers) -> Any:
        truth = tagged_spans.truth(examples)
        found = [[span[:3] for span in each] for each in tagged_spans.received(answers)]
        sums = tagged_spans.served_word_sums(truth, answers, self.names)
        metrics = tagged_spans.span_metrics(
            truth, found, self.names, {"token_accuracy": ("ratio", sums)}
        )
        return metrics, self.described(examples, None)

    def evaluate(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns what `span_metrics` does, and the share of words with the right tag."""
        more = {
            "token_accuracy": ("ratio", tagged_spans.word_sums(examples.targets.rows(), outputs))
        }
        return tagged_spans.span_metrics(*self._sides(examples, outputs), self.names, more)

    def _sides(self, examples: Examples, outputs: Any) -> tuple[list[Any], list[Any]]:
        """Returns the spans of each text: the true ones, and those found."""
        found = word_spans.spans_of(outputs, word_spans.of_tokens(examples), self.names)
        return tagged_spans.truth(examples), [[span[:3] for span in each] for each in found]

    def sums(self, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
        return tagged_spans.span_sums(*self._sides(examples, outputs))

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        known = (train.inputs[0], word_spans.of_tokens(train), tagged_spans.truth(train))
        return span_dictionary.span_floors(
            known, (test.inputs[0], word_spans.of_tokens(test)), self.names
        )

    def described(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return {"labels": list(self.names)}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the examples with the most spans that are missed or wrong."""
        worst = tagged_spans.errors(*self._sides(examples, outputs), examples.inputs[0])
        return shown_examples(examples, list(worst), worst.__getitem__)
