"""Several sources as one: a model learns from all of them, at rates that one chooses."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress
from typing import TYPE_CHECKING

import numpy as np

from tfft.argument_checks.validated import FILLED, NAMED, POSITIVE, validated
from tfft.data.sources.base import Source, validate
from tfft.data.splits import SPLITS
from tfft.errors import ConfigError, DataError

if TYPE_CHECKING:
    import tensorflow as tf

COLUMN = "source"


@validated(rates=POSITIVE, temperature=POSITIVE, names=NAMED, tasks=FILLED)
def mixture(
    sources: Sequence[Source],
    *,
    rates: Sequence[float] | None = None,
    temperature: float = 1.0,
    names: Sequence[str] | None = None,
    tasks: Sequence[str] | None = None,
) -> Source:
    """Returns a source of the examples of several ones, for the same task or for several.

    In an epoch the examples of a source are a share of all that follows from its rate. An epoch is
    as long as it takes to see each example once at least, and those of a source with a higher rate
    than its size are seen several times. Training examples whose inputs another source holds out
    are dropped, and so are validation examples that are in the test split of another one; the notes
    count them. The report has the figures on each source as slices, by "source".

    Args:
      sources: with the same inputs, in the same order, and all with labels or none.
      rates: a number for each, in any unit; None for the sizes of their training splits.
      temperature: rates to the power of 1 / temperature (Devlin et al., 2019, of languages): above
        1 small sources are seen more often; a very high one makes all rates equal.
      names: of the sources, as slices have them; by default their own, or those of the tasks where
        each has one source.
      tasks: the task of `MultiTask` that each source is for; its answers become objects in JSON by
        that name. None where all are for the same task.

    Raises:
      ConfigError: sources that do not go together, or rates that are none.
      DataError: the other sources hold out every training example of one.
    """
    if names is None and tasks is not None and len(set(tasks)) == len(sources):
        names = tasks
    names = [source.name for source in sources] if names is None else list(names)
    if tasks is not None and len(tasks) != len(sources):
        raise ConfigError(
            f"{len(tasks)} tasks for {len(sources)} sources.",
            set_in="mixture.tasks",
            valid="the name of a task for each source",
        )
    if len(sources) < 2 or len(set(names)) != len(sources):
        raise ConfigError(
            f"a mixture of {len(sources)} sources, named {', '.join(names)}.",
            set_in="mixture.sources, mixture.names",
            valid="two sources or more, each with a name of its own",
        )
    kinds = {(source.inputs, source.classes if tasks is None else None) for source in sources}
    if len(kinds) > 1:
        titles = "; ".join(
            f"{name}: {', '.join(source.inputs)}, {'labels' if source.classes else 'any answers'}"
            for name, source in zip(names, sources, strict=True)
        )
        raise ConfigError(
            f"the sources of a mixture have different inputs or answers ({titles}).",
            set_in="mixture.sources",
            valid="sources for the same task, files.text and files.classes alike; or "
            "mixture.tasks, which says for which of several tasks each one is",
        )
    if rates is not None and len(rates) != len(sources):
        raise ConfigError(
            f"rates={rates} and temperature={temperature} for {len(sources)} sources.",
            set_in="mixture.rates, mixture.temperature",
            valid="a number above 0 for each source, and a temperature above 0",
        )
    return Mixture(sources, names, rates, temperature, tasks)


class Mixture(Source):
    """See `mixture`."""

    def __init__(
        self,
        sources: Sequence[Source],
        names: Sequence[str],
        rates: Sequence[float] | None,
        temperature: float,
        tasks: Sequence[str] | None,
    ):
        self._sources, dropped = without_held_out(sources, names)
        self._names, self._tasks = names, tasks
        self._alone = tasks is not None and len(set(tasks)) == len(tasks)
        sizes = [source.size("train") for source in self._sources]
        weights = np.array(sizes if rates is None else rates, float) ** (1 / temperature)
        self._rates = weights / weights.sum()
        named = list(zip(names, self._sources, strict=True))
        notes = [f"{name}: {note}" for name, source in named for note in source.notes]
        notes += dropped + _notes_on_columns(sources, names, not self._alone)
        notes += [
            f"{name}: {size:,} training examples, {rate:.1%} of those of an epoch"
            for name, size, rate in zip(names, sizes, self._rates, strict=True)
        ]
        splits = [split for split in SPLITS if self._with(split)]
        for split in splits:
            if lacking := [name for name, source in named if split not in source.splits]:
                notes.append(f"no {split} split: {', '.join(lacking)}")
        inputs, classes = sources[0].inputs, sources[0].classes and tasks is None
        super().__init__(f"mixture of {', '.join(names)}", splits, notes, inputs, classes)
        validate(self.name, self.summaries, classes=self.classes)
        self.add_data_notes()

    def rows(self, split: str) -> Iterator[tuple[str, ...]]:
        for number in self._with(split):
            for *inputs, answer in self._sources[number].rows(split):
                if self._tasks is not None:
                    answer = json.dumps({self._tasks[number]: answer}, ensure_ascii=False)
                yield (*inputs, answer)

    def dataset(self, split: str) -> tf.data.Dataset:
        self._summary(split)
        names = (*self.inputs, "label")
        first, *others = (
            self._sources[number].dataset(split).map(lambda row: {n: row[n] for n in names})
            for number in self._with(split)
        )
        dataset = functools.reduce(lambda one, other: one.concatenate(other), others, first)
        if self._tasks is None:
            return dataset
        answers = dataset.from_tensor_slices([row[-1] for row in self.rows(split)])
        both = dataset.zip((dataset, answers))
        return both.map(lambda row, answer: {**row, "label": answer})

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        """Returns the source of each example, and the columns that all sources have.

        Where each source is for a task of its own, the metrics by task are those by source.
        """
        origin = [self._names[number] for number in self.mixed(split)[0]]
        parts = [self._sources[number].columns(split) for number in self._with(split)]
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        joined = {name: [value for part in parts for value in part[name]] for name in shared}
        return joined if self._alone else {**joined, COLUMN: origin}

    def mixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        numbers = self._with(split)
        sizes = [self._sources[i].size(split) for i in numbers]
        return np.repeat(numbers, sizes).astype(np.int32), self._rates

    def _with(self, split: str) -> list[int]:
        """Returns the numbers of the sources that have a split."""
        return [i for i, source in enumerate(self._sources) if split in source.splits]


class Selection(Source):
    """A source without some of its examples.

    Args:
      source: the complete one.
      selected: True for each example of a split that stays, bool [n].
    """

    def __init__(self, source: Source, selected: Mapping[str, Sequence[bool]]):
        splits = [split for split in source.splits if any(selected[split])]
        super().__init__(source.name, splits, source.notes, source.inputs, source.classes)
        self._source, self._kept = source, selected

    def rows(self, split: str) -> Iterator[tuple[str, ...]]:
        return compress(self._source.rows(split), self._kept[split])

    def dataset(self, split: str) -> tf.data.Dataset:
        dataset = self._source.dataset(split)
        both = dataset.zip((dataset, dataset.from_tensor_slices(list(self._kept[split]))))
        return both.filter(lambda row, selected: selected).map(lambda row, selected: row)

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        columns = self._source.columns(split).items()
        return {name: list(compress(values, self._kept[split])) for name, values in columns}


def without_held_out(
    sources: Sequence[Source], names: Sequence[str]
) -> tuple[list[Source], list[str]]:
    """Returns sources without the examples that another one holds out, and a note for each loss.

    A split loses examples whose inputs are in a later split of another source, see `SPLITS`.

    Raises:
      DataError: nothing is left of a training split.
    """
    held = [
        {split: {row[:-1] for row in one.rows(split)} for split in one.splits if split != "train"}
        for one in sources
    ]
    remaining: list[Source] = []
    notes = []
    for number, (source, name) in enumerate(zip(sources, names, strict=True)):
        others, selected = held[:number] + held[number + 1 :], {}
        for split in source.splits:
            later = SPLITS[SPLITS.index(split) + 1 :]
            sets = [one[each] for one in others for each in later if each in one]
            selected[split] = [not any(row[:-1] in s for s in sets) for row in source.rows(split)]
            if count := selected[split].count(False):
                where = f"also in {' or '.join(later)} of another source"
                notes.append(f"{name}: {count:,} rows of {split} dropped: they are {where}")
        if not any(selected["train"]):
            raise DataError(
                f"every training example of {name} is also held out by another source.",
                set_in="mixture.sources",
                valid="sources of other examples",
            )
        remaining.append(
            source if all(map(all, selected.values())) else Selection(source, selected)
        )
    return remaining, notes


def _notes_on_columns(sources: Sequence[Source], names: Sequence[str], replaced: bool) -> list[str]:
    """Returns notes on the columns of sources that a mixture does not have."""
    have = [{split: {*source.columns(split)} for split in source.splits} for source in sources]
    notes = []
    for name, mine in zip(names, have, strict=True):
        lost = {
            column
            for split, columns in mine.items()
            for column in columns
            if any(column not in other.get(split, columns) for other in have)
        }
        if replaced and any(COLUMN in columns for columns in mine.values()):
            lost.discard(COLUMN)
            notes.append(f"{name}: the names of the sources take the place of its {COLUMN!r}")
        if lost:
            columns = ", ".join(map(repr, sorted(lost)))
            notes.append(f"{name}: {columns} left out, which not every source has")
    return notes
