"""Answers of several tasks to one example."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Self

from tfft.errors import DataError
from tfft.tasks.multi_task.data import VALID, counts_by_task, sorted_counts
from tfft.tasks.targets.base import Counts, Target


@dataclasses.dataclass(frozen=True)
class JointAnswers(Target):
    """Answers that are JSON objects with the answer of each task, see `MultiTask`.

    `names` are those of all tasks, "task/name"; None where those of one are not known.

    Args:
      targets: by task.
    """

    targets: Mapping[str, Target] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, targets: Mapping[str, Target]) -> Self:
        """Returns the joint target of several ones."""
        known = {name: target.names for name, target in targets.items()}
        names: tuple[str, ...] | None = None
        if None not in known.values():
            names = tuple(f"{name}/{label}" for name in known for label in known[name] or ())
        return cls(names, dict(targets))

    def with_training_answers(self, counts: Counts) -> Self:
        """Returns the target for the training answers of each task.

        Raises:
          DataError: there is none for one of them.
        """
        own = counts_by_task(self.targets, counts)
        empty = [name for name in self.targets if counts and not own[name]]
        if empty:
            raise DataError(f"no training example has an answer for {empty[0]!r}.", valid=VALID)
        counts_of = {name: sorted_counts(own[name]) for name in self.targets}
        pairs = self.targets.items()
        return self.of({n: each.with_training_answers(counts_of[n]) for n, each in pairs})

    def with_names(self, names: Sequence[str]) -> Self:
        labels: dict[str, list[str]] = defaultdict(list)
        for name, _, label in (each.partition("/") for each in names):
            labels[name].append(label)
        return self.of({n: each.with_names(labels[n]) for n, each in self.targets.items()})

    def check(self, counts: Counts) -> None:
        for name, own in counts_by_task(self.targets, counts).items():
            self.targets[name].check(own)

    def label_counts(self, counts: Counts) -> dict[str, int]:
        """Returns the counts of each task, as "task/label"."""
        return {
            f"{name}/{label}": count
            for name, own in counts_by_task(self.targets, counts).items()
            for label, count in self.targets[name].label_counts(own).items()
        }

    def notes(self) -> list[str]:
        targets = self.targets.items()
        return [f"{name}: {note}" for name, target in targets for note in target.notes()]
