"""One class of several for each example."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import numpy as np

from tfft.errors import DataError, near
from tfft.tasks.targets.base import Target


@dataclasses.dataclass(frozen=True)
class ClassLabels(Target):
    """Answers that are class names.

    Args:
      names: of the classes in the order of the outputs; None takes those of the training split,
        sorted.
    """

    are_classes: ClassVar[bool | None] = True
    is_distribution: ClassVar[bool] = True

    names: tuple[str, ...] | None = None

    def with_training_answers(self, counts: Mapping[str, int]) -> Self:
        """Returns the target with the classes of the training split.

        Raises:
          DataError: the data have a label that `names` lacks, or there is one class only.
        """
        names = self.names or tuple(sorted(counts))
        unknown = sorted(set(counts) - set(names))
        if unknown:
            raise DataError(
                f"the training split has the label {unknown[0]!r}, which is none of the task's.",
                valid=near(unknown[0], names),
                see="tfft show --gin_file=FILE",
            )
        if len(names) < 2:
            raise DataError(
                f"there is one class only: {', '.join(names)}.", valid="two classes or more"
            )
        return self.with_names(names)

    def label_counts(self, counts: Mapping[str, int]) -> dict[str, int]:
        return {name: counts.get(name, 0) for name in self.names or ()}

    def numbers(self, labels: Sequence[str]) -> np.ndarray:
        """Returns the class numbers of labels: int32 [n].

        Raises:
          DataError: a label is none of `names`.
        """
        numbers = {name: number for number, name in enumerate(self.names or ())}
        unknown = sorted(set(labels) - set(numbers))
        if unknown:
            others = f", nor were {len(unknown) - 1:,} other labels" if len(unknown) > 1 else ""
            error = DataError(
                f"the label {unknown[0]!r} was not in the training data{others}.",
                valid=near(unknown[0], numbers),
            )
            error.answers = frozenset(unknown)
            raise error
        return np.array([numbers[label] for label in labels], np.int32)
