"""Any number of labels for each example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from tfft.errors import DataError, near, refuse_unknown
from tfft.metrics.classification import label_answers, multi_label
from tfft.tasks.targets.base import Target

NO_LABEL = "(no label)"  # heads the count of texts without one


@dataclasses.dataclass(frozen=True)
class LabelSets(Target):
    """Answers that are sets of labels, see `tfft.metrics.classification.label_answers`.

    Args:
      names: of the labels in the order of the outputs; None takes those of the training split,
        sorted.
      separator: between the labels of an answer that is a string; None detects it.
    """

    allows_empty: ClassVar[bool] = True

    names: tuple[str, ...] | None = None
    separator: str | None = None

    def with_training_answers(self, counts: Mapping[str, int]) -> Self:
        """Returns the target with the labels and the separator of the training split.

        Raises:
          DataError: there is no label, or one that `names` lacks.
        """
        answers = label_answers.read(list(counts), self.names, self.separator)
        names = self.names or tuple(sorted(answers.names))
        refuse_unknown(sorted(answers.names), names)
        if not names:
            raise DataError("no training example has a label.", valid="one label or more")
        return dataclasses.replace(self, names=names, separator=answers.separator)

    def sets(self, answers: Sequence[str] | None) -> list[list[str]]:
        """Returns the labels of each answer."""
        return label_answers.read(answers or (), self.names, self.separator).sets

    def indicators(self, answers: Sequence[str] | None) -> np.ndarray:
        """Returns 1 at the labels of each answer, float32 [n c]."""
        return multi_label.marked(self.sets(answers), self.names or ())

    def check(self, counts: Mapping[str, int]) -> None:
        if self.names is None:
            return
        sets = dict(zip(counts, self.sets(list(counts)), strict=True))
        known = set(self.names)
        for names in sets.values():
            for name in names:
                if name not in known:
                    error = DataError(
                        f"the label {name!r} is none of the task's.", valid=near(name, known)
                    )
                    error.answers = {answer for answer, each in sets.items() if name in each}
                    raise error

    def label_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        sets = self.sets(list(counts))
        found = label_answers.counts(sets, list(counts.values()))
        none = sum(size for names, size in zip(sets, counts.values(), strict=True) if not names)
        return {**{name: found.get(name, 0) for name in self.names or ()}, NO_LABEL: none}

    def notes(self) -> list[str]:
        if self.separator is None:
            return []
        return [f"labels in strings are separated by {self.separator!r}"]
