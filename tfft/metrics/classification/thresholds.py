"""Probability thresholds of a label, chosen on validation data for F1 or a precision."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from sklearn.metrics import precision_recall_curve

from tfft.errors import ConfigError, near


@dataclasses.dataclass(frozen=True)
class Threshold:
    """What a threshold is chosen for.

    Attributes:
      aim: the highest F1, or the highest recall of those with a precision.
      label: the class whose probability is compared; None for the second of two.
      precision: the least one, for "recall_at_precision".
    """

    aim: Literal["f1", "recall_at_precision"]
    label: str | None = None
    precision: float | None = None

    def check(self, labels: Sequence[str]) -> None:
        """Refuses classes that one threshold cannot tell apart.

        Raises:
          ConfigError: there are not two, or none of them is the label.
        """
        if len(labels) != 2:
            raise ConfigError(
                f"a threshold needs two classes, and there are {len(labels)}.",
                set_in="TextClassification.threshold",
                valid="None: the most probable class is given",
            )
        if self.label not in (None, *labels):
            raise ConfigError(
                f"the threshold is for {self.label!r}, which is none of the labels.",
                set_in=f"{self.aim}.label",
                valid=near(str(self.label), labels),
            )

    def label_of(self, labels: Sequence[str]) -> str:
        """Returns the label whose probability is compared."""
        return self.label or labels[1]

    def settle(
        self, truth: np.ndarray, outputs: np.ndarray, labels: Sequence[str]
    ) -> dict[str, Any]:
        """Returns what `choose` does for the label's column, and what it was chosen for, JSON-able.

        Args:
          truth: class numbers, int [n].
          outputs: probabilities, float [n c].
          labels: the classes' names.
        """
        label = self.label_of(labels)
        number = list(labels).index(label)
        about = {"label": label, "aim": self.aim, "asked": self.precision}
        return {**about, **self.choose(truth == number, outputs[:, number])}

    def choose(self, truth: np.ndarray, scores: np.ndarray) -> dict[str, Any]:
        """Returns the threshold of one label, which is predicted above `value`.

        It lies half-way between two scores, so that rounding does not move an example across.

        Args:
          truth: whether an example has the label, bool [n].
          scores: its probability, float [n].

        Returns:
          `value`; `precision`, `recall` and `f1` with it on these examples; `reached`, whether the
          requested precision can be reached. Where it cannot, the value is the one with the
          highest precision.
        """
        if not truth.any():
            return {"value": 0.5, "precision": None, "recall": None, "f1": None, "reached": False}
        precision, recall, scores = precision_recall_curve(truth, scores)
        precision, recall = precision[:-1], recall[:-1]  # the last point answers no example
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
        reached = True
        if self.precision is None:
            best = int(f1.argmax())
        else:
            enough = precision >= self.precision
            reached = bool(enough.any())
            first, second = (recall, precision) if reached else (precision, recall)
            best = int(np.lexsort((second, first, enough))[-1])
        distinct = np.concatenate([[0.0], scores])
        return {
            "value": float(distinct[best : best + 2].mean()),
            "precision": float(precision[best]),
            "recall": float(recall[best]),
            "f1": float(f1[best]),
            "reached": reached,
        }
