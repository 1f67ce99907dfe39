"""Multi-label classification: any number of labels for each text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import FILLED, FRACTION, NAMED, validated
from tfft.baselines.base import Floor, Say
from tfft.baselines.tfidf_linear import label_floors
from tfft.data.examples import Examples
from tfft.errors import ConfigError, DataError, near, refuse_unknown
from tfft.layers.heads import dense_head
from tfft.metrics.classification import label_answers, multi_label
from tfft.metrics.classification.thresholds import Threshold
from tfft.tasks.base import Answers, Task, config_of
from tfft.tasks.report_examples import shown_examples

NO_LABEL = "(no label)"  # heads the count of texts without one


@validated(labels=NAMED, separator=FILLED, dropout=FRACTION)
class MultiLabelClassification(Task):
    """A sigmoid for each label on the body's pooled output, trained with binary cross-entropy.

    Args:
      labels: the names in the order of the outputs; None takes those of the training split, sorted.
        Answers that are lists of 0 and 1 need them, in the order of the lists.
      separator: between the labels of an answer that is a string; a list in JSON needs none. None
        detects it among `|`, `;` and `,` if all answers agree.
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
    empty_labels: ClassVar[bool] = True

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        separator: str | None = None,
        dropout: float = 0.1,
        threshold: Threshold | None = None,
    ):
        if separator is not None and not separator.strip(" "):
            raise ConfigError(
                f"MultiLabelClassification.separator={separator!r} is empty.",
                valid='a character that no label holds, such as "|"; None detects it',
            )
        self.labels = None if labels is None else tuple(labels)
        self.separator, self.dropout, self.threshold = separator, dropout, threshold

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        answers = label_answers.read(found, self.labels, self.separator)
        task = copy.copy(self)
        task.labels = self.labels or tuple(sorted(answers.names))
        task.separator = answers.separator
        refuse_unknown(sorted(answers.names), task.labels)
        if not task.labels:
            raise DataError("no training example has a label.", valid="one label or more")
        return task

    def _split(self, answers: Sequence[str] | None) -> list[list[str]]:
        return label_answers.read(answers or (), self.labels, self.separator).sets

    def check_answers(self, counts: Mapping[str, int]) -> None:
        if self.labels is None:
            return
        sets = dict(zip(counts, self._split(list(counts)), strict=True))
        known = set(self.labels or ())
        for names in sets.values():
            for name in names:
                if name not in known:
                    error = DataError(
                        f"the label {name!r} is none of the task's.", valid=near(name, known)
                    )
                    error.answers = {answer for answer, each in sets.items() if name in each}
                    raise error

    def label_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        sets = self._split(list(counts))
        found = label_answers.counts(sets, list(counts.values()))
        none = sum(size for names, size in zip(sets, counts.values(), strict=True) if not names)
        return {**{name: found.get(name, 0) for name in self.labels or ()}, NO_LABEL: none}

    def data_notes(self) -> list[str]:
        if self.separator is None:
            return []
        return [f"labels in strings are separated by {self.separator!r}"]

    def targets(self, examples: Examples) -> np.ndarray:
        """Returns 1 at the labels of each answer, float32 [n c]."""
        return multi_label.marked(self._split(examples.answers), self.labels or ())

    def config(self) -> dict[str, Any]:
        return config_of(self, threshold=self.threshold and repr(self.threshold))

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Any:
        task = super().of_card(card)
        task.separator = card.get("separator", task.separator)
        return task

    def head(self) -> keras.layers.Layer:
        return dense_head(self.dropout, len(self.labels or ()), "sigmoid", activation="sigmoid")

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

    @property
    def limits(self) -> np.ndarray:
        """The probability above which each label is given, float32 [c]."""
        chosen = self.decision.get("thresholds", {})
        return np.array([chosen.get(n, {"value": 0.5})["value"] for n in self.labels or ()], "f4")

    def predictions(self, examples: Examples, outputs: np.ndarray) -> list[dict[str, Any]]:
        labels, names = self.labels or (), np.array(self.labels)
        rows = zip(outputs > self.limits, outputs.tolist(), strict=True)
        return [
            {"labels": names[given].tolist(), "probabilities": dict(zip(labels, row, strict=True))}
            for given, row in rows
        ]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `probabilities` and, as 0 and 1, which labels are given, [b c] both."""
        given = keras.ops.cast(outputs > self.limits, "int32")
        return {"probabilities": outputs, "given": given}

    def received(self, answers: Answers) -> np.ndarray:
        return np.stack(answers["probabilities"])

    def evaluate(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        truth, given = examples.targets == 1, outputs > self.limits
        return multi_label.multi_label_metrics(truth, given, outputs, self.labels or ())

    def sums(self, examples: Examples, outputs: np.ndarray) -> dict[str, np.ndarray]:
        return multi_label.label_sums(examples.targets == 1, outputs > self.limits)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        return label_floors(train.inputs, train.targets, test.inputs, say)

    def described(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        return {"labels": list(self.labels or ())}

    def shown(self, examples: Examples, outputs: np.ndarray) -> dict[str, Any]:
        """Returns the examples with a wrong label, that of the surest first."""
        truth, given = examples.targets == 1, outputs > self.limits
        names = np.array(self.labels)

        def told(row: int) -> dict[str, Any]:
            sides = {"truth": truth[row], "predicted": given[row]}
            return {side: ", ".join(names[has]) or "none" for side, has in sides.items()}

        return shown_examples(examples, multi_label.surest_errors(truth, given, outputs), told)
