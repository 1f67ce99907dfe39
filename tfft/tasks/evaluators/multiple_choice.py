"""Metrics and reports of multiple choice: which of an example's own answers is right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfft.baselines import word_overlap
from tfft.data.examples import Examples
from tfft.metrics.classification import multiple_choice
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples


class MultipleChoiceEvaluator(Evaluator):
    """Evaluates scores of choices, a float array [r 1] for each example."""

    metrics = reported(
        {"accuracy": "accuracy", "log_loss": "log loss"}, less_is_better=("log_loss",)
    )

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        return multiple_choice.measures(examples.targets, outputs)

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the choice with most words of the question, and the first choice."""
        return word_overlap.choice_floors(*test.inputs)

    def slices(self, examples: Examples) -> dict[str, Sequence[str]]:
        """Returns the division by the number of choices."""
        return {"choices": [str(len(texts)) for texts in choices(examples)]}

    def report_examples(self, examples: Examples, outputs: Any) -> Details:
        """Returns the mistakes of which the model was surest, and what it was least certain of."""
        predictions, truth = predicted(examples, outputs), examples.targets
        sure = np.array([max(each["probabilities"]) for each in predictions])
        wrong = np.flatnonzero(self.main_terms(examples, outputs)["score"] == 0)

        def details(row: int) -> Details:
            return {
                "truth": multiple_choice.choices_of(examples.inputs[1][row])[truth[row]],
                "predicted": predictions[row]["choice"],
                "probability": float(sure[row]),
                "probability_of_truth": predictions[row]["probabilities"][truth[row]],
            }

        surest = wrong[np.argsort(-sure[wrong], kind="stable")]
        return shown_examples(examples, surest, details, np.argsort(sure, kind="stable"))


def choices(examples: Examples) -> list[list[str]]:
    """Returns the choices of each example."""
    return list(map(multiple_choice.choices_of, examples.inputs[1]))


def predicted(examples: Examples, outputs: Any) -> list[Details]:
    """Returns `choice`, `number` and `probabilities` of each example."""
    pairs = zip(choices(examples), outputs, strict=True)
    return [multiple_choice.chosen(texts, scores[: len(texts), 0]) for texts, scores in pairs]
