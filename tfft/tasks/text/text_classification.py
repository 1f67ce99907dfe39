"""Text classification: one label out of several for each text."""

from __future__ import annotations

from typing import ClassVar

from tfft.baselines.base import Floor, Say
from tfft.baselines.tfidf import text_floors
from tfft.data.examples import Examples
from tfft.tasks.classification import Classification


class TextClassification(Classification):
    """A softmax Dense on the body's pooled output, trained with cross-entropy.

    All arguments are those of `Classification`.
    """

    name: ClassVar[str] = "text_classification"

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the answers of models that need no network."""
        texts = (train.inputs[0], train.targets, test.inputs[0])
        return text_floors(*texts, len(self.labels or ()), say)
