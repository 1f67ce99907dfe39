"""Embedding: a vector for each text, near those of texts that mean the same."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, NON_NEGATIVE, POSITIVE, validated
from tfft.data.examples import Examples
from tfft.data.inputs import texts
from tfft.losses.contrastive import CosineError, InBatch, InBatchAccuracy, Triplet, UnitLength
from tfft.metrics import retrieval
from tfft.preprocessing.text.multiple_texts import SeveralTexts
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator
from tfft.tasks.evaluators.embedding import RetrievalEvaluator, SimilarityEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.values import VectorSignature
from tfft.tasks.targets.base import Answers, Target
from tfft.tasks.targets.numbers import Similarities


@validated(scale=POSITIVE, margin=NON_NEGATIVE, highest=POSITIVE, dims=COUNT, projection=COUNT)
class Embedding(Task):
    """The backbone's pooled output of each text, at length one: the cosine of two is their product.

    It learns from pairs or triplets; what it predicts, and its exports, are of single texts.

    Args:
      loss: "in_batch", cross-entropy of an anchor's second text among those of the batch; "cosine",
        the squared error of the pair's cosine; "triplet", for which an example has a third text,
        which is to be farther from the first than the second is.
      scale: of the cosines of "in_batch", 1 / temperature.
      both: whether the second texts of "in_batch" look for their anchors too.
      margin: of "triplet", of squared distances, which are between 0 and 4.
      highest: of "cosine", the answer that stands for a cosine of 1.
      dims: shorter vectors, the beginnings of the complete ones, that are to be good too.
      projection: units of a Dense on the pooled output; None for none.
    """

    name: ClassVar[str] = "embedding"
    _answer_arguments = ("loss", "scale", "both", "margin", "highest", "dims", "projection")
    target: Target = Answers()
    backbone_output = BackboneOutput("pooled", instances=True)

    def __init__(
        self,
        loss: Literal["in_batch", "cosine", "triplet"] = "in_batch",
        scale: float = 20.0,
        both: bool = False,
        margin: float = 0.2,
        highest: float = 1.0,
        dims: Sequence[int] = (),
        projection: int | None = None,
    ):
        self.loss, self.scale, self.both, self.margin = loss, scale, both, margin
        self.highest, self.dims, self.projection = highest, tuple(dims), projection
        third = ("text_negative",) if loss == "triplet" else ()
        self.inputs = texts("text", "text_pair", *third)
        if loss == "cosine":
            self.target = Similarities(highest=highest)

    def build_preprocessor(self, own: Any) -> SeveralTexts:
        return SeveralTexts(**own.settings(), count=len(self.inputs))

    def encode_targets(self, examples: Examples) -> np.ndarray:
        """Returns cosines, float32 [n]; or numbers of groups, int32 [n], where equal answers are.

        Raises:
          DataError: an answer of "cosine" is no number, or above `highest`.
        """
        if self.loss == "cosine":
            return retrieval.as_similarities(examples.answers or (), self.highest)
        _, groups = np.unique(np.array(examples.answers, object), return_inverse=True)
        return groups.astype(np.int32)

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        layers: list[Any] = [UnitLength(self.dims, dtype="float32", name="unit_length")]
        if self.projection is not None:
            layers.insert(0, keras.layers.Dense(self.projection, dtype="float32", name="dense"))
        return keras.Sequential(layers, name="head")

    def build_loss(self, head: keras.layers.Layer) -> keras.losses.Loss:
        if self.loss == "cosine":
            return CosineError(self.dims)
        if self.loss == "triplet":
            return Triplet(self.margin, dims=self.dims)
        return InBatch(self.scale, self.both, dims=self.dims)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [] if self.loss == "cosine" else [InBatchAccuracy(name="batch_accuracy")]

    def build_evaluator(self) -> Evaluator:
        return SimilarityEvaluator() if self.loss == "cosine" else RetrievalEvaluator()

    def build_signatures(self) -> Signatures:
        """Returns the signature of single texts."""
        single = copy.copy(self)
        single.inputs = texts("text")
        return {DEFAULT: VectorSignature(single, len(self.inputs))}
