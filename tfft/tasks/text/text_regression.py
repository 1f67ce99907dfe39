"""Text regression: a number for each text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import keras
import numpy as np

from tfft.argument_checks.validated import FRACTION, POSITIVE, validated
from tfft.data.examples import Examples
from tfft.data.inputs import texts
from tfft.layers.heads import Units, dense_head
from tfft.losses.regression import StandardizedError
from tfft.metrics import regression
from tfft.preprocessing.text.text_pairs import PairPreprocessor
from tfft.tasks.base import Task, config_of
from tfft.tasks.evaluators.regression import RegressionEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.values import NumberSignature
from tfft.tasks.targets.numbers import Numbers


@validated(delta=POSITIVE, dropout=FRACTION)
class TextRegression(Task):
    """A linear Dense on the backbone's pooled output.

    The head learns answers at mean 0 and variance 1 over the training split; what the model, its
    exports and all metrics give is in the units of the data.

    Args:
      loss: "mse", the squared error, or "huber", which counts errors above `delta` less.
      delta: where the Huber loss turns linear, in standard deviations of the training answers.
      dropout: share of the pooled features that is dropped in training.
      pair: whether an example is two texts, whose likeness, say, is the answer.
      sentinels: Numbers that stand for a missing answer. They are refused if they are far from the
        other answers. None for those that many files have, such as -999 and 1e38; () for none.
    """

    name: ClassVar[str] = "text_regression"
    _answer_arguments = ("pair",)
    target: Numbers = Numbers()

    def __init__(
        self,
        loss: Literal["mse", "huber"] = "mse",
        delta: float = 1.0,
        dropout: float = 0.1,
        pair: bool = False,
        sentinels: Sequence[float] | None = None,
    ):
        self.loss, self.delta, self.dropout, self.pair = loss, delta, dropout, pair
        self.inputs = texts("text", "text_pair") if pair else texts("text")
        if sentinels is not None:
            self.target = Numbers(sentinels=tuple(sentinels))

    def build_preprocessor(self, own: Any) -> Any:
        return PairPreprocessor(**own.settings()) if self.pair else own

    def encode_targets(self, examples: Examples) -> np.ndarray:
        """Returns the answers as numbers, float32 [n 1]."""
        return regression.read(examples.answers or ())[:, None]

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        units = Units(self.target.center, self.target.scale, dtype="float32", name="units")
        return dense_head(self.dropout, 1, "linear", units)

    def build_loss(self, head: keras.layers.Layer | None = None) -> keras.losses.Loss:
        return StandardizedError(self.loss, self.delta, self.target.scale)

    def build_metrics(self) -> list[keras.metrics.Metric]:
        return [keras.metrics.MeanAbsoluteError(name="mae")]

    def build_evaluator(self) -> RegressionEvaluator:
        return RegressionEvaluator(self.build_loss(), self.target.center)

    def build_signatures(self) -> Signatures:
        return {DEFAULT: NumberSignature(self)}

    def get_config(self) -> dict[str, Any]:
        return config_of(self, sentinels=list(self.target.sentinels))
