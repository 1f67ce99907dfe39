"""Multiple choice: which of an example's own answers is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, validated
from tfft.baselines import word_overlap
from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.layers.heads import dense_head
from tfft.losses.batch_metrics import ChoiceAccuracy
from tfft.losses.classification import ChoiceCrossentropy
from tfft.metrics.classification import multiple_choice
from tfft.preprocessing.text.multiple_texts import ChoicePreprocessor
from tfft.tasks.base import Answers, Task
from tfft.tasks.report_examples import shown_examples


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
    inputs: ClassVar[tuple[str, ...]] = ("question", "choices")
    rows: ClassVar[bool] = True
    absent: ClassVar[float] = -1e9
    figures: ClassVar[Mapping[str, str]] = {"accuracy": "accuracy", "log_loss": "log loss"}
    lower: ClassVar[frozenset[str]] = frozenset({"log_loss"})

    def __init__(
        self, answer: Literal["either", "number", "text"] = "either", dropout: float = 0.1
    ):
        self.answer, self.dropout = answer, dropout

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> MultipleChoice:
        return cls(card.get("answer", "either"))

    def preprocessor(self, own: Any) -> ChoicePreprocessor:
        return ChoicePreprocessor(**own.settings())

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns the numbers of the right choices, int32 [n].

        Raises:
          DataError: an example has no list of two texts or more, or an answer is none of them.
        """
        pairs = zip(_choices(examples), examples.answers or (), strict=True)
        return np.array(
            [multiple_choice.right_number(*pair, self.answer) for pair in pairs], np.int32
        )

    def head(self) -> keras.layers.Layer:
        return dense_head(self.dropout, 1, "score")

    def loss(self) -> keras.losses.Loss:
        return ChoiceCrossentropy()

    def metrics(self) -> list[Any]:
        return [ChoiceAccuracy(name="accuracy")]

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        pairs = zip(_choices(examples), outputs, strict=True)
        return [multiple_choice.chosen(texts, scores[: len(texts), 0]) for texts, scores in pairs]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `number`, int32 [b], and `probabilities`, [b r], 0 where there is no choice."""
        scores = outputs[..., 0]
        number = keras.ops.cast(keras.ops.argmax(scores, axis=-1), "int32")
        return {"number": number, "probabilities": keras.ops.softmax(scores, axis=-1)}

    def received(self, answers: Answers) -> list[np.ndarray]:
        return [np.log(np.maximum(each, 1e-30))[:, None] for each in answers["probabilities"]]

    def measures(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return multiple_choice.measures(examples.targets, outputs)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the choice with most words of the question, and the first choice."""
        return word_overlap.choice_floors(*test.inputs)

    def groups(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by the number of choices."""
        return {"choices": [str(len(texts)) for texts in _choices(examples)]}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the mistakes of which the model was surest, and what it was least certain of."""
        found, truth = self.predictions(examples, outputs), examples.targets
        sure = np.array([max(each["probabilities"]) for each in found])
        wrong = np.flatnonzero(self.sums(examples, outputs)["score"] == 0)

        def told(row: int) -> dict[str, Any]:
            return {
                "truth": multiple_choice.choices_of(examples.inputs[1][row])[truth[row]],
                "predicted": found[row]["choice"],
                "probability": float(sure[row]),
                "probability_of_truth": found[row]["probabilities"][truth[row]],
            }

        surest = wrong[np.argsort(-sure[wrong], kind="stable")]
        return shown_examples(examples, surest, told, np.argsort(sure, kind="stable"))


def _choices(examples: Examples) -> list[list[str]]:
    return list(map(multiple_choice.choices_of, examples.inputs[1]))
