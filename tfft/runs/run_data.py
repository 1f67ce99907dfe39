"""The data of one run: checked, described and divided by slices before anything is trained."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

from tfft.data import examples
from tfft.data.examples import Examples
from tfft.data.sources.base import Source
from tfft.evaluation import calibration
from tfft.evaluation.slices import grouped
from tfft.reports import report
from tfft.runs import run_files
from tfft.tasks import encoding
from tfft.tasks.base import Task

Slices = Mapping[str, Callable[[str], str] | str] | None


class RunData:
    """A source as the task of a run reads it.

    The constructor checks all splits, prints what they hold, and applies the slices, so that an
    error in any of them is raised before the training.

    Args:
      source: Of the run; of a fold, see `FoldSource`.
      task: With or without labels.
      slices: As in `tfft.api.train`.
      say: The console.

    Attributes:
      task: With the labels of the training split.
      name, notes: Of the source.
      split: The name of the split that is evaluated: "test", or the last one where there is none.
      groups: The part of each evaluated example, [n], by the name of each division.

    Raises:
      UserError: No run of this task can learn from the source.
    """

    def __init__(self, source: Source, task: Task, slices: Slices, say: Any):
        encoding.check(task, source)
        self.source, self.name, self.notes = source, source.name, source.notes
        for note in self.notes:
            say.info(note)
        self.task = encoding.with_training_answers(task, source)
        for note in self.task.target.notes():
            say.info(note)
        self._show_labels(say)
        calibration.check(self.task, source)
        self.split = examples.evaluated_split(source)
        self.groups = slice_groups(source, slices)

    def _show_labels(self, say: Any) -> None:
        source, count = self.source, self.task.target.label_counts
        counts = {split: count(source.label_counts(split)) for split in source.splits}
        shown = counts["train"]
        say.table(
            f"Data: {self.name}",
            ["split", "examples", *shown],
            [
                [split, f"{source.size(split):,}", *(f"{found.get(n, 0):,}" for n in shown)]
                for split, found in counts.items()
            ],
        )

    @property
    def has_validation(self) -> bool:
        return "validation" in self.source.splits

    @functools.cached_property
    def held_out(self) -> Examples:
        """The examples of the evaluated split, without tokens."""
        return Examples(*examples.read(self.source, self.split))

    def description(self) -> dict[str, Any]:
        """Returns what run.json keeps of the data."""
        return run_files.describe_data(self.source, self.split)

    def encoded(self, split: str, tokens: Any) -> Examples:
        """Returns the examples of a split with their tokens and targets.

        Args:
          tokens: The encoded split, as the trainer has it.
        """
        if split != self.split:
            return examples.of_split(self.source, split, tokens)
        return Examples(self.held_out.inputs, self.held_out.answers, tokens.targets, tokens)


def slice_groups(source: Source, slices: Slices) -> Any:
    """Returns how columns and functions divide the evaluated examples of a source."""
    split = examples.evaluated_split(source)
    texts = examples.columns(source, split)[0] if slices else []
    return grouped(texts, slices, source.columns(split))


def has_slices(slices: Slices) -> Callable[..., bool]:
    """Returns a function that says whether a report of a source has these slices."""
    return lambda found, source: report.covers(found, slice_groups(source, slices))
