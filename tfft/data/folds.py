"""Folds of a source: which examples train a run and which are validation examples."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from tfft.data.sources.base import MemorySource, Source, summarize
from tfft.data.splits import Rows, Units, keys_of, take
from tfft.errors import ConfigError, DataError

MAX_POOL = 200_000  # examples of a streamed source that folds may hold
POOL = "pool"  # the training and the validation split together, from which folds are taken


class FoldSource(MemorySource):
    """A source whose training and validation splits are taken from both of another's.

    Args:
      source: the other; its test split stays what it is.
      pool: its training and validation examples.
      numbers: of the pool's examples, by split.
    """

    def __init__(self, source: Source, pool: Rows, numbers: Mapping[str, np.ndarray]):
        rows = {split: take(pool, part.tolist()) for split, part in numbers.items()}
        if "test" in source.splits:
            rows["test"] = lists(source, ["test"])
        self._source, self._numbers, self.modality = source, numbers, source.modality
        self._pooled = [split for split in source.splits if split != "test"]
        kind: Any = {"inputs": source.inputs, "classes": source.classes}
        super().__init__(source.name, rows, source.notes, **kind)
        self.schema, self.decode = source.schema, source.decode
        self._rows[POOL] = pool
        self.summaries[POOL] = summarize(map(self.identified, self.rows(POOL)))

    def identified(self, row: tuple[str, ...]) -> tuple[str, ...]:
        return self._source.identified(row)

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        if split not in self._numbers:
            return self._source.columns(split)
        parts = [self._source.columns(each) for each in self._pooled]
        names = list(parts[0])
        pool = tuple([value for part in parts for value in part[name]] for name in names)
        return dict(zip(names, take(pool, self._numbers[split].tolist()), strict=True))

    def mixed(self, split: str) -> Any:
        if split not in self._numbers or self._source.mixed("train") is None:
            return None
        parts = [self._source.mixed(each) for each in self._pooled]
        return np.concatenate([part[0] for part in parts])[self._numbers[split]], parts[0][1]


def lists(source: Source, splits: Sequence[str]) -> Rows:
    """Returns the inputs and the answers of several splits, one after the other."""
    if source.streamed and (size := sum(source.size(split) for split in splits)) > MAX_POOL:
        raise ConfigError(
            f"folds hold all examples in memory, and {source.name} streams {size:,}.",
            set_in="train.folds",
            valid=f"at most {MAX_POOL:,} examples, or train.folds = 1",
        )
    rows = [row for split in splits for row in source.rows(split)]
    return tuple(map(list, zip(*rows, strict=True)))


def groups_of(source: Source, splits: Sequence[str]) -> list[str] | None:
    """Returns the group of each example of several splits, None if there are no groups."""
    groups: list[str] = []
    for split in splits:
        part = source.groups(split)
        if part is None:
            return None
        groups += part
    return groups


def fold_numbers(
    pool: Rows, folds: int, seed: int, classes: bool = True, groups: Sequence[str] | None = None
) -> list[dict[str, np.ndarray]]:
    """Returns for each fold the numbers of its training and its validation examples.

    Each label has the same share in every fold, as far as its examples allow. Equal texts are in
    the same fold, and so are equal groups. Examples of a label that would be in one fold alone are
    training examples of every fold.

    Args:
      pool: inputs and answers.
      folds: how many.
      seed: of the choice.
      classes: whether the answers are labels.
      groups: a value for each example; None for no groups.

    Raises:
      DataError: there are fewer different texts, or groups, than folds.
    """
    units = Units.of(keys_of(pool[:-1]), groups)
    labels = np.unique(pool[-1] if classes else [""] * len(pool[-1]), return_inverse=True)[1]
    # sklearn needs a label with as many examples as there are folds.
    most = len(units.ranks) if groups is None else int(np.bincount(labels).max())
    places = np.zeros(len(labels), np.int64)
    if folds <= min(len(units.ranks), most):
        places = _places(units, labels, folds, seed)
        if classes:
            places = _with_every_label_in_training(places, labels, units.of_rows)
    if len(set(places[places >= 0].tolist())) < folds:
        counts = f"{len(labels):,} examples with {units.texts:,} different texts"
        if units.groups is not None:
            counts += f" in {units.groups:,} groups"
            if len(units.ranks) < units.groups:
                counts += f", {len(units.ranks):,} where groups with equal texts are counted as one"
        raise DataError(
            f"{folds} folds cannot be made of {counts}: one would hold out no example.",
            set_in="train.folds",
            valid="fewer folds, or more examples",
        )
    return [
        {"train": np.flatnonzero(places != fold), "validation": np.flatnonzero(places == fold)}
        for fold in range(folds)
    ]


def _places(units: Units, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each example, int [n]."""
    first = np.unique(units.of_rows, return_index=True)[1]
    if units.groups is None and (labels == labels[first][units.of_rows]).all():
        random = np.random.default_rng(seed).permutation(len(first))
        order = np.lexsort((random, labels[first]))  # the units of a label go to the folds in turn
        places = np.empty(len(first), np.int64)
        places[order] = np.arange(len(first)) % folds
        return places[units.of_rows]
    kind = GroupKFold if len(set(labels)) == 1 else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    places = np.empty(len(labels), np.int64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a label with few examples: it is in some of the folds
        for fold, (_, validation) in enumerate(splitter.split(labels, labels, units.of_rows)):
            places[validation] = fold
    return places


def _with_every_label_in_training(
    places: np.ndarray, labels: np.ndarray, units: np.ndarray
) -> np.ndarray:
    """Returns -1 as the fold of the units of a label that is in one fold alone."""
    lowest = np.full(labels.max() + 1, places.max())
    highest = np.zeros_like(lowest)
    np.minimum.at(lowest, labels, places)
    np.maximum.at(highest, labels, places)
    alone = (lowest == highest)[labels]
    return np.where(np.isin(units, units[alone]), -1, places)
