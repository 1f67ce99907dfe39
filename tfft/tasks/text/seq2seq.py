"""Sequence to sequence: a text to another, such as its translation or its summary."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import keras

from tfft.argument_checks.validated import validated
from tfft.baselines.constant_texts import copied_text
from tfft.data.examples import Examples
from tfft.data.inputs import Text, texts
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.metrics.text import generated_text
from tfft.preprocessing.text.prompts import SourcePreprocessor
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.evaluators.generated_text import GeneratedTextEvaluator
from tfft.tasks.targets.base import Counts
from tfft.tasks.text import teacher_forcing
from tfft.tasks.text.generative_base import CONSTRAINTS, GenerativeTask


@validated(**CONSTRAINTS)
class Seq2Seq(GenerativeTask):
    """The answer by a decoder, which reads the text through an encoder (teacher forcing).

    Args:
      max_new_tokens: the most tokens of an answer, learned or generated, its end token included.
      num_beams: beams of the search; 1 takes the most probable token at each step.
      length_penalty: alpha by which longer answers are favoured among several beams.
      label_smoothing: share of the target that is spread evenly over the vocabulary.
      figure: the main metric: "bleu" or "chrf" of translations, "rouge_l" of summaries.
    """

    name: ClassVar[str] = "seq2seq"
    _answer_arguments = ("figure",)
    inputs: tuple[Text, ...] = texts("source")
    backbone_output: BackboneOutput = BackboneOutput("decoder")

    def __init__(
        self,
        max_new_tokens: int = 64,
        num_beams: int = 1,
        length_penalty: float = 0.0,
        label_smoothing: float = 0.0,
        figure: Literal["bleu", "chrf", "rouge_l"] = "bleu",
    ):
        super().__init__(Search(max_new_tokens, num_beams, length_penalty), label_smoothing)
        self.figure = figure

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the task for the answers of the training split.

        Raises:
          ConfigError: sacrebleu, which computes BLEU and chrF, is not installed.
        """
        generated_text.require()
        return super().with_training_answers(counts)

    def build_preprocessor(self, own: Any) -> SourcePreprocessor:
        return SourcePreprocessor(**own.settings(), answer_length=self.search.longest)

    def encode_training_examples(
        self, examples: Examples, preprocessor: SourcePreprocessor
    ) -> Examples:
        return teacher_forcing.add_decoder_rows(examples, preprocessor)

    def make_predict_fn(self, model: keras.Model) -> Callable[..., Any]:
        return text_generation.answering(text_generation.body_of(model), self.search)

    def build_evaluator(self) -> GeneratedTextEvaluator:
        scores = sorted(generated_text.NAMES, key=lambda name: name != self.figure)
        return GeneratedTextEvaluator(
            (*scores, "perplexity"), lambda train, test: copied_text(test.inputs[0])
        )
