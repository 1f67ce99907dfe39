"""Metrics and reports of predicted values, by scores of each example."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.examples import Examples
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples

Score = Callable[[np.ndarray, np.ndarray], Any]


def absolute_error(truth: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns the mean absolute difference within each example, [n], of arrays [n ...]."""
    return np.abs(predicted - truth).reshape(len(truth), -1).mean(1)


class ValueEvaluator(Evaluator):
    """Evaluates values by functions that compare them with the true ones.

    Targets have to be an array of the same form as the outputs, [n ...].

    Args:
      scores: by the key of a metric, a function from the true and the predicted values, [n ...], to
        a number for each example, [n]. The metric is the mean of these numbers. The first metric is
        the main one.
      less_is_better: keys of the metrics of which a smaller value is better.
      decode: from outputs, or from targets, [n ...], to values, [n ...]; None for outputs that are
        the values.

    Example:
      `ValueEvaluator({"accuracy": np.equal}, decode=lambda outputs: outputs > 0.5)`
    """

    def __init__(
        self,
        scores: Mapping[str, Score],
        less_is_better: Collection[str] = (),
        decode: Callable[[Any], Any] | None = None,
    ):
        self.scores, self.decode = dict(scores), decode
        titles = {key: key.replace("_", " ") for key in scores}
        self.metrics = reported(titles, less_is_better=tuple(less_is_better))

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        """Returns "mean" and the score of each example, by metric.

        Raises:
          ValueError: the outputs have another shape than the targets, or a score is not one
            number for each example.
        """
        truth, predicted = self._values(examples.targets), self._values(outputs)
        if truth.shape != predicted.shape:
            raise ValueError(
                "ValueEvaluator compares values of one shape. Received: targets of the shape "
                f"{truth.shape} and outputs of the shape {predicted.shape}."
            )
        terms: dict[str, Any] = {}
        for key, score in self.scores.items():
            numbers = np.asarray(score(truth, predicted))
            if numbers.shape != (len(truth),):
                raise ValueError(
                    f"The score {key!r} must have the shape ({len(truth)},), one number for each "
                    f"example. Received: shape={numbers.shape} for values of the shapes "
                    f"{truth.shape} and {predicted.shape}."
                )
            terms[key] = ("mean", {"score": numbers})
        return terms

    def data_warnings(self, examples: Examples) -> list[str]:
        """Computes the scores of the targets, so that wrong functions fail before the training.

        Raises:
          TypeError: the targets are not an array.
          ValueError: see `terms`.
        """
        if not isinstance(examples.targets, np.ndarray):
            raise TypeError(
                "ValueEvaluator needs targets that are an array [n ...]; other tasks override "
                f"build_evaluator. Received: {type(examples.targets).__name__}."
            )
        with np.errstate(all="ignore"):
            self.terms(examples, examples.targets)
        return []

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns the mean of the training targets, for every example."""
        mean = np.asarray(np.mean(train.targets, axis=0, dtype=np.float64), np.float32)
        return {"mean": Floor(np.repeat(mean[None], len(test), axis=0))}

    def report_examples(self, examples: Examples, outputs: Any) -> Details:
        """Returns the examples with a wrong value, the worst by the main metric first."""
        truth, predicted = self._values(examples.targets), self._values(outputs)
        scores = np.asarray(self.main_terms(examples, outputs)["score"], np.float64)
        order = np.argsort(scores if self.metrics[0].greater_is_better else -scores, kind="stable")
        differs = (truth != predicted).reshape(len(truth), -1).any(1)

        def details(row: int) -> dict[str, str]:
            return {"truth": str(truth[row].tolist()), "predicted": str(predicted[row].tolist())}

        return shown_examples(examples, order[differs[order]], details)

    def _values(self, outputs: Any) -> np.ndarray:
        return np.asarray(outputs if self.decode is None else self.decode(outputs))
