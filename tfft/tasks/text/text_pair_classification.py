"""Text pairs: one label out of several for how two texts stand to each other."""

from __future__ import annotations

from typing import Any, ClassVar

from tfft.baselines.tfidf_linear import pair_floors
from tfft.data.examples import Examples
from tfft.data.inputs import Text, texts
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.tasks.classification import Classification
from tfft.tasks.evaluators.base import Floors, Log


class TextPairClassification(Classification):
    """A softmax Dense on the pooled output of both texts, read as one sequence.

    The texts are joined as the backbone was trained to read two: paraphrases, entailment, whether a
    paragraph answers a question. All arguments are those of `Classification`.
    """

    name: ClassVar[str] = "text_pair_classification"
    inputs: tuple[Text, ...] = texts("text", "text_pair")

    def build_preprocessor(self, own: Any) -> PairPreprocessor:
        return PairPreprocessor(**own.settings())

    def _baselines(self, train: Examples, test: Examples, classes: int, log: Log) -> Floors:
        """Returns TF-IDF of both texts, and a logistic regression on the words they share."""
        return pair_floors(train.inputs, train.targets, test.inputs, classes, log)
