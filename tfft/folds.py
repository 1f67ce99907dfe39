"""Folds of a source: which examples train a run and which are held out from it."""

from __future__ import annotations

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import KFold, StratifiedKFold

from tfft.errors import DataError
from tfft.part import POOL
from tfft.sources import MemorySource, Rows, Source, summarize, take


class FoldSource(MemorySource):
    """A source whose training and validation splits are taken from both of another's.

    Args:
      source: the other; its test split stays what it is.
      pool: its training and validation examples.
      numbers: of the pool's examples, by split.
    """

    def __init__(self, source: Source, pool: Rows, numbers: Mapping[str, np.ndarray]):
        rows: dict[str, Rows] = {
            split: take(pool, part.tolist()) for split, part in numbers.items()
        }
        if "test" in source.splits:
            rows["test"] = lists(source, ["test"])
        kind: Any = {"inputs": source.inputs, "classes": source.classes}
        self._source, self._numbers, self.modality = source, numbers, source.modality
        super().__init__(source.name, rows, source.notes, **kind)
        self.schema = source.schema
        self._rows[POOL] = pool
        self.summaries[POOL] = summarize(map(self.identified, self.rows(POOL)))

    def identified(self, row: tuple[str, ...]) -> tuple[str, ...]:
        return self._source.identified(row)

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        if split not in self._numbers:
            return self._source.columns(split)
        parts = [self._source.columns(each) for each in self._source.splits if each != "test"]
        whole = {name: [value for part in parts for value in part[name]] for name in parts[0]}
        rows = self._numbers[split].tolist()
        return {name: [values[row] for row in rows] for name, values in whole.items()}

    def mixed(self, split: str) -> Any:
        if split not in self._numbers or self._source.mixed("train") is None:
            return None
        parts = [self._source.mixed(each) for each in self._source.splits if each != "test"]
        return np.concatenate([part[0] for part in parts])[self._numbers[split]], parts[0][1]


def lists(source: Source, splits: Sequence[str]) -> Rows:
    """Returns the inputs and the answers of several splits, one after the other."""
    rows = [row for split in splits for row in source.rows(split)]
    return tuple(map(list, zip(*rows, strict=True)))


def fold_numbers(
    pool: Rows, folds: int, seed: int, classes: bool = True
) -> list[dict[str, np.ndarray]]:
    """Returns for each fold the numbers of its training and its validation examples.

    Each label has the same share in every fold, as far as its examples allow; equal texts are in
    the same fold.

    Args:
      pool: inputs and answers.
      folds: how many.
      seed: of the choice.
      classes: whether the answers are labels.

    Raises:
      DataError: a label has fewer texts than there are folds, or there are fewer texts.
    """
    keys = list(zip(*pool[:-1], strict=True))
    first: dict[tuple[str, ...], str] = {}
    for key, label in zip(keys, pool[-1] if classes else [""] * len(keys), strict=True):
        first.setdefault(key, label)
    label, count = min(collections.Counter(first.values()).items(), key=lambda item: item[1])
    if count < folds:
        what = f" of each label, and {label!r} has {count}" if classes else f"; there are {count}"
        raise DataError(
            f"{folds} folds need {folds} different texts{what}.",
            set_in="train.folds",
            valid=f"2 to {count}" if count > 1 else "more examples",
        )
    distinct = list(first)
    splitter = (StratifiedKFold if classes else KFold)(folds, shuffle=True, random_state=seed)
    fold_of: dict[tuple[str, ...], int] = {}
    for number, (_, held) in enumerate(splitter.split(distinct, list(first.values()))):
        fold_of |= {distinct[place]: number for place in held}
    places = np.array([fold_of[key] for key in keys])
    return [
        {"train": np.flatnonzero(places != fold), "validation": np.flatnonzero(places == fold)}
        for fold in range(folds)
    ]
