"""What every kind of target shares."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

Counts = Mapping[str, int]  # the number of examples with each answer


@dataclasses.dataclass(frozen=True)
class Target:
    """How the answers of a source are read; a subclass is a kind of answers.

    Attributes:
      names: of the outputs, such as class names; None until the training answers are known, () for
        answers without names.
      are_classes: whether each answer is one of `names`, so that a source without two of them is
        refused; None where answers are not read.
      allows_empty: whether an empty cell of a file is an answer.
      is_distribution: whether the model's output is a distribution over `names`.
    """

    are_classes: ClassVar[bool | None] = False
    allows_empty: ClassVar[bool] = False
    is_distribution: ClassVar[bool] = False

    names: tuple[str, ...] | None = ()

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the target for the answers of the training split.

        Args:
          counts: how many training examples have each answer.

        Raises:
          DataError: no model could learn from them.
        """
        return self

    def with_names(self, names: Sequence[str]) -> Self:
        """Returns the target with the names that a run has kept."""
        return dataclasses.replace(self, names=tuple(names))

    def check(self, counts: Counts) -> None:
        """Refuses answers that cannot be read, in whichever split they are.

        It is called before `with_training_answers`, with what can be seen without names, and after
        it.

        Args:
          counts: how many examples have each answer, in all splits.

        Raises:
          DataError: its `answers` are the wrong ones, whose rows are added to the error.
        """

    def label_counts(self, counts: Counts) -> dict[str, int]:
        """Returns the number of examples with each name; empty for answers without names.

        Args:
          counts: how many examples have each answer.
        """
        return {}

    def notes(self) -> list[str]:
        """Returns how the answers are read, a line each, for the description of the data."""
        return []


@dataclasses.dataclass(frozen=True)
class Unused(Target):
    """Answers that are not read: a task that learns from the inputs alone."""

    are_classes: ClassVar[bool | None] = None


@dataclasses.dataclass(frozen=True)
class Answers(Target):
    """Answers without names, which the task reads itself."""
