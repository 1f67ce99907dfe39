"""Causal language modelling: what follows a prompt, its answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import keras

from tfft.argument_checks.validated import validated
from tfft.baselines.constant_texts import most_frequent_answer
from tfft.data.encoded_split import Encoded
from tfft.data.examples import Examples
from tfft.data.inputs import Text, texts
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.preprocessing.text.prompts import PromptPreprocessor
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.evaluators.generated_text import GeneratedTextEvaluator
from tfft.tasks.text import teacher_forcing
from tfft.tasks.text.generative_base import CONSTRAINTS, GenerativeTask


@validated(**CONSTRAINTS)
class CausalLM(GenerativeTask):
    """The answer behind its prompt in the same row; the loss is that of the answer alone.

    Args:
      max_new_tokens: the most tokens of an answer, learned or generated, its end token included; a
        prompt has what they leave of the backbone's sequence.
      num_beams: beams of the search; 1 takes the most probable token at each step.
      length_penalty: alpha by which longer answers are favoured among several beams.
      label_smoothing: share of the target that is spread evenly over the vocabulary.
      packing: puts several training examples in one row, as long as the backbone's sequence, that
        do not see each other; batches then count rows.
    """

    name: ClassVar[str] = "causal_lm"
    inputs: tuple[Text, ...] = texts("prompt")
    backbone_output: BackboneOutput = BackboneOutput("causal")

    def __init__(
        self,
        max_new_tokens: int = 32,
        num_beams: int = 1,
        length_penalty: float = 0.0,
        label_smoothing: float = 0.0,
        packing: bool = False,
    ):
        super().__init__(Search(max_new_tokens, num_beams, length_penalty), label_smoothing)
        self.packing = packing

    def build_preprocessor(self, own: Any) -> PromptPreprocessor:
        return PromptPreprocessor(**own.settings(), answer_length=self.search.longest)

    def encode_training_examples(
        self, examples: Examples, preprocessor: PromptPreprocessor
    ) -> Examples:
        return teacher_forcing.append_answers(examples, preprocessor)

    def pack(self, encoded: Encoded, length: int) -> Encoded:
        return teacher_forcing.pack_rows(encoded, length) if self.packing else encoded

    def make_predict_fn(self, model: keras.Model) -> Callable[..., Any]:
        return text_generation.following(text_generation.body_of(model), self.search)

    def build_evaluator(self) -> GeneratedTextEvaluator:
        return GeneratedTextEvaluator(
            ("exact_match", "perplexity", "rouge_l"),
            lambda train, test: most_frequent_answer(train.answers or (), len(test)),
        )
