"""Token classification: spans of a text with a label each, such as the names in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, NAMED, NON_NEGATIVE, validated
from tfft.data.encoded_split import Ragged, ragged
from tfft.data.examples import Examples
from tfft.losses.batch_metrics import TokenAccuracy
from tfft.losses.classification import TokenCrossentropy, class_weights
from tfft.metrics.text import tagged_spans
from tfft.preprocessing.text import word_spans
from tfft.tasks.backbone_output import TOKENS, BackboneOutput
from tfft.tasks.base import Task
from tfft.tasks.evaluators.text_spans import SpanEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.texts import SpanSignature
from tfft.tasks.targets.labels import SpanLabels


@validated(labels=NAMED, dropout=FRACTION, label_smoothing=FRACTION, class_weights=NON_NEGATIVE)
class TokenClassification(Task):
    """A softmax over BIO tags for each word, on the backbone's output at the word's first token.

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
    target: SpanLabels = SpanLabels()
    backbone_output: BackboneOutput = TOKENS

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        dropout: float = 0.1,
        label_smoothing: float = 0.0,
        class_weights: Mapping[str, float] | None = None,
    ):
        self.target = SpanLabels(None if labels is None else tagged_spans.tags_of(labels))
        self.dropout, self.label_smoothing = dropout, label_smoothing
        self.class_weights = class_weights and dict(class_weights)

    def build_preprocessor(self, own: Any) -> word_spans.WordPreprocessor:
        return word_spans.WordPreprocessor(**own.settings())

    def encode_targets(self, examples: Examples) -> Ragged | None:
        """Returns the number of a tag where a word begins, -1 elsewhere: int32, a row of tokens.

        None where there are no tokens.
        """
        if examples.encoded is None:
            return None
        rows = zip(tagged_spans.truth(examples), word_spans.of_tokens(examples), strict=True)
        return ragged([tagged_spans.token_tags(*row, self.target.labels) for row in rows])

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        """Returns the layers from features of tokens [b t d] to probabilities of tags [b t c]."""
        # Not `dense_head`: the order in which layers are made decides their first weights.
        tags = len(self.target.names or ())
        dense = keras.layers.Dense(tags, activation="softmax", dtype="float32", name="softmax")
        dropout = keras.layers.Dropout(self.dropout, name="dropout")
        return keras.Sequential([dropout, dense], name="head")

    def build_loss(self, head: keras.layers.Layer | None = None) -> keras.losses.Loss:
        """Returns the cross-entropy of the words' tags.

        Raises:
          ConfigError: `class_weights` has a label that the task does not have.
        """
        names = (tagged_spans.OUTSIDE, *self.target.labels)
        where = "TokenClassification.class_weights"
        by_label = class_weights(self.class_weights, names, None, where)
        by_tag = by_label and (by_label[0], *np.repeat(by_label[1:], 2).tolist())
        return TokenCrossentropy(len(self.target.names or ()), self.label_smoothing, weights=by_tag)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [TokenAccuracy()]

    def build_evaluator(self) -> SpanEvaluator:
        return SpanEvaluator(self.target.labels, self.build_loss)

    def build_signatures(self) -> Signatures:
        return {DEFAULT: SpanSignature(self, self.target.labels)}
