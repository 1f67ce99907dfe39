"""Several sources as one: a model learns from all of them, at rates that one chooses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfft.errors import ConfigError
from tfft.sources import SPLITS, Source, validate

if TYPE_CHECKING:
    import tensorflow as tf

COLUMN = "source"


def mixture(
    sources: Sequence[Source],
    *,
    rates: Sequence[float] | None = None,
    temperature: float = 1.0,
    names: Sequence[str] | None = None,
) -> Source:
    """Returns a source of the examples of several ones, for the same task.

    In an epoch the examples of a source are a share of all that follows from its rate. Nothing is
    left out: an epoch is as long as it takes to see each example once at least, and those of a
    source with a higher rate than its size are seen several times. The report has the figures on
    each source as slices, by "source".

    Args:
      sources: with the same inputs, in the same order, and all with labels or none.
      rates: a number for each, in any unit; None for the sizes of their training splits.
      temperature: rates to the power of 1 / temperature (Devlin et al., 2019, of languages): above
        1 small sources are seen more often; a very high one makes all rates equal.
      names: of the sources, as slices have them; their own by default.

    Raises:
      ConfigError: sources that do not go together, or rates that are none.
    """
    names = [source.name for source in sources] if names is None else list(names)
    _refuse(sources, names, rates, temperature)
    return Mixture(sources, names, rates, temperature)


def _refuse(
    sources: Sequence[Source],
    names: Sequence[str],
    rates: Sequence[float] | None,
    temperature: float,
) -> None:
    if len(sources) < 2 or len(set(names)) != len(sources):
        raise ConfigError(
            f"a mixture of {len(sources)} sources, named {', '.join(names)}.",
            set_in="mixture.sources, mixture.names",
            valid="two sources or more, each with a name of its own",
        )
    kinds = {(source.inputs, source.classes) for source in sources}
    if len(kinds) > 1:
        told = "; ".join(
            f"{name}: {', '.join(source.inputs)}, {'labels' if source.classes else 'any answers'}"
            for name, source in zip(names, sources, strict=True)
        )
        raise ConfigError(
            f"the sources of a mixture have different inputs or answers ({told}).",
            set_in="mixture.sources",
            valid="sources for the same task: files.text and files.classes alike",
        )
    given = [1.0] * len(sources) if rates is None else list(rates)
    if len(given) != len(sources) or min(given) <= 0 or not temperature > 0:
        raise ConfigError(
            f"rates={rates} and temperature={temperature} for {len(sources)} sources.",
            set_in="mixture.rates, mixture.temperature",
            valid="a number above 0 for each source, and a temperature above 0",
        )


class Mixture(Source):
    """See `mixture`."""

    def __init__(
        self,
        sources: Sequence[Source],
        names: Sequence[str],
        rates: Sequence[float] | None,
        temperature: float,
    ):
        one = sources[0]
        self._sources, self._names = list(sources), list(names)
        held = [split for split in SPLITS if any(split in source.splits for source in sources)]
        sizes = [source.size("train") for source in sources]
        wanted = np.array(sizes if rates is None else rates, float) ** (1 / temperature)
        self._rates = wanted / wanted.sum()
        notes = [
            f"{name}: {note}"
            for name, source in zip(names, sources, strict=True)
            for note in source.notes
        ]
        told = zip(names, sizes, self._rates, strict=True)
        notes += [
            f"{name}: {size:,} training examples, {rate:.1%} of those of an epoch"
            for name, size, rate in told
        ]
        for split in held:
            lacking = [n for n, s in zip(names, sources, strict=True) if split not in s.splits]
            if lacking:
                notes.append(f"no {split} split: {', '.join(lacking)}")
        super().__init__(f"mixture of {', '.join(names)}", held, notes, one.inputs, one.classes)
        validate(self.name, self.summaries, classes=self.classes)

    def rows(self, split: str) -> Iterator[tuple[str, ...]]:
        for source in self._with(split):
            yield from source.rows(split)

    def dataset(self, split: str) -> tf.data.Dataset:
        self._summary(split)
        names = (*self.inputs, "label")
        parts = [
            source.dataset(split).map(lambda row: {name: row[name] for name in names})
            for source in self._with(split)
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.concatenate(part)
        return whole

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        """Returns which source each example is from, and the columns that all sources have."""
        origin = [self._names[number] for number in self.mixed(split)[0]]
        parts = [source.columns(split) for source in self._with(split)]
        shared = [name for name in parts[0] if all(name in part for part in parts)]
        joined = {name: [value for part in parts for value in part[name]] for name in shared}
        return {**joined, COLUMN: origin}

    def mixed(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        numbers = [i for i, source in enumerate(self._sources) if split in source.splits]
        sizes = [self._sources[i].size(split) for i in numbers]
        return np.repeat(numbers, sizes).astype(np.int32), self._rates

    def _with(self, split: str) -> list[Source]:
        return [source for source in self._sources if split in source.splits]
