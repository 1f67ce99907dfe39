"""Train, validation and test splits of data that come without them.

Rows in memory are split exactly and stratified by label; of a stream a salted hash of the text
decides. Either way the order of the rows and the machine do not matter.
"""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from tfft.data.stratification import assign
from tfft.errors import DataError

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {  # in files and builders
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
Rows = tuple[Sequence[str], ...]  # inputs, answers, and further columns
SEE = "tfft check --gin_file=quick/text.gin --gin.DATA=FILE --gin.TEXT=COLUMN --gin.LABEL=COLUMN"
# Data that were split by a plain hash before are still split well.
SALT = b"tfft split\0"
OWN_FILES = "files of their own: --gin.VALIDATION=FILE --gin.TEST=FILE"
SEPARATORS = (",", ";", "|")  # between the labels of a cell
ROWS_PER_PART = 10  # of answers that are no labels and are stratified nevertheless
MAX_HELD_OUT = 50_000  # rows of a validation or test split of a stream
CHUNK = 1 << 16  # digests that are Python objects at a time


def told(labels: Sequence[str], most: int = 8) -> str:
    """Returns labels as text, the first few of them when there are many."""
    rest = f" and {len(labels) - most:,} more" if len(labels) > most else ""
    return ", ".join(repr(label) for label in labels[:most]) + rest


def ranks(keys: Iterable[str]) -> np.ndarray:
    """Returns two random numbers for each key that depend on the key alone: uint64 [n 2].

    The first one decides which keys are taken for the test split, the second one which are taken
    for the validation split.
    """
    parts, keys = [], iter(keys)
    while chunk := list(itertools.islice(keys, CHUNK)):
        digests = [hashlib.sha256(SALT + key.encode()).digest() for key in chunk]
        words = np.frombuffer(b"".join(digests), ">u8").reshape(-1, 4)
        parts.append(words[:, :2].astype(np.uint64))
    return np.concatenate([np.zeros((0, 2), np.uint64), *parts])


def stream_splits(texts: Sequence[str], validation_share: float, test_share: float) -> np.ndarray:
    """Returns the number in `SPLITS` of each text of a stream, int [n]: equal texts, equal splits.

    The shares are met approximately, by thresholds on the ranks.
    """
    return splits_of_ranks(ranks(texts), validation_share, test_share)


def splits_of_ranks(of_texts: np.ndarray, validation_share: float, test_share: float) -> np.ndarray:
    """Returns the result of `stream_splits` from the `ranks` of the texts: uint64 [n 2]."""
    for_test, for_validation = (of_texts / 2.0**64).T
    validation = for_validation < validation_share / (1 - test_share)
    return np.where(for_test < test_share, 2, validation.astype(int))


@dataclasses.dataclass(frozen=True)
class Units:
    """Sets of rows that must be in the same split, numbered by their rank for the test split.

    Attributes:
      of_rows: the unit of each row, int [n].
      ranks: two random numbers for each unit, see `ranks`, uint64 [u 2].
      texts: the number of distinct texts (pairs, images).
      groups: the number of groups; None if there are none.
    """

    of_rows: np.ndarray
    ranks: np.ndarray
    texts: int
    groups: int | None = None

    @classmethod
    def of(cls, keys: Iterable[str], groups: Sequence[str] | None = None) -> Units:
        """Returns the units of rows: equal keys are together, and so are equal groups.

        Args:
          keys: the text of each row, or another key of its inputs.
          groups: a value for each row; rows with an empty one are in no group.
        """
        of_keys = ranks(keys)
        # Two texts of the same 64 bits would be in one unit: rare, and they would only stay
        # together.
        _, first, of_rows = np.unique(of_keys[:, 0], return_index=True, return_inverse=True)
        of_texts = of_keys[first]
        if groups is None:
            return cls(of_rows, of_texts, len(first))
        joined, count = _components(of_rows, len(first), groups)
        _, lowest, joined = np.unique(joined, return_index=True, return_inverse=True)
        place = np.argsort(np.argsort(lowest))[joined]  # units by their lowest text
        return cls(place[of_rows], of_texts[np.sort(lowest)], len(first), count)

    @property
    def sizes(self) -> np.ndarray:
        """The number of rows of each unit, int [u]."""
        return np.bincount(self.of_rows, minlength=len(self.ranks))


def _components(of_rows: np.ndarray, texts: int, groups: Sequence[str]) -> tuple[np.ndarray, int]:
    """Returns the connected component of each text, int [t], and the number of groups."""
    numbers, of_groups = _numbered(groups)
    grouped = np.array([bool(name) for name in numbers])[of_groups]
    ends = of_rows[grouped], of_groups[grouped] + texts
    size = texts + len(numbers)
    graph = sparse.coo_matrix((np.ones(len(ends[0])), ends), (size, size))
    return connected_components(graph, directed=False)[1][:texts], len(numbers) - ("" in numbers)


def _numbered(values: Sequence[str]) -> tuple[dict[str, int], np.ndarray]:
    """Returns the number of each distinct value, in their sorted order, and of all: int [n]."""
    numbers = {value: number for number, value in enumerate(sorted(set(values)))}
    return numbers, np.fromiter(map(numbers.__getitem__, values), np.int64, len(values))


def keys_of(columns: Sequence[Sequence[str]]) -> Iterable[str]:
    """Returns a string for each row that depends on all of its inputs."""
    if len(columns) == 1:
        return columns[0]
    rows = zip(*columns, strict=True)
    return (f"{','.join(str(len(part)) for part in row)}:{''.join(row)}" for row in rows)


def complete(
    name: str,
    rows: Mapping[str, Rows],
    shares: Mapping[str, float],
    *,
    inputs: int = 1,
    classes: bool = True,
    keys: Sequence[str] | None = None,
    group: int | None = None,
    group_name: str = "",
    own: str = OWN_FILES,
    see: str = SEE,
) -> tuple[dict[str, Rows], list[str]]:
    """Splits the missing splits off from the training rows.

    Args:
      name: of the source.
      rows: inputs, answers and further columns of the splits that there are.
      shares: of the validation and of the test split; 0 for none.
      inputs: number of the columns that are inputs; the answers follow.
      classes: whether the answers are labels. Lists of labels, in JSON or between separators, and
        other answers of few different values are stratified too.
      keys: a key of the inputs of each training row; by default the inputs themselves.
      group: number of the column whose equal values stay together; None for no groups.
      group_name: name of that column.
      own: how to set splits of one's own, for an error.
      see: the next command, for an error.

    Returns:
      All splits, and notes on those that were made.

    Raises:
      DataError: shares that leave nothing to train on, or fewer units than splits.
    """
    check_shares(*(shares.get(split, 0.0) for split in SPLITS[1:]))
    missing = {split: share for split, share in shares.items() if split not in rows and share}
    train = rows["train"]
    count = len(train[inputs])
    notes = [] if group is None else _shared_groups(rows, group, group_name)
    if not missing or not count:
        return dict(rows), notes
    units = Units.of(keys or keys_of(train[:inputs]), None if group is None else train[group])
    targets = [max(1, round(count * missing[split])) if split in missing else 0 for split in SPLITS]
    targets[0] = max(1, count - sum(targets))
    labels = _label_counts(units, train[inputs], classes)
    assigned = assign(labels, units.sizes, units.ranks, targets)[units.of_rows]
    parts = {
        split: np.flatnonzero(assigned == number).tolist()
        for number, split in enumerate(SPLITS)
        if split == "train" or split in missing
    }
    if not all(parts.values()):
        raise _too_small(name, parts, units, labels.shape[1], own, see)
    sizes = {split: len(parts[split]) for split in missing}
    how = ("label" if classes else "answer") if labels.shape[1] else ""
    note = _split_note(sizes, missing, count, how, group_name)
    return {**rows, **{split: take(train, parts[split]) for split in parts}}, [*notes, note]


def _shared_groups(rows: Mapping[str, Rows], group: int, name: str) -> list[str]:
    """Returns a note for each pair of splits with rows of the same group."""
    notes = []
    for split, other in itertools.combinations([each for each in SPLITS if each in rows], 2):
        if both := sorted({*rows[split][group]} & {*rows[other][group]} - {""}):
            values = f"{len(both):,} {'value' if len(both) == 1 else 'values'}"
            notes.append(f"{split} and {other} share {values} of {name!r}: {told(both, 3)}")
    return notes


def _label_counts(units: Units, answers: Sequence[str], classes: bool) -> sparse.csr_matrix:
    """Returns the number of rows of each unit with each label, int [u l]; l is 0 without labels."""
    flat, rows = answers, units.of_rows
    if not classes:
        lists = label_lists(answers) or _repeated_parts(answers) or [[]] * len(answers)
        flat = list(itertools.chain.from_iterable(lists))
        rows = np.repeat(rows, list(map(len, lists)))
    numbers, columns = _numbered(flat)
    shape = (len(units.ranks), len(numbers))
    # Entries of the same place are added up.
    return sparse.coo_matrix((np.ones(len(flat), np.int64), (rows, columns)), shape).tocsr()


def label_lists(answers: Sequence[str]) -> list[list[str]] | None:
    """Returns the labels of each answer if all are JSON: lists of strings, objects of 0 and 1."""
    lists = []
    for answer in answers:
        try:
            labels = json.loads(answer) if answer.startswith(("[", "{")) else None
        except ValueError:
            return None
        if isinstance(labels, dict) and all(value in (0, 1) for value in labels.values()):
            labels = [name for name, value in labels.items() if value]
        if not isinstance(labels, list) or not all(isinstance(each, str) for each in labels):
            return None
        lists.append(sorted(set(labels)))
    return lists


def _repeated_parts(answers: Sequence[str]) -> list[list[str]] | None:
    """Returns the parts of each answer between separators if there are few different parts.

    Such answers are lists of labels in one cell, numbers of choices or scores in steps.
    """
    if any(answer[:1] in ("[", "{") for answer in answers):
        return None
    used = [mark for mark in SEPARATORS if any(mark in answer for answer in answers)]
    mark = used[0] if used else "\n"
    lists = [sorted({part.strip() for part in answer.split(mark)}) for answer in answers]
    few = len(set(itertools.chain.from_iterable(lists))) <= len(answers) // ROWS_PER_PART
    return lists if few else None


def _too_small(
    name: str, parts: Mapping[str, Sequence[int]], units: Units, labels: int, own: str, see: str
) -> DataError:
    """Returns the error of splits of which one would be empty."""
    empty = next(split for split, numbers in parts.items() if not numbers)
    counts = f"{len(units.of_rows):,} rows with {units.texts:,} distinct inputs"
    if units.groups is not None:
        counts += f" in {units.groups:,} groups"
        if len(units.ranks) < units.groups:
            counts += f"; groups that share inputs stay together, which leaves {len(units.ranks):,}"
    if labels:
        counts += f", and {labels:,} labels, each of which is needed in the training split"
    return DataError(
        f"{name} is too small to be split into {', '.join(parts)}: the {empty} split would be "
        f"empty. It has {counts}.",
        valid=f"more rows, a share of 0 for one of the splits, or {own}",
        see=see,
    )


def _split_note(
    sizes: Mapping[str, int], shares: Mapping[str, float], count: int, by: str, group: str
) -> str:
    """Returns the note on splits that were made, with their sizes."""
    parts = []
    for split, size in sizes.items():
        near = abs(size / count - shares[split]) < 0.01
        requested = "" if near else f", {shares[split]:.0%} requested"
        parts.append(f"{size:,} rows for {split} ({size / count:.0%}{requested})")
    together = f"rows of the same {group!r} and equal inputs" if group else "equal inputs"
    how = f"stratified by {by}, " if by else ""
    return f"split off from train: {', '.join(parts)}; {how}{together} stay together"


def check_shares(validation_share: float, test_share: float) -> None:
    """Refuses shares that are no shares."""
    if min(validation_share, test_share) < 0 or validation_share + test_share >= 1:
        raise DataError(
            f"validation_share={validation_share} and test_share={test_share} leave nothing to "
            "train on, or are below 0.",
            set_in=f"validation_share={validation_share}, test_share={test_share}",
            valid="each 0 or more, together less than 1",
            see=SEE,
        )


def stream_note(shares: Mapping[str, float]) -> str:
    """Returns the note on splits of a stream."""
    parts = ", ".join(f"about {share:.0%} {split}" for split, share in shares.items())
    return f"split off from train by a salted hash of the text: {parts}; not stratified by label"


def sample_note(split: str, count: int, size: int) -> str:
    """Returns the note on a split of which a part is read."""
    return (
        f"{split}: a random sample of {count:,} of {size:,} rows; its figures are of the sample, "
        "and the other rows are not used"
    )


def sample_rows(size: int, most: int) -> np.ndarray:
    """Returns the numbers of a random sample of examples, ascending; of all if they are few."""
    if size <= most:
        return np.arange(size)
    return np.sort(np.random.default_rng(0).choice(size, most, replace=False))


def take(rows: Rows, numbers: Sequence[int]) -> Rows:
    """Returns the rows of these numbers."""
    return tuple([column[number] for number in numbers] for column in rows)


def without_overlap(
    rows: Mapping[str, Rows], inputs: int = 1
) -> tuple[dict[str, list[int]], list[str]]:
    """Selects rows so that no example's inputs are in two splits; test stays untouched.

    Returns:
      The numbers of the rows to keep by split, and a note for each split that loses some.
    """
    kept: dict[str, list[int]] = {}
    notes = []
    later: set[tuple[str, ...]] = set()
    what, verb = ("text", "is") if inputs == 1 else ("texts", "are")
    for split in reversed([split for split in SPLITS if split in rows]):
        keys = list(zip(*rows[split][:inputs], strict=True))
        kept[split] = [number for number, key in enumerate(keys) if key not in later]
        if dropped := len(keys) - len(kept[split]):
            other = "validation or test" if split == "train" else "test"
            notes.append(
                f"{dropped:,} rows of {split} dropped: their {what} {verb} also in {other}"
            )
        later.update(keys)
    if not kept["train"] and rows["train"][0]:
        raise DataError(
            "every training text is also in the validation or the test split. The "
            f"{len(rows['train'][0]):,} rows of train have {len(set(keys)):,} distinct {what}.",
            valid="other files for them, or none: then they are taken from the training file",
        )
    return kept, notes
