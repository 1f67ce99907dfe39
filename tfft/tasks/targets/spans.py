"""Spans of a text with a label each, such as the names in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Self

from tfft.errors import refuse_unknown
from tfft.metrics.text import tagged_spans
from tfft.tasks.targets.base import Target


@dataclasses.dataclass(frozen=True)
class SpanLabels(Target):
    """Answers that are lists of spans in JSON, see `tfft.metrics.text.tagged_spans.read_spans`.

    Args:
      names: the BIO tags of the labels in the order of the outputs: O, B-x, I-x, ...; None takes
        the labels of the training split, sorted.
    """

    names: tuple[str, ...] | None = None

    @classmethod
    def of_labels(cls, labels: Sequence[str] | None) -> Self:
        """Returns the target for labels; None takes those of the training split."""
        return cls(None if labels is None else tagged_spans.tags_of(labels))

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the spans; none until the training answers are known."""
        return tagged_spans.labels_of(self.names or ())

    def with_training_answers(self, counts: Mapping[str, int]) -> Self:
        """Returns the target with two tags for each label of the training answers.

        Raises:
          DataError: an answer is not a list of spans, no answer has a span, or a span has a label
            that `names` lacks.
        """
        labels = tagged_spans.labels_in(counts)
        target = self.with_names(self.names or tagged_spans.tags_of(labels))
        refuse_unknown(labels, target.labels)
        return target
