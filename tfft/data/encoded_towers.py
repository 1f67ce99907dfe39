"""A split as a backbone of several towers reads it: each tower's inputs, encoded once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from safetensors.numpy import load, save

from tfft.data import encoded_split
from tfft.data.encoded_split import Encoded, Targets, join


@dataclasses.dataclass(frozen=True)
class EncodedTowers:
    """The inputs of the towers of a backbone, example by example, and the targets.

    Where examples differ in length, batches are made by the lengths of the first tower whose rows
    are padded.

    Attributes:
      parts: the encoded inputs of each tower by its name, of the same examples in the same order,
        without targets.
      targets: targets of the head, as in `Encoded`; those along tokens are along the tokens of
        the first padded tower.
      origins, rates: as in `Encoded`.
    """

    parts: Mapping[str, Encoded]
    targets: Targets | None = None
    origins: np.ndarray | None = None
    rates: np.ndarray | None = None
    windows: None = None

    @functools.cached_property
    def lead(self) -> Encoded:
        """The tower by whose lengths batches are made, with the targets."""
        padded = [part for part in self.parts.values() if part.padded]
        first = padded[0] if padded else next(iter(self.parts.values()))
        return dataclasses.replace(first, targets=self.targets)

    @property
    def size(self) -> int:
        return self.lead.size

    @property
    def padded(self) -> bool:
        """Whether rows of a tower differ in length."""
        return self.lead.padded

    @property
    def sizes(self) -> np.ndarray:
        """What each example takes in a batch of the tower `lead`, int [n]."""
        return self.lead.sizes

    @property
    def filled(self) -> np.ndarray:
        """The tokens of the tower `lead`, int [n]."""
        return self.lead.filled

    @property
    def full_lengths(self) -> np.ndarray:
        """The lengths before the cut, of all towers with tokens together, int32 [n]."""
        return self._total("full_lengths")

    @property
    def kept(self) -> np.ndarray:
        """The tokens of each example that the model reads, int [n]."""
        return self._total("kept")

    @property
    def cut(self) -> np.ndarray:
        """How many tokens of each example the model does not read, int [n]."""
        return self._total("cut")

    def truncation(self) -> dict[str, int]:
        """Returns how many examples and tokens there were, and how many of them were cut."""
        return dataclasses.replace(self.lead, full_lengths=self.full_lengths).truncation() | {
            "cut_texts": int((self.cut > 0).sum()),
            "cut_tokens": int(self.cut.sum()),
        }

    def part_length(self, tower: str, length: int) -> int:
        """Returns the padded length of a tower's rows where those of `lead` are padded to `length`.

        It is the longest row of the examples that fit into `length`, so that there are no more
        shapes than padded lengths.
        """
        if not self.parts[tower].padded:
            return 1
        lengths, longest = self._longest[tower]
        return int(longest[np.searchsorted(lengths, length, side="right") - 1])

    @functools.cached_property
    def _longest(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """By tower the sizes of `lead`, ascending, and the tower's longest row up to each."""
        order = np.argsort(self.sizes, kind="stable")
        return {
            name: (self.sizes[order], np.maximum.accumulate(part.sizes[order]))
            for name, part in self.parts.items()
        }

    def take(self, rows: np.ndarray) -> EncodedTowers:
        """Returns some of the examples, in this order."""
        return dataclasses.replace(
            self,
            parts={name: part.take(rows) for name, part in self.parts.items()},
            targets=self.lead.take(rows).targets,
            origins=None if self.origins is None else self.origins[rows],
        )

    def by_row(self) -> EncodedTowers:
        """Returns the examples: none is of several rows."""
        return self

    def targets_of(self, rows: np.ndarray, length: int) -> Any:
        """Returns the targets of examples, see `Encoded.targets_of`."""
        return self.lead.targets_of(rows, length)

    def trimmed(self, row: int, output: np.ndarray) -> np.ndarray:
        """Returns an example's output without its padding."""
        return self.lead.trimmed(row, output)

    def _total(self, name: str) -> np.ndarray:
        padded = [part for part in self.parts.values() if part.padded]
        return np.sum([getattr(part, name) for part in padded or [self.lead]], axis=0)


def encode(
    batches: Iterable[tuple[Any, ...]],
    preprocessor: Any,
    advance: Callable[[int], None] = lambda count: None,
    known: Mapping[str, Encoded] | None = None,
) -> Encoded | EncodedTowers:
    """Reads examples as `encoded_split.encode` does, also for a backbone of several towers.

    Args:
      known: inputs that are encoded already, by tower.
    """
    known = known or {}
    if not hasattr(preprocessor, "parts"):
        return known.get("") or encoded_split.encode(batches, preprocessor, advance)
    done = 0
    read: dict[str, list[Encoded]] = {name: [] for name in preprocessor.parts if name not in known}
    for columns in batches:
        for name, parts in read.items():
            own = preprocessor.columns(name, columns)
            parts.append(encoded_split.encode([own], preprocessor.parts[name], done=done))
        done += len(columns[0])
        advance(len(columns[0]))
    return EncodedTowers(
        {name: known.get(name) or _joined(read[name]) for name in preprocessor.parts}
    )


def _joined(parts: Sequence[Encoded]) -> Encoded:
    """Returns encoded examples, without windows and targets, one behind the other."""
    return dataclasses.replace(
        parts[0],
        tokens=join([part.tokens for part in parts]),
        full_lengths=np.concatenate([part.full_lengths for part in parts]),
        extra={name: join([part.extra[name] for part in parts]) for name in parts[0].extra},
        decoder=parts[0].decoder and join([part.decoder for part in parts if part.decoder]),
    )


def pack(encoded: Encoded | EncodedTowers) -> bytes:
    """Returns the inputs of a split as bytes, without its targets."""
    if isinstance(encoded, Encoded):
        return save(encoded_split.arrays_of(encoded))
    return save(
        {
            f"{name}:{key}": value
            for name, part in encoded.parts.items()
            for key, value in encoded_split.arrays_of(part).items()
        }
    )


def unpack(content: bytes, preprocessor: Any) -> Encoded | EncodedTowers:
    """Returns the split that `pack` was called with, without targets."""
    if not hasattr(preprocessor, "parts"):
        return encoded_split.of_arrays(load(content), preprocessor)
    arrays: dict[str, dict[str, np.ndarray]] = {name: {} for name in preprocessor.parts}
    for key, value in load(content).items():
        name, _, own = key.partition(":")
        arrays[name][own] = value
    parts = preprocessor.parts.items()
    return EncodedTowers({name: encoded_split.of_arrays(arrays[name], own) for name, own in parts})
