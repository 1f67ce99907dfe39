"""Base class of tasks whose model generates the answer, a text."""

from __future__ import annotations

from typing import Any

import keras

from tfft.argument_checks.validated import COUNT, FRACTION, NON_NEGATIVE
from tfft.data.examples import Examples
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.losses.batch_metrics import TokenAccuracy
from tfft.losses.next_token import NextTokenLoss
from tfft.tasks.base import CustomPrediction, Task, TextGeneration, config_of
from tfft.tasks.signatures.base import DEFAULT
from tfft.tasks.signatures.texts import GeneratedTextSignature
from tfft.tasks.targets.base import Answers, Target

CONSTRAINTS = {
    "max_new_tokens": COUNT,
    "num_beams": COUNT,
    "length_penalty": NON_NEGATIVE,
    "label_smoothing": FRACTION,
}


class GenerativeTask(TextGeneration, CustomPrediction, Task):
    """Learns the next token at each token of the answer; generates by greedy or beam search.

    The outputs of its model are those of `tfft.layers.text_generation`: `text`, and of the
    reference `log_probability` and `tokens`. Those of a baseline are `text` alone.

    Args:
      search: how a text is generated.
      label_smoothing: share of the target that is spread evenly over the vocabulary.
    """

    target: Target = Answers()

    def __init__(self, search: Search, label_smoothing: float):
        self.search, self.label_smoothing = search, label_smoothing

    def encode_targets(self, examples: Examples) -> Any:
        """Returns the targets that `encode_training_examples` added; None without tokens."""
        return examples.targets

    def build_head(self, backbone: Any) -> text_generation.Scores:
        """Returns the layer from features of tokens [b t d] to scores of the vocabulary [b t v]."""
        return text_generation.Scores(backbone, name="head")

    def build_loss(self, head: keras.layers.Layer) -> NextTokenLoss:
        return NextTokenLoss(self.label_smoothing)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [TokenAccuracy()]

    def build_signatures(self) -> dict[str, GeneratedTextSignature]:
        return {DEFAULT: GeneratedTextSignature(self)}

    def get_config(self) -> dict[str, Any]:
        search = self.search
        names = {"max_new_tokens": search.longest, "num_beams": search.beams}
        return config_of(self, **names, length_penalty=search.penalty)
