"""Embedding: a vector for each text, near those of texts that mean the same."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, NON_NEGATIVE, POSITIVE, validated
from tfft.baselines import bm25
from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.losses.contrastive import CosineError, InBatch, InBatchAccuracy, Triplet, UnitLength
from tfft.metrics import regression, retrieval
from tfft.preprocessing.text.multiple_texts import SeveralTexts
from tfft.tasks.base import Answers, Task, config_of
from tfft.tasks.report_examples import shown_examples


@validated(scale=POSITIVE, margin=NON_NEGATIVE, highest=POSITIVE, dims=COUNT, projection=COUNT)
class Embedding(Task):
    """The body's pooled output of each text, at length one: the cosine of two is their product.

    It learns from pairs or triplets; what it predicts, and its exports, are of single texts.

    Args:
      loss: "in_batch", cross-entropy of an anchor's second text among those of the batch; "cosine",
        the squared error of the pair's cosine; "triplet", for which an example has a third text,
        which is to be farther from the first than the second is.
      scale: of the cosines of "in_batch", 1 / temperature.
      both: whether the second texts of "in_batch" look for their anchors too.
      margin: of "triplet", of squared distances, which are between 0 and 4.
      highest: of "cosine", the answer that stands for a cosine of 1.
      dims: shorter vectors, the beginnings of the whole ones, that are to be good too.
      projection: units of a Dense on the pooled output; None for none.
    """

    name: ClassVar[str] = "embedding"
    rows: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, str]] = retrieval.RETRIEVAL_FIGURES

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
        self.kind, self.scale, self.both, self.margin = loss, scale, both, margin
        self.highest, self.dims, self.projection = highest, tuple(dims), projection
        third = ("text_negative",) if loss == "triplet" else ()
        self.inputs = ("text", "text_pair", *third)  # type: ignore[misc]
        if loss == "cosine":
            self.figures = retrieval.COSINE_FIGURES  # type: ignore[misc]
            self.measure = "pearson"  # type: ignore[misc]

    @property
    def served(self) -> Embedding:
        """The task of single texts."""
        task = copy.copy(self)
        task.inputs = ("text",)  # type: ignore[misc]
        return task

    def asked(self, inputs: Sequence[Sequence[str]]) -> tuple[Sequence[str], ...]:
        return ([text for example in zip(*inputs, strict=True) for text in example],)

    def preprocessor(self, own: Any) -> SeveralTexts:
        return SeveralTexts(**own.settings(), count=len(self.inputs))

    def check_answers(self, counts: Mapping[str, int]) -> None:
        if self.kind == "cosine":
            regression.check(counts)
            retrieval.as_similarities(list(counts), self.highest)

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns cosines, float32 [n]; or numbers of groups, int32 [n], where equal answers are.

        Raises:
          DataError: an answer of "cosine" is no number, or above `highest`.
        """
        if self.kind == "cosine":
            return retrieval.as_similarities(examples.answers or (), self.highest)
        _, groups = np.unique(np.array(examples.answers, object), return_inverse=True)
        return groups.astype(np.int32)

    def config(self) -> dict[str, Any]:
        return config_of(self, loss=self.kind)

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Embedding:
        return cls(**{key: value for key, value in card.items() if key != "task"})

    def head(self) -> keras.layers.Layer:
        layers: list[Any] = [UnitLength(self.dims, dtype="float32", name="unit_length")]
        if self.projection is not None:
            layers.insert(0, keras.layers.Dense(self.projection, dtype="float32", name="dense"))
        return keras.Sequential(layers, name="head")

    def loss(self) -> keras.losses.Loss:
        if self.kind == "cosine":
            return CosineError(self.dims)
        if self.kind == "triplet":
            return Triplet(self.margin, dims=self.dims)
        return InBatch(self.scale, self.both, dims=self.dims)

    def metrics(self) -> list[Any]:
        return [] if self.kind == "cosine" else [InBatchAccuracy(name="batch_accuracy")]

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns the vector of each example's first text; of `served` it is the only one."""
        return [{"embedding": vectors[0].tolist()} for vectors in outputs]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        return {"embedding": outputs[:, 0]}

    def received(self, answers: Answers) -> np.ndarray:
        """Returns the vectors of examples, [n r d], out of those of single texts."""
        vectors = np.stack(answers["embedding"])
        return vectors.reshape(-1, len(self.inputs), vectors.shape[-1])

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        return self.predictions(examples, [vector[None] for vector in answers["embedding"]])

    def measures(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        if self.kind == "cosine":
            found = regression.correlations(examples.targets, retrieval.similarities(outputs))
            return {name: found[name] for name in self.figures}
        return retrieval.retrieve(outputs, examples.inputs[1], examples.targets).measures()

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns BM25, with the first texts as queries."""
        return {"bm25": bm25.bm25(*test.inputs[:2])}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the first texts whose second texts are found last; nothing of "cosine"."""
        if self.kind == "cosine":
            return super().shown(examples, outputs)
        found = retrieval.retrieve(outputs, examples.inputs[1], examples.targets)
        worst = found.last(examples.inputs[1])
        return shown_examples(examples, list(worst), worst.__getitem__)
