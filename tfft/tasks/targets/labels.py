"""Answers that are labels: one class, a set of labels, or labelled spans of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import ClassVar, Self

import numpy as np

from tfft.errors import DataError, near, refuse_unknown
from tfft.metrics.classification import label_answers, multi_label
from tfft.metrics.text import tagged_spans
from tfft.tasks.targets.base import Counts, Target

NO_LABEL = "(no label)"  # heads the count of texts without one


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

    def with_training_answers(self, counts: Counts) -> Self:
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
            problem = f"there is one class only: {', '.join(names)}."
            raise DataError(problem, valid="two classes or more")
        return self.with_names(names)

    def label_counts(self, counts: Counts) -> dict[str, int]:
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
            problem = f"the label {unknown[0]!r} was not in the training data{others}."
            raise DataError(problem, valid=near(unknown[0], numbers), answers=unknown)
        return np.array([numbers[label] for label in labels], np.int32)


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

    def with_training_answers(self, counts: Counts) -> Self:
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

    def check(self, counts: Counts) -> None:
        if self.names is None:
            return
        sets, known = dict(zip(counts, self.sets(list(counts)), strict=True)), set(self.names)
        for name in (name for names in sets.values() for name in names):
            if name not in known:
                answers = [answer for answer, names in sets.items() if name in names]
                problem = f"the label {name!r} is none of the task's."
                raise DataError(problem, valid=near(name, known), answers=answers)

    def label_counts(self, counts: Counts) -> dict[str, int]:
        sets, sizes = self.sets(list(counts)), list(counts.values())
        by_label = label_answers.counts(sets, sizes)
        none = sum(size for names, size in zip(sets, sizes, strict=True) if not names)
        return {**{name: by_label.get(name, 0) for name in self.names or ()}, NO_LABEL: none}

    def notes(self) -> list[str]:
        separator = self.separator
        return [] if separator is None else [f"labels in strings are separated by {separator!r}"]


@dataclasses.dataclass(frozen=True)
class SpanLabels(Target):
    """Answers that are lists of spans in JSON, see `tfft.metrics.text.tagged_spans.read_spans`.

    Args:
      names: the BIO tags of the labels in the order of the outputs: O, B-x, I-x, ...; None takes
        the labels of the training split, sorted.
    """

    names: tuple[str, ...] | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the spans; none until the training answers are known."""
        return tagged_spans.labels_of(self.names or ())

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the target with two tags for each label of the training answers.

        Raises:
          DataError: an answer is not a list of spans, no answer has a span, or a span has a label
            that `names` lacks.
        """
        labels = tagged_spans.labels_in(counts)
        target = self.with_names(self.names or tagged_spans.tags_of(labels))
        refuse_unknown(labels, target.labels)
        return target
