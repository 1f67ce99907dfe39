"""Answers that are words for marked places of a text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data.examples import Examples
from tfft.layers.vocabulary_head import marked_words, words_of
from tfft.preprocessing.text.masking import places
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


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

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `words`, string [b m k], and `probabilities` of the places marked in each text.

        A text with fewer places than another one is filled up with "" and 0.
        """
        return marked_words(outputs, self.names, self.most)

    def format_predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns for each place that a text marks where it is and the most probable words."""
        return self.format_answers(words_of(outputs, self.names, self.most), examples)

    def format_answers(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        rows = zip(examples.inputs[0], answers["words"], answers["probabilities"], strict=True)
        return [{"masks": places(*row)} for row in rows]
