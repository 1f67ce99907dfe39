"""Where examples come from: texts with labels, their splits, and what a person should know of them.

A label is a string everywhere. A split that nobody gave is taken from the training split by a hash
of the text, so that the same text is always in the same split, on every machine.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tfft.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {  # what files and builders call them
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
Rows = tuple[Sequence[str], ...]  # texts, labels, and further columns
SEE = "tfft check --gin_file=quick/text.gin --gin.DATA=FILE --gin.TEXT=COLUMN --gin.LABEL=COLUMN"


def share_of(text: str) -> float:
    """Returns a number in [0, 1) that depends on the text alone."""
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def split_of(text: str, validation_share: float, test_share: float) -> str:
    """Returns the split that a text belongs to, by its hash: the same text, the same split."""
    place = share_of(text)
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def split_by_hash(
    name: str, rows: Rows, validation_share: float, test_share: float
) -> dict[str, Rows]:
    """Returns rows by split. A share of 0 makes no split.

    Raises:
      DataError: shares that leave nothing to train on, or so few examples that a split would be
        empty or without one of the labels.
    """
    shares = {"train": 1.0, "validation": validation_share, "test": test_share}
    check_shares(validation_share, test_share)
    found: dict[str, tuple[list[str], ...]] = {
        split: tuple([] for _ in rows) for split in SPLITS if shares[split]
    }
    for row in zip(*rows, strict=True):
        part = found[split_of(row[0], validation_share, test_share)]
        for column, value in zip(part, row, strict=True):
            column.append(value)
    counts = {split: collections.Counter(part[1]) for split, part in found.items()}
    refuse_small(name, counts)
    return dict(found)


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


def refuse_small(name: str, counts: Mapping[str, Mapping[str, int]]) -> None:
    """Refuses a split by hash in which a part is empty or lacks a label."""
    total: collections.Counter[str] = collections.Counter()
    for part in counts.values():
        total.update(part)
    for split, part in counts.items():
        lacking = sorted(set(total) - set(part))
        what = f"would have no example of {told(lacking)}" if part else "would be empty"
        if lacking or not part:
            rarest = min(total.values(), default=0)
            raise DataError(
                f"{name} is too small to be split: of its {total.total():,} examples the {split} "
                f"split {what}; the rarest label has {rarest:,}.",
                valid="more examples of each label, a larger share, or files of their own: "
                "--gin.files.validation=FILE --gin.files.test=FILE",
                see=SEE,
            )


def told(labels: Sequence[str], most: int = 8) -> str:
    """Returns labels as text, the first few of them when there are many."""
    rest = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(repr(label) for label in labels[:most]) + rest


def shares_told(shares: Mapping[str, float]) -> str:
    """Returns the note about splits that were made."""
    parts = ", ".join(f"{share:.0%} {split}" for split, share in shares.items())
    return f"split by a hash of the text, taken from train: {parts}"


@dataclasses.dataclass(frozen=True)
class Summary:
    """What one pass over a split shows.

    Attributes:
      size: the number of examples.
      labels: how many of each, by label.
      first: the number, from 0, of the first example of each label.
      empty: the numbers of the first texts without a visible character, and how many there are.
      digest: SHA-256 over texts and labels in their order.
    """

    size: int
    labels: dict[str, int]
    first: dict[str, int]
    empty: tuple[list[int], int]
    digest: str


class Summarizer:
    """Makes a summary example by example, with little memory."""

    def __init__(self) -> None:
        self._size = self._empties = 0
        self._labels: dict[str, int] = {}
        self._first: dict[str, int] = {}
        self._empty: list[int] = []
        self._digest = hashlib.sha256()

    def add(self, text: str, label: str) -> None:
        """Counts one example."""
        if not text or text.isspace():
            self._empties += 1
            if len(self._empty) < 3:
                self._empty.append(self._size)
        if label not in self._labels:
            self._labels[label], self._first[label] = 0, self._size
        self._labels[label] += 1
        # Lengths first: no text can be written so that two different splits hash alike.
        self._digest.update(f"{len(text)},{len(label)}:{text}{label}".encode())
        self._size += 1

    def result(self) -> Summary:
        """Returns what was counted."""
        empty = (self._empty, self._empties)
        return Summary(self._size, self._labels, self._first, empty, self._digest.hexdigest())


def summarize(rows: Iterable[tuple[str, str]]) -> Summary:
    """Returns what a split holds, in one pass."""
    summarizer = Summarizer()
    for text, label in rows:
        summarizer.add(text, label)
    return summarizer.result()


def validate(
    name: str,
    summaries: Mapping[str, Summary],
    where: Callable[[str, int], str] | None = None,
    see: str = SEE,
) -> None:
    """Refuses data that no run could learn from or be judged on.

    Args:
      name: of the source.
      summaries: by split.
      where: from a split and the number of an example, from 0, to its place for a person.
      see: the next command.

    Raises:
      DataError: no training examples, empty texts, one class only, or a label that only an
        evaluation split has.
    """
    where = where or (lambda split, number: f"example {number + 1:,} of the {split} split")
    for split in ("train", *summaries):
        if split not in summaries or not summaries[split].size:
            raise DataError(
                f"{name} has no examples in its {split} split.",
                valid="two examples or more, of two labels",
                see=see,
            )
    for split, summary in summaries.items():
        numbers, count = summary.empty
        if count:
            raise DataError(
                f"{count:,} {'text is' if count == 1 else 'texts are'} empty in the {split} split "
                f"of {name}.",
                set_in=", ".join(where(split, number) for number in numbers),
                valid="a text in every row; take out the rows that have none",
                see=see,
            )
    _validate_labels(name, summaries, where, see)


def _validate_labels(
    name: str, summaries: Mapping[str, Summary], where: Callable[[str, int], str], see: str
) -> None:
    known = summaries["train"].labels
    if len(known) < 2:
        raise DataError(
            f"{name} has one class only: all {summaries['train'].size:,} training examples are "
            f"labelled {next(iter(known))!r}.",
            valid="two labels or more in the training split; is it the right column?",
            see=see,
        )
    for split, summary in summaries.items():
        unseen = sorted(set(summary.labels) - set(known))
        if unseen:
            count = sum(summary.labels[label] for label in unseen)
            raise DataError(
                f"{told(unseen)}: {count:,} examples of the {split} split of {name} have a label "
                "that the training split does not have.",
                set_in=where(split, summary.first[unseen[0]]),
                valid=told(sorted(known), 12),
                see=see,
            )


def without_overlap(rows: Mapping[str, Rows]) -> tuple[dict[str, list[int]], list[str]]:
    """Finds what to keep so that no text is in two splits; the test split stays untouched.

    Returns:
      The numbers of the rows to keep by split, and a note for each split that loses some.
    """
    kept: dict[str, list[int]] = {}
    notes = []
    later: set[str] = set()
    for split in reversed(SPLITS):
        if split in rows:
            texts = rows[split][0]
            kept[split] = [number for number, text in enumerate(texts) if text not in later]
            dropped = len(texts) - len(kept[split])
            if dropped:
                held = "validation or test" if split == "train" else "test"
                notes.append(f"{dropped:,} rows of {split} dropped: their text is also in {held}")
            later.update(texts)
    if not kept["train"] and rows["train"][0]:
        raise DataError(
            "every training text is also in the validation or the test split.",
            valid="other files for them, or none: then they are taken from the training file",
        )
    return kept, notes


class Source:
    """Texts with labels, in splits. Subclasses say how to walk through a split.

    Args:
      name: for a person.
      splits: "train", and "validation" and "test" where there are.
      notes: lines for a person: where columns were found, what was dropped, how it was split.
    """

    def __init__(self, name: str, splits: Sequence[str], notes: Sequence[str] = ()):
        self.name, self.notes = name, tuple(notes)
        self.splits = tuple(split for split in SPLITS if split in splits)

    def rows(self, split: str) -> Iterator[tuple[str, str]]:
        """Yields the text and the label of each example, in the order of `dataset`."""
        raise NotImplementedError

    def dataset(self, split: str) -> tf.data.Dataset:
        """Returns a dataset of {"text", "label"}, scalar strings, always in the same order."""
        raise NotImplementedError

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        """Returns further columns by name, a value for each example: the report's slices."""
        return {}

    @functools.cached_property
    def summaries(self) -> dict[str, Summary]:
        """What each split holds; made by one pass, when it is first asked for."""
        return {split: summarize(self.rows(split)) for split in self.splits}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the training split, sorted."""
        return tuple(sorted(self.summaries["train"].labels))

    def size(self, split: str) -> int:
        """Returns the number of examples of a split."""
        return self._summary(split).size

    def label_counts(self, split: str) -> dict[str, int]:
        """Returns how many examples of each label a split holds, the labels sorted."""
        return dict(sorted(self._summary(split).labels.items()))

    def fingerprint(self) -> str:
        """Returns a SHA-256 over the splits, their texts, labels and columns, in their order."""
        parts = [f"{split}:{summary.digest}" for split, summary in self.summaries.items()]
        for split in self.splits:
            for name, values in self.columns(split).items():
                digest = summarize(zip(values, [""] * len(values), strict=True)).digest
                parts.append(f"{split}.{name}:{digest}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def _summary(self, split: str) -> Summary:
        if split not in self.summaries:
            raise DataError(f"{self.name} has no split {split!r}.", valid=", ".join(self.summaries))
        return self.summaries[split]


class MemorySource(Source):
    """A source whose texts and labels are lists.

    Args:
      name, notes: as in `Source`.
      rows: texts, labels and the further columns by split.
      where, see: as in `validate`.
      columns: names of the further columns.

    Raises:
      DataError: no run could learn from it (see `validate`).
    """

    def __init__(
        self,
        name: str,
        rows: Mapping[str, Rows],
        notes: Sequence[str] = (),
        where: Callable[[str, int], str] | None = None,
        see: str = SEE,
        columns: Sequence[str] = (),
    ):
        super().__init__(name, tuple(rows), notes)
        self._columns = tuple(columns)
        self._rows = {split: rows[split] for split in self.splits}
        validate(name, self.summaries, where, see)

    def rows(self, split: str) -> Iterator[tuple[str, str]]:
        texts, labels, *_ = self._rows[split]
        return zip(texts, labels, strict=True)

    def columns(self, split: str) -> Mapping[str, Sequence[str]]:
        self._summary(split)
        return dict(zip(self._columns, self._rows[split][2:], strict=True))

    def dataset(self, split: str) -> tf.data.Dataset:
        import tensorflow as tf

        self._summary(split)
        texts, labels, *_ = self._rows[split]
        columns = {"text": tf.constant(list(texts)), "label": tf.constant(list(labels))}
        return tf.data.Dataset.from_tensor_slices(columns)


def take(rows: Rows, numbers: Sequence[int]) -> Rows:
    """Returns the rows of these numbers."""
    return tuple([column[number] for number in numbers] for column in rows)
