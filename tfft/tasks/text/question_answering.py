"""Question answering: the words of a context that answer a question, or that there are none."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import keras

from tfft.argument_checks.validated import ANY, COUNT, FRACTION, NON_NEGATIVE, validated
from tfft.data.encoded_split import Ragged, ragged
from tfft.data.examples import Examples
from tfft.data.inputs import Text, texts
from tfft.layers.heads import dense_head
from tfft.losses.answer_spans import SpanLoss
from tfft.metrics.text import answer_span_scores, extractive_answers
from tfft.preprocessing.text.question_windows import PairWindows
from tfft.tasks.backbone_output import BackboneOutput
from tfft.tasks.base import Task, calibrated_values
from tfft.tasks.calibrations.no_answer import NoAnswerThreshold
from tfft.tasks.evaluators.text_spans import AnswerEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.texts import AnswerSignature
from tfft.tasks.targets.base import Answers, Target


@validated(
    question_length=COUNT,
    overlap=NON_NEGATIVE,
    most_windows=COUNT,
    longest_answer=COUNT,
    null_threshold=ANY,
    dropout=FRACTION,
)
class QuestionAnswering(Task):
    """A linear Dense on each token: whether the answer begins there, and whether it ends there.

    After Devlin et al. (2019), with one softmax over all windows of a context. An answer is JSON in
    SQuAD's shape, see `tfft.metrics.text.extractive_answers.read`; without a text, there is none in
    the context.

    Args:
      question_length: the most tokens of a question, what is behind them is cut; None for 64, or a
        third of the sequence where that is less.
      overlap: tokens of the context that two windows share; None for a quarter of the sequence.
      most_windows: of a context; what is behind them is cut.
      longest_answer: the most tokens of an answer that is predicted.
      null_threshold: by how much no answer has to be more probable than the best one to be
        predicted, in log-probabilities; "validation" fits it on the validation split; None always
        answers.
      dropout: share of the tokens' features that is dropped in training.
    """

    name: ClassVar[str] = "question_answering"
    inputs: tuple[Text, ...] = texts("question", "context")
    target: Target = Answers()
    backbone_output: BackboneOutput = BackboneOutput("tokens", instances=True)
    calibration: NoAnswerThreshold

    def __init__(
        self,
        question_length: int | None = None,
        overlap: int | None = None,
        most_windows: int = 8,
        longest_answer: int = 30,
        null_threshold: float | Literal["validation"] | None = 0.0,
        dropout: float = 0.1,
    ):
        windows = {"first_length": question_length, "overlap": overlap, "most": most_windows}
        self.windows: dict[str, Any] = windows
        self.longest_answer, self.dropout = longest_answer, dropout
        self.calibration = NoAnswerThreshold(null_threshold, longest_answer)

    def build_preprocessor(self, own: Any) -> PairWindows:
        return PairWindows(**own.settings(), **self.windows)

    def encode_targets(self, examples: Examples) -> Ragged | None:
        """Returns the marks of `tfft.metrics.text.answer_span_scores`, int32, in rows as the
        tokens; None where there are no tokens.

        Raises:
          DataError: an answer has another shape, or does not stand where it says.
        """
        references, encoded = extractive_answers.golds(examples), examples.encoded
        return None if encoded is None else ragged(answer_span_scores.marked(encoded, references))

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        """Returns the layers from features of tokens [b r t d] to logits of both ends [b r t 2]."""
        return dense_head(self.dropout, 2, "ends")

    def build_loss(self, head: keras.layers.Layer) -> keras.losses.Loss:
        return SpanLoss()

    def build_evaluator(self) -> AnswerEvaluator:
        return AnswerEvaluator(self.longest_answer, self.calibration.limit)

    def build_signatures(self) -> Signatures:
        return {DEFAULT: AnswerSignature(self, self.longest_answer, self.calibration.limit)}

    def get_config(self) -> dict[str, Any]:
        values = calibrated_values(self)
        return {
            "task": self.name,
            **self.windows,
            "longest_answer": self.longest_answer,
            "null_threshold": self.calibration.threshold,
            "dropout": self.dropout,
            **({"decision": values} if values else {}),
        }
