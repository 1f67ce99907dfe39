"""Question answering: the words of a context that answer a question, or that there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import ANY, COUNT, FRACTION, NON_NEGATIVE, validated
from tfft.baselines.base import Floor, Say
from tfft.baselines.sliding_window_answers import answer_floors
from tfft.data.encoded_split import Ragged, ragged
from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.layers.answer_spans import served
from tfft.layers.heads import dense_head
from tfft.losses.answer_spans import SpanLoss
from tfft.metrics import aggregates
from tfft.metrics.text import answer_span_scores, extractive_answers
from tfft.preprocessing.text.question_windows import PairWindows
from tfft.tasks.base import Answers, Task
from tfft.tasks.report_examples import shown_examples


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
      longest_answer: the most tokens of an answer that is given.
      null_threshold: by how much no answer has to be more probable than the best one to be given,
        in the logarithms; "validation" settles it on the validation split; None always answers.
      dropout: share of the tokens' features that is dropped in training.
    """

    name: ClassVar[str] = "question_answering"
    inputs: ClassVar[tuple[str, ...]] = ("question", "context")
    reads: ClassVar[str] = "tokens"
    rows: ClassVar[bool] = True
    figures: ClassVar[Mapping[str, str]] = extractive_answers.FIGURES

    def __init__(
        self,
        question_length: int | None = None,
        overlap: int | None = None,
        most_windows: int = 8,
        longest_answer: int = 30,
        null_threshold: float | Literal["validation"] | None = 0.0,
        dropout: float = 0.1,
    ):
        if isinstance(longest_answer, bool) or longest_answer < 1:
            raise ConfigError(f"longest_answer={longest_answer!r} is none.", valid="1 or more")
        if isinstance(null_threshold, str) and null_threshold != "validation":
            valid = 'a number, "validation" or None'
            raise ConfigError(f"null_threshold={null_threshold!r} is unknown.", valid=valid)
        windows = {"first_length": question_length, "overlap": overlap, "most": most_windows}
        self.windows: dict[str, Any] = windows
        self.longest_answer, self.null_threshold = longest_answer, null_threshold
        self.dropout = dropout

    def preprocessor(self, own: Any) -> PairWindows:
        return PairWindows(**own.settings(), **self.windows)

    def targets(self, examples: Examples) -> Ragged | None:
        """Returns the marks of `tfft.metrics.text.answer_span_scores`; None where there are no
        tokens.
        """
        golds, encoded = extractive_answers.golds(examples), examples.encoded
        return None if encoded is None else ragged(answer_span_scores.marked(encoded, golds))

    def warnings(self, examples: Examples) -> list[str]:
        return answer_span_scores.left_out(examples.encoded)

    def config(self) -> dict[str, Any]:
        return {
            "task": self.name,
            **self.windows,
            "longest_answer": self.longest_answer,
            "null_threshold": self.null_threshold,
            "dropout": self.dropout,
            **({"decision": dict(self.decision)} if self.decision else {}),
        }

    def head(self) -> keras.layers.Layer:
        return dense_head(self.dropout, 2, "ends")

    def loss(self) -> keras.losses.Loss:
        return SpanLoss()

    def constant_loss(self, targets: Ragged) -> float | None:
        return answer_span_scores.uniform_loss(targets)

    @property
    def undecided(self) -> bool:
        return self.null_threshold == "validation" and not self.decision

    def decide(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        found = answer_span_scores.found(examples.encoded, outputs, self.longest_answer)
        return {"null_threshold": extractive_answers.best_threshold(examples, found)}

    @property
    def limit(self) -> float:
        """Above which difference no answer is given."""
        chosen = self.decision.get("null_threshold", self.null_threshold)
        return np.inf if chosen is None else 0.0 if isinstance(chosen, str) else float(chosen)

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns `answer` with the characters it begins with and ends before, and `probability`.

        No answer is "", from -1 to -1, with the probability of that.
        """
        found = answer_span_scores.found(examples.encoded, outputs, self.longest_answer)
        return answer_span_scores.told(found, examples.inputs[1], self.limit)

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns what `predictions` says, [b] each; for token ids the `logits`, [b r t 2]."""
        if "starts" not in read:
            return {"logits": outputs}
        return served(outputs, read, self.longest_answer, self.limit)

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        return extractive_answers.received(answers)

    def evaluate_answers(self, examples: Examples, answers: Answers) -> Any:
        measures = extractive_answers.measures(
            self.answered(answers, examples), extractive_answers.texts(examples)
        )
        return aggregates.figures(measures), {}

    def measures(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return extractive_answers.measures(
            self.predictions(examples, outputs), extractive_answers.texts(examples)
        )

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns a sliding window over words and, where it is ever right, no answer at all."""
        return answer_floors(train, test, self.longest_answer)

    def groups(self, examples: Examples) -> dict[str, Sequence[str]]:
        known = extractive_answers.texts(examples)
        return {"answer": ["there is one" if each else "there is none" for each in known]}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the examples with the least F1, the surest first."""
        worst = extractive_answers.surest_errors(examples, self.predictions(examples, outputs))
        return shown_examples(examples, list(worst), worst.__getitem__)
