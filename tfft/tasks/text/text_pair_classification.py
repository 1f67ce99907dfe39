"""Text pairs: one label out of several for how two texts stand to each other."""

from __future__ import annotations

from typing import Any, ClassVar

from tfft.baselines.base import Floor, Say
from tfft.baselines.tfidf_linear import pair_floors
from tfft.data.examples import Examples
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.tasks.text.text_classification import TextClassification


class TextPairClassification(TextClassification):
    """A softmax Dense on the pooled output of both texts, read as one sequence.

    The texts are joined as the body was trained to read two: paraphrases, entailment, whether a
    paragraph answers a question. All arguments are those of `TextClassification`.
    """

    name: ClassVar[str] = "text_pair_classification"
    inputs: ClassVar[tuple[str, ...]] = ("text", "text_pair")

    def preprocessor(self, own: Any) -> PairPreprocessor:
        """Returns the preprocessor of pairs for a body's own one."""
        return PairPreprocessor(**own.settings())

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the answers of models that need no network.

        Beside TF-IDF of both texts, a logistic regression on how many words they share.
        """
        return pair_floors(train.inputs, train.targets, test.inputs, len(self.labels or ()), say)
