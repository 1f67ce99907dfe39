"""Text classification: one label out of several for each text."""

from __future__ import annotations

from typing import ClassVar

from tfft.baselines.tfidf import text_floors
from tfft.data.examples import Examples
from tfft.tasks.classification import Classification
from tfft.tasks.evaluators.base import Floors, Log


class TextClassification(Classification):
    """A softmax Dense on the backbone's pooled output, trained with cross-entropy.

    All arguments are those of `Classification`.
    """

    name: ClassVar[str] = "text_classification"

    def _baselines(self, train: Examples, test: Examples, classes: int, log: Log) -> Floors:
        return text_floors(train.inputs[0], train.targets, test.inputs[0], classes, log)
