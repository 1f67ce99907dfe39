"""Text regression: a number for each text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, POSITIVE, validated
from tfft.baselines.base import Floor, Say
from tfft.baselines.tfidf_linear import ridge_floors
from tfft.data.examples import Examples
from tfft.errors import DataError
from tfft.layers.heads import Units, dense_head
from tfft.losses.regression import StandardizedError
from tfft.metrics import regression
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.tasks.base import Answers, Task, config_of
from tfft.tasks.report_examples import shown_examples


@validated(delta=POSITIVE, dropout=FRACTION)
class TextRegression(Task):
    """A linear Dense on the body's pooled output.

    The head learns answers at mean 0 and variance 1 over the training split; what the model, its
    exports and all figures give is in the units of the data.

    Args:
      loss: "mse", the squared error, or "huber", which counts errors above `delta` less.
      delta: where the Huber loss turns linear, in standard deviations of the training answers.
      dropout: share of the pooled features that is dropped in training.
      pair: whether an example is two texts, whose likeness, say, is the answer.
      sentinels: Numbers that stand for a missing answer. They are refused if they are far from the
        other answers. None for those that many files have, such as -999 and 1e38; () for none.
    """

    name: ClassVar[str] = "text_regression"
    measure: ClassVar[str] = "pearson"
    figures: ClassVar[Mapping[str, str]] = {
        "pearson": "Pearson",
        "spearman": "Spearman",
        "mae": "mean absolute error",
        "rmse": "root mean squared error",
    }
    lower: ClassVar[frozenset[str]] = frozenset({"mae", "rmse"})

    def __init__(
        self,
        loss: Literal["mse", "huber"] = "mse",
        delta: float = 1.0,
        dropout: float = 0.1,
        pair: bool = False,
        sentinels: Sequence[float] | None = None,
    ):
        self.kind, self.delta, self.dropout, self.pair = loss, delta, dropout, pair
        self.sentinels = regression.SENTINELS if sentinels is None else tuple(sentinels)
        self.center, self.scale = 0.0, 1.0
        self.low, self.high = -np.inf, np.inf  # of the training answers
        if pair:
            self.inputs = ("text", "text_pair")  # type: ignore[misc]

    def preprocessor(self, own: Any) -> Any:
        return PairPreprocessor(**own.settings()) if self.pair else own

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        """Returns the task with the mean and the deviation of the training answers.

        Raises:
          DataError: an answer is no number, one seems to be missing, all are the same, or float32
            cannot standardize them.
        """
        counts = counts or dict.fromkeys(found, 1)
        regression.check(counts)
        if not len(found):
            return self
        values, weights = np.array(list(map(float, found))), [counts[answer] for answer in found]
        task = copy.copy(self)
        usual = [v for v in values if not regression.is_sentinel(v, self.sentinels)] or list(values)
        task.low, task.high = min(usual), max(usual)
        regression.check_sentinels(counts, self.sentinels, task.low, task.high)
        values = regression.read(found).astype(np.float64)
        task.center = float(np.average(values, weights=weights))
        task.scale = float(np.sqrt(np.average((values - task.center) ** 2, weights=weights)))
        if task.low == task.high:
            raise DataError(
                f"all training answers are {found[0]}.", valid="two different numbers or more"
            )
        regression.check_scale(values, task.center, task.scale)
        return task

    def check_answers(self, counts: Mapping[str, int]) -> None:
        regression.check(counts)
        regression.check_sentinels(counts, self.sentinels, self.low, self.high)

    def targets(self, examples: Examples) -> np.ndarray:
        return regression.read(examples.answers or ())[:, None]

    def config(self) -> dict[str, Any]:
        return config_of(self, loss=self.kind, sentinels=list(self.sentinels))

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> TextRegression:
        return cls(pair=card["pair"])

    def head(self) -> keras.layers.Layer:
        units = Units(self.center, self.scale, dtype="float32", name="units")
        return dense_head(self.dropout, 1, "linear", units)

    def loss(self) -> keras.losses.Loss:
        return StandardizedError(self.kind, self.delta, self.scale)

    def metrics(self) -> list[Any]:
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def constant_loss(self, targets: np.ndarray) -> float:
        return float(self.loss()(targets, np.full_like(targets, self.center)))

    def predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        return [{"value": float(value)} for value in outputs[:, 0]]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        return {"value": outputs[:, 0]}

    def received(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["value"])[:, None]

    def measures(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        return regression.measures(examples.targets[:, 0], outputs[:, 0])

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the mean of the training answers, and ridge regression on TF-IDF."""
        return ridge_floors(train.inputs, train.targets, test.inputs, say)

    def shown(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the examples with the largest errors."""
        truth, found = examples.targets[:, 0], outputs[:, 0]
        worst = np.argsort(-np.abs(found - truth), kind="stable")

        def told(row: int) -> dict[str, Any]:
            return {"truth": f"{truth[row]:.4g}", "predicted": f"{found[row]:.4g}"}

        return shown_examples(examples, worst, told)
