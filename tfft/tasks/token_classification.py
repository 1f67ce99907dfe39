"""Token classification: spans of a text with a label each, such as the names in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.encoded import Ragged, ragged
from tfft.errors import DataError
from tfft.losses import TokenAccuracy, TokenCrossentropy, class_weights
from tfft.metrics import spans
from tfft.metrics.floors import Floor
from tfft.metrics.span_floors import span_floors
from tfft.preprocess import words
from tfft.task import Examples, Task, shown_examples


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
    figures: ClassVar[Mapping[str, str]] = {
        "f1": "span F1",
        "precision": "precision",
        "recall": "recall",
        "token_accuracy": "word accuracy",
    }

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, float] | None = None,
    ):
        self.labels = None if labels is None else spans.tags_of(labels)
        self.dropout, self.label_smoothing = dropout, label_smoothing
        self.class_weights = class_weights

    @property
    def names(self) -> tuple[str, ...]:
        """The labels of the spans."""
        return spans.labels_of(self.labels or ())

    def preprocessor(self, own: Any) -> words.WordPreprocessor:
        return words.WordPreprocessor(**own.settings())

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        """Returns the task with a tag for each part of the spans that the answers hold.

        Raises:
          DataError: an answer is no list of spans, or there is no span, or one has a label that
            is none of those given.
        """
        names = sorted({label for answer in found for *_, label in spans.read_spans(answer)})
        if not names:
            raise DataError("no training example has a span.", valid=spans.VALID)
        task = copy.copy(self)
        task.labels = self.labels or spans.tags_of(names)
        for name in names:
            spans.refuse_unknown(name, task.names)
        return task

    def targets(self, examples: Examples) -> Ragged:
        """Returns the number of a tag where a word begins, -1 elsewhere: int32, a row of tokens."""
        rows = zip(_truth(examples), _words(examples), strict=True)
        return ragged([spans.token_tags(*row, self.names) for row in rows])

    def warnings(self, examples: Examples) -> list[str]:
        """Returns how many spans no model can find as they are."""
        cut = examples.encoded.full_lengths > examples.encoded.kept
        return spans.told(zip(_truth(examples), _words(examples), cut, strict=True))

    def config(self) -> dict[str, Any]:
        return {
            "task": self.name,
            "labels": list(self.labels or ()),
            "dropout": self.dropout,
            "label_smoothing": self.label_smoothing,
            "class_weights": self.class_weights and dict(self.class_weights),
        }

    def head(self) -> keras.layers.Layer:
        tags = len(self.labels or ())
        dense = keras.layers.Dense(tags, activation="softmax", dtype="float32", name="softmax")
        dropout = keras.layers.Dropout(self.dropout, name="dropout")
        return keras.Sequential([dropout, dense], name="head")

    def loss(self) -> keras.losses.Loss:
        where, names = "TokenClassification.class_weights", (spans.OUTSIDE, *self.names)
        found = class_weights(self.class_weights, names, None, where)
        weights = found and (found[0], *np.repeat(found[1:], 2).tolist())
        return TokenCrossentropy(len(self.labels or ()), self.label_smoothing, weights)

    def metrics(self) -> list[Any]:
        return [TokenAccuracy()]

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of answering the shares of the tags for every word."""
        values = np.concatenate(list(targets.rows()))
        known = values[values >= 0][None]
        shares = np.bincount(known[0], minlength=len(self.labels or ())) / max(known.size, 1)
        return float(self.loss()(known, np.tile(shares.astype("f4"), (1, known.size, 1))))

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        return _named(words.spans_of(outputs, _words(examples), self.names), examples)

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `words.dense_spans`; for token ids, whose text is unknown, the tags' chances."""
        if "starts" not in read:
            return {"probabilities": outputs}
        return words.dense_spans(outputs, read["starts"], read["ends"], self.names)

    def answered(
        self, answers: Mapping[str, Sequence[np.ndarray]], examples: Examples
    ) -> list[dict[str, Any]]:
        columns = [answers[name] for name in ("starts", "ends", "labels", "probabilities")]
        rows = [zip(*row, strict=True) for row in zip(*columns, strict=True)]
        found = [
            [(int(s), int(e), label.decode(), float(p)) for s, e, label, p in row if s >= 0]
            for row in rows
        ]
        return _named(found, examples)

    def evaluate(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns what `span_metrics` does, and the share of words with the right tag."""
        rows = zip(examples.targets.rows(), outputs, strict=True)
        words = [(int((out.argmax(1) == tags).sum()), int((tags >= 0).sum())) for tags, out in rows]
        right = dict(zip(("part", "whole"), np.array(words).T, strict=True))
        sides = _truth(examples), self._found(examples, outputs)
        return spans.span_metrics(*sides, self.names, {"token_accuracy": ("ratio", right)})

    def _found(self, examples: Examples, outputs: Any) -> list[list[spans.Span]]:
        found = words.spans_of(outputs, _words(examples), self.names)
        return [[span[:3] for span in each] for each in found]

    def sums(self, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
        return spans.span_sums(_truth(examples), self._found(examples, outputs))

    def floors(
        self, train: Examples, test: Examples, say: Callable[[str], None] | None = None
    ) -> dict[str, Floor]:
        known = (train.inputs[0], _words(train), _truth(train))
        return span_floors(known, (test.inputs[0], _words(test)), self.names)

    def described(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return {"labels": list(self.names)}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the examples with the most spans that are missed or wrong."""
        truth, found = _truth(examples), self._found(examples, outputs)
        wrong = np.array([len({*a} ^ {*b}) for a, b in zip(truth, found, strict=True)])
        order = np.argsort(-wrong, kind="stable")[: (wrong > 0).sum()]

        def told(row: int) -> dict[str, Any]:
            sides = {"truth": truth[row], "predicted": found[row]}
            text = examples.inputs[0][row]
            return {n: spans.readable(each, text) for n, each in sides.items()} | {"spans": sides}

        return shown_examples(examples, order, told)


def _truth(examples: Examples) -> list[list[spans.Span]]:
    pairs = zip(examples.answers or (), examples.inputs[0], strict=True)
    return [spans.spans_in(*pair) for pair in pairs]


def _words(examples: Examples) -> list[np.ndarray]:
    """Returns the start and the end of the word that each token begins or -1, int [t 2] each."""
    columns = (examples.encoded.extra[name].rows() for name in ("starts", "ends"))
    return [np.stack(pair, axis=1) for pair in zip(*columns, strict=True)]


def _named(found: Sequence[Sequence[Any]], examples: Examples) -> list[dict[str, Any]]:
    keys = ("start", "end", "text", "label", "probability")
    rows = zip(found, examples.inputs[0], strict=True)
    return [
        {"spans": [dict(zip(keys, (s, e, text[s:e], *more), strict=True)) for s, e, *more in row]}
        for row, text in rows
    ]
