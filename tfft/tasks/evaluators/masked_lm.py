"""Metrics and reports of masked language modelling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.baselines import token_frequency
from tfft.baselines.base import Floor
from tfft.data.examples import Examples
from tfft.metrics.text import masked_tokens
from tfft.tasks.evaluators.base import Evaluator, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples


class MaskedLMEvaluator(Evaluator):
    """Evaluates what `tfft.layers.vocabulary_head.guessed` gives, [t k] for each text.

    Args:
      names: of the backbone's tokens.
      most: how many words are guessed for a place.
    """

    metrics = reported(
        masked_tokens.FIGURES,
        less_is_better=("perplexity",),
        not_served={
            "perplexity": "it guesses the words that a text marks, and the metrics are about "
            "others, which are hidden at random"
        },
    )
    aggregate = "exp_ratio"

    def __init__(self, names: Sequence[str], most: int):
        self.names, self.most = names, most

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        return masked_tokens.measures(masked_tokens.hidden(examples.targets), outputs)

    def constant_loss(self, targets: Any) -> float:
        """Returns the training loss of the shares of the hidden tokens."""
        return masked_tokens.entropy(np.concatenate(masked_tokens.hidden(targets)))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        """Returns guesses by how often each token is hidden in the training texts."""
        return token_frequency.floors(train.targets, test.targets, len(self.names), self.most)

    def data_warnings(self, examples: Examples) -> list[str]:
        none = sum(not (ids >= 0).any() for ids in masked_tokens.hidden(examples.targets))
        return [f"{none:,} texts have no word to hide"] if none else []

    def report_examples(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the texts whose hidden words were least expected."""
        details = masked_tokens.told(masked_tokens.hidden(examples.targets), outputs, self.names)
        worst = np.argsort(-self.main_terms(examples, outputs)["loss"], kind="stable")
        return shown_examples(examples, worst, details.__getitem__)
