"""Multiple choice: which of an example's own answers is right."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, validated
from tfft.data.examples import Examples
from tfft.data.inputs import Text, texts
from tfft.layers.heads import dense_head
from tfft.losses.batch_metrics import ChoiceAccuracy
from tfft.losses.classification import ChoiceCrossentropy
from tfft.metrics.classification import multiple_choice
from tfft.preprocessing.text.multiple_texts import ChoicePreprocessor
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import Task
from tfft.tasks.evaluators.multiple_choice import MultipleChoiceEvaluator, choices
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.class_probabilities import ChoiceSignature
from tfft.tasks.targets.base import Answers, Target


@validated(dropout=FRACTION)
class MultipleChoice(Task):
    """A score for each choice, a Dense on the pooled output of the question joined with it.

    A softmax over the choices of an example makes them probabilities, as in GPT (Radford et al.,
    2018) and BERT (Devlin et al., 2019) on SWAG. Examples may have different numbers of choices.

    Args:
      answer: "number", counted from 0, or "text", that of the right choice, says what the answers
        are; "either" takes both, and refuses an answer that could be both.
      dropout: share of the pooled features that is dropped in training.
    """

    name: ClassVar[str] = "multiple_choice"
    _answer_arguments = ("answer",)
    inputs: tuple[Text, ...] = texts("question", "choices")
    target: Target = Answers()
    backbone_output = BackboneOutput("pooled", instances=True, padding_value=-1e9)

    def __init__(
        self, answer: Literal["either", "number", "text"] = "either", dropout: float = 0.1
    ):
        self.answer, self.dropout = answer, dropout

    def build_preprocessor(self, own: Any) -> ChoicePreprocessor:
        return ChoicePreprocessor(**own.settings())

    def encode_targets(self, examples: Examples) -> np.ndarray:
        """Returns the numbers of the right choices, int32 [n].

        Raises:
          DataError: an example has no list of two texts or more, or an answer is none of them.
        """
        pairs = zip(choices(examples), examples.answers or (), strict=True)
        return np.array(
            [multiple_choice.right_number(*pair, self.answer) for pair in pairs], np.int32
        )

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        return dense_head(self.dropout, 1, "score")

    def build_loss(self, head: keras.layers.Layer) -> keras.losses.Loss:
        return ChoiceCrossentropy()

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [ChoiceAccuracy(name="accuracy")]

    def build_evaluator(self) -> MultipleChoiceEvaluator:
        return MultipleChoiceEvaluator()

    def build_signatures(self) -> Signatures:
        return {DEFAULT: ChoiceSignature(self)}
