"""Multi-label classification: any number of labels for each text."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.errors import DataError, near
from tfft.metrics.floors import Floor, Say
from tfft.metrics.linear_floors import label_floors
from tfft.metrics.multi_label import label_sums, multi_label_metrics, surest_errors
from tfft.metrics.thresholds import Threshold
from tfft.task import Answers, Examples, Task, shown_examples


class MultiLabelClassification(Task):
    """A sigmoid for each label on the body's pooled output, trained with binary cross-entropy.

    Args:
      labels: the names in the order of the outputs; None takes those of the training split, sorted.
      separator: between the labels of an answer that is a string; a list in JSON needs none.
      dropout: share of the pooled features that is dropped in training.
      threshold: above which probability a label is given: chosen for each label on the validation
        split, `f1()` or `recall_at_precision(0.9)`; None gives those above 0.5.
    """

    name: ClassVar[str] = "multi_label_classification"
    measure: ClassVar[str] = "f1"
    figures: ClassVar[Mapping[str, str]] = {
        "micro_f1": "micro F1",
        "macro_f1": "macro F1",
        "average_precision": "PR area",
        "subset_accuracy": "all labels right",
        "hamming_loss": "Hamming loss",
    }
    lower: ClassVar[frozenset[str]] = frozenset({"hamming_loss"})

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        separator: str = ",",
        dropout: float = 0.1,
        threshold: Threshold | None = None,
    ):
        self.labels = None if labels is None else tuple(labels)
        self.separator, self.dropout, self.threshold = separator, dropout, threshold
        self.decision: Mapping[str, Any] = {}

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        names = sorted({name for answer in found for name in self.split(answer)})
        task = copy.copy(self)
        task.labels = self.labels or tuple(names)
        self._refuse_unknown(names, task.labels)
        if not task.labels:
            raise DataError("no training example has a label.", valid="one label or more")
        return task

    def split(self, answer: str) -> list[str]:
        """Returns the labels of an answer: a JSON list, or names with separators between them."""
        if answer.lstrip().startswith("["):
            try:
                return [str(name) for name in json.loads(answer)]
            except json.JSONDecodeError as error:
                raise DataError(f"{answer!r} is no list in JSON: {error}.") from error
        return [name.strip() for name in answer.split(self.separator) if name.strip()]

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns 1 at the labels of each answer, float32 [n c]."""
        labels = self.labels or ()
        numbers = {name: number for number, name in enumerate(labels)}
        found = np.zeros((len(examples.answers or ()), len(labels)), np.float32)
        for row, answer in enumerate(examples.answers or ()):
            names = self.split(answer)
            self._refuse_unknown(names, labels)
            found[row, [numbers[name] for name in names]] = 1.0
        return found

    def _refuse_unknown(self, names: Sequence[str], labels: Sequence[str]) -> None:
        unknown = [name for name in names if name not in labels]
        if unknown:
            raise DataError(
                f"the label {unknown[0]!r} is none of the task's.", valid=near(unknown[0], labels)
            )

    def config(self) -> dict[str, Any]:
        return {
            "task": self.name,
            "labels": list(self.labels or ()),
            "separator": self.separator,
            "dropout": self.dropout,
            "threshold": self.threshold and repr(self.threshold),
            **({"decision": dict(self.decision)} if self.decision else {}),
        }

    def head(self) -> keras.layers.Layer:
        return keras.Sequential(
            [
                keras.layers.Dropout(self.dropout, name="dropout"),
                keras.layers.Dense(
                    len(self.labels or ()), activation="sigmoid", dtype="float32", name="sigmoid"
                ),
            ],
            name="head",
        )

    def loss(self) -> keras.losses.Loss:
        return keras.losses.BinaryCrossentropy()

    def metrics(self) -> list[Any]:
        return [keras.metrics.F1Score("micro", threshold=0.5, name="micro_f1")]

    def constant_loss(self, targets: np.ndarray) -> float:
        return float(self.loss()(targets, np.tile(targets.mean(0), (len(targets), 1))))

    @property
    def undecided(self) -> bool:
        return self.threshold is not None and not self.decision

    def decide(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the threshold of each label, in their order."""
        assert self.threshold is not None
        columns = zip(examples.targets.T == 1, outputs.T, strict=True)
        found = [self.threshold.choose(truth, scores) for truth, scores in columns]
        return {"thresholds": dict(zip(self.labels or (), found, strict=True))}

    def decided(self, found: Mapping[str, Any], head: keras.layers.Layer | None) -> Any:
        task = copy.copy(self)
        task.decision = found
        return task

    @property
    def limits(self) -> np.ndarray:
        """The probability above which each label is given, float32 [c]."""
        chosen = self.decision.get("thresholds", {})
        return np.array([chosen.get(n, {"value": 0.5})["value"] for n in self.labels or ()], "f4")

    def predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        names, given = np.array(self.labels), outputs > self.limits
        return [
            {
                "labels": names[chosen].tolist(),
                "probabilities": dict(zip(self.labels or (), row.tolist(), strict=True)),
            }
            for chosen, row in zip(given, outputs, strict=True)
        ]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `probabilities` and, as 0 and 1, which labels are given, [b c] both."""
        given = keras.ops.cast(outputs > self.limits, "int32")
        return {"probabilities": outputs, "given": given}

    def received(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        truth, given = examples.targets == 1, outputs > self.limits
        return multi_label_metrics(truth, given, outputs, self.labels or ())

    def sums(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return label_sums(examples.targets == 1, outputs > self.limits)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        return label_floors(train.inputs, train.targets, test.inputs, say)

    def described(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        return {"labels": list(self.labels or ())}

    def shown(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the examples with a wrong label, that of the surest first."""
        truth, given = examples.targets == 1, outputs > self.limits
        wrong = surest_errors(truth, given, outputs)
        names = np.array(self.labels)

        def told(row: int) -> dict[str, Any]:
            sides = {"truth": truth[row], "predicted": given[row]}
            return {side: ", ".join(names[has]) or "none" for side, has in sides.items()}

        return shown_examples(examples, wrong, told)
