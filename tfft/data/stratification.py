"""Exact, stratified assignment of units to the train, validation and test splits.

A unit is a set of rows that must be in the same split. The assignment depends on the units alone,
never on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse

TRAIN, VALIDATION, TEST = range(3)
PRIORITY = (TRAIN, TEST, VALIDATION)  # the splits that a rare label is in first


def assign(
    counts: sparse.csr_matrix, sizes: np.ndarray, ranks: np.ndarray, targets: Sequence[int]
) -> np.ndarray:
    """Returns the split of each unit: int8 [u], 0 for train, 1 for validation, 2 for test.

    A label with at least as many units as there are splits has a unit in every split, one with
    fewer units has one in the training split. Units of one row with one label fill the quota of
    their label in the order of their rank. Units of several rows or labels are assigned before, the
    rarest label first, each to the split that it brings closest to its shares of labels and rows.

    Source: Sechidis et al., "On the Stratification of Multi-Label Data", 2011.

    Args:
      counts: number of rows by unit and label, int [u l]; 0 columns if there are no labels.
      sizes: number of rows by unit, int [u].
      ranks: order in which units are taken for validation and for test, uint64 [u 2].
      targets: number of rows of train, validation and test; 0 for a split that is not made.
    """
    by_rarity = np.argsort(counts.getnnz(axis=0), kind="stable")
    # The last column counts all rows: a label that every unit has.
    columns = sparse.hstack([counts[:, by_rarity], sizes[:, None]], "csr")
    columns.sort_indices()
    needs = _Needs(columns, targets)
    assigned = np.full(len(sizes), TRAIN, np.int8)
    labels_per_unit = np.diff(columns.indptr) - 1
    single = (sizes == 1) & (labels_per_unit <= 1)
    first = columns.indices[columns.indptr[:-1]]  # the rarest label of each unit
    several = np.flatnonzero(~single)
    several = several[np.lexsort((ranks[several, 1], first[several]))]
    assigned[several] = _assign_one_by_one(several, columns, needs)
    for split in (TEST, VALIDATION):
        if targets[split]:
            rest = np.flatnonzero(single & (assigned == TRAIN))
            quota = needs.quota(split, np.bincount(first[rest], minlength=columns.shape[1]))
            rank = ranks[rest, 1 if split == TEST else 0]
            assigned[rest[_lowest(first[rest], rank, quota)]] = split
    return _with_every_label_in_train(assigned, columns)


class _Needs:
    """Keeps the number of rows that each split still needs of each label.

    Attributes:
      splits: the splits that are made, by priority.
      ideal: rows of each label by split in proportion to the targets, as lists.
      rows: rows that are still needed, as lists.
      units: number of units of each label that are not assigned.
      lacking: the splits that must have the label and do not have it yet, by label.
    """

    def __init__(self, columns: sparse.csr_matrix, targets: Sequence[int]):
        self.splits = [split for split in PRIORITY if targets[split]]
        totals = np.asarray(columns.sum(axis=0)).ravel()
        units = columns.getnnz(axis=0)
        ideal = totals[:, None] * np.array(targets, float) / max(sum(targets), 1)
        enough = units >= len(self.splits)
        if len(self.splits) > 1:  # two units: one to learn from, one to test with
            two = (units == 2) & ~enough
            ideal[two, self.splits[1]] = totals[two] * 0.75  # above one of the two
        self.ideal: list[list[float]] = ideal.tolist()
        self.rows: list[list[float]] = ideal.tolist()
        self.units: list[int] = units.tolist()
        self.lacking = [self.splits if each else [TRAIN] for each in enough]
        self.lacking[-1] = self.splits

    def split_for(self, labels: Sequence[int], counts: Sequence[int]) -> int:
        """Returns the split of a unit with several labels, the rarest of them first."""
        for label in labels:
            lacking = self.lacking[label]
            if lacking and self.units[label] <= len(lacking):
                return lacking[0]
        size, rows = counts[-1], self.rows[-1]
        # A unit of several rows may exceed the target by less than it would fall short of it.
        open_splits = [split for split in self.splits if rows[split] >= size / 2] or self.splits
        return max(open_splits, key=lambda split: self._gain(split, labels, counts))

    def _gain(self, split: int, labels: Sequence[int], counts: Sequence[int]) -> float:
        """Returns by how much a unit reduces the squared relative distances from the targets."""
        return sum(
            count * (2 * self.rows[label][split] - count) / self.ideal[label][split]
            for label, count in zip(labels, counts, strict=True)
        )

    def add(self, split: int, labels: Sequence[int], counts: Sequence[int]) -> None:
        """Counts a unit that was assigned."""
        for label, count in zip(labels, counts, strict=True):
            self.rows[label][split] -= count
            self.units[label] -= 1
            if split in self.lacking[label]:
                self.lacking[label] = [each for each in self.lacking[label] if each != split]

    def quota(self, split: int, free: np.ndarray) -> np.ndarray:
        """Returns how many free units of each label a split takes: int [l].

        Args:
          split: validation or test.
          free: number of units of one row with one label that are not assigned, by label.
        """
        lack = np.array([[each in row for each in range(3)] for row in self.lacking])
        later = lack[:, VALIDATION] if split == TEST else np.zeros(len(lack), bool)
        after_train = np.maximum(free - lack[:, TRAIN], 0)
        most = np.maximum(after_train - later, 0)
        least = np.minimum(lack[:, split], most)
        total = max(round(self.rows[-1][split]), int(lack[-1, split]))
        total = min(total, int(after_train.sum() - later[-1]))
        wanted = np.array(self.rows)[:, split]
        return _rounded(wanted, least, most, total)


def _rounded(wanted: np.ndarray, least: np.ndarray, most: np.ndarray, total: int) -> np.ndarray:
    """Returns whole numbers near `wanted` with a sum as near to `total` as the limits allow.

    The largest remainders are rounded up.
    """
    quota = np.clip(np.floor(wanted), least, most).astype(np.int64)
    total = int(np.clip(total, least.sum(), most.sum()))
    while missing := total - int(quota.sum()):
        step = 1 if missing > 0 else -1
        movable = quota < most if step > 0 else quota > least
        gain = np.where(movable, step * (wanted - quota), -np.inf)
        quota[np.argsort(-gain, kind="stable")[: min(abs(missing), movable.sum())]] += step
    return quota


def _lowest(labels: np.ndarray, ranks: np.ndarray, quota: np.ndarray) -> np.ndarray:
    """Returns the numbers of the units with the lowest ranks of each label."""
    order = np.lexsort((ranks, labels))
    begins = np.concatenate([[0], np.cumsum(np.bincount(labels, minlength=len(quota)))[:-1]])
    places = np.arange(len(order)) - begins[labels[order]]
    return order[places < quota[labels[order]]]


def _assign_one_by_one(units: np.ndarray, columns: sparse.csr_matrix, needs: _Needs) -> list[int]:
    part = columns[units]
    ends, labels, counts = part.indptr.tolist(), part.indices.tolist(), part.data.tolist()
    assigned = []
    for begin, end in zip(ends, ends[1:], strict=False):
        own = labels[begin:end], counts[begin:end]
        assigned.append(needs.split_for(*own))
        needs.add(assigned[-1], *own)
    return assigned


def _with_every_label_in_train(assigned: np.ndarray, columns: sparse.csr_matrix) -> np.ndarray:
    """Moves a unit to the training split for each label that it lacks.

    Only units with several labels can need this.
    """
    by_label = columns.tocsc()
    for label in np.flatnonzero(by_label.T @ (assigned == TRAIN).astype(np.int64) == 0):
        units = by_label.indices[by_label.indptr[label] : by_label.indptr[label + 1]]
        if len(units) and not (assigned[units] == TRAIN).any():
            assigned[units.min()] = TRAIN
    return assigned
