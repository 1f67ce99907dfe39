"""What a run says of its data before it trains, and how slices divide them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tfft.data import examples
from tfft.evaluation.slices import grouped
from tfft.reports import report
from tfft.tasks import encoding


def describe_source(task: Any, source: Any, say: Any) -> Any:
    """Shows what the data hold; returns the task with its labels."""
    encoding.check(task, source)
    for note in source.notes:
        say.info(note)
    task = encoding.with_labels(task, source)
    for note in task.data_notes():
        say.info(note)
    counts = {split: task.label_counts(source.label_counts(split)) for split in source.splits}
    shown = counts["train"]
    say.table(
        f"Data: {source.name}",
        ["split", "examples", *shown],
        [
            [split, f"{source.size(split):,}", *(f"{found.get(n, 0):,}" for n in shown)]
            for split, found in counts.items()
        ],
    )
    return task


def held_out_split(source: Any) -> str:
    return "test" if "test" in source.splits else source.splits[-1]


def slice_groups(source: Any, slices: Mapping[str, Callable[[str], str] | str] | None) -> Any:
    """Returns how the columns and the functions divide the held-out texts.

    It is done before the training, so that what is wrong with a function is found then.
    """
    split = held_out_split(source)
    texts = examples.columns(source, split)[0] if slices else []
    return grouped(texts, slices, source.columns(split))


def has_slices(slices: Mapping[str, Callable[[str], str] | str] | None) -> Callable[..., bool]:
    """Returns a function that says whether a report of a source has these slices."""
    return lambda found, source: report.covers(found, slice_groups(source, slices))
