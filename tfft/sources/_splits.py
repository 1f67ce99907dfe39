"""Which split an example belongs to, where nobody said so: a hash of its text decides.

The same text is always in the same split, on every machine.
"""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.errors import DataError

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {  # what files and builders call them
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test",),
}
Rows = tuple[Sequence[str], ...]  # inputs, answers, and further columns
SEE = "tfft check --gin_file=quick/text.gin --gin.DATA=FILE --gin.TEXT=COLUMN --gin.LABEL=COLUMN"


def told(labels: Sequence[str], most: int = 8) -> str:
    """Returns labels as text, the first few of them when there are many."""
    rest = f" and {len(labels) - most} more" if len(labels) > most else ""
    return ", ".join(repr(label) for label in labels[:most]) + rest


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
    name: str,
    rows: Rows,
    validation_share: float,
    test_share: float,
    *,
    inputs: int = 1,
    classes: bool = True,
    by: Sequence[str] | None = None,
) -> dict[str, Rows]:
    """Returns rows by split. A share of 0 makes no split.

    Args:
      name: of the source.
      rows: inputs, answers, further columns.
      inputs: how many of the columns are inputs; the answers are behind them.
      classes: whether the answers are labels, so that each split must have all of them.
      by: a value for each row whose hash decides, such as the document that it is from; None for
        the inputs themselves.

    Raises:
      DataError: shares that leave nothing to train on, or so few examples that a split would be
        empty or without one of the labels.
    """
    shares = {"train": 1.0, "validation": validation_share, "test": test_share}
    check_shares(validation_share, test_share)
    found: dict[str, tuple[list[str], ...]] = {
        split: tuple([] for _ in rows) for split in SPLITS if shares[split]
    }
    keys = by or ["\0".join(row) for row in zip(*rows[:inputs], strict=True)]
    for key, row in zip(keys, zip(*rows, strict=True), strict=True):
        part = found[split_of(key, validation_share, test_share)]
        for column, value in zip(part, row, strict=True):
            column.append(value)
    counts = {
        split: collections.Counter(part[inputs] if classes else ["any"] * len(part[0]))
        for split, part in found.items()
    }
    refuse_small(name, counts)
    return dict(found)


def completed(
    name: str,
    rows: Mapping[str, Rows],
    shares: Mapping[str, float],
    by_name: str = "the text",
    **settings: Any,
) -> tuple[dict[str, Rows], list[str]]:
    """Takes the splits that nobody gave from the training split, by a hash.

    Args:
      name: of the source.
      rows: of the splits that there are.
      shares: of the validation and the test split; 0 for none.
      by_name: what is hashed, for a person.
      settings: `inputs`, `classes` and `by` of `split_by_hash`.

    Returns:
      All splits, and a note where some were made.
    """
    lacking = {split: share for split, share in shares.items() if split not in rows and share}
    if not lacking:
        return dict(rows), []
    made = [lacking.get(split, 0.0) for split in ("validation", "test")]
    split = split_by_hash(name, rows["train"], *made, **settings)
    return {**rows, **split}, [shares_told(lacking, by_name)]


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


def shares_told(shares: Mapping[str, float], by: str = "the text") -> str:
    """Returns the note about splits that were made."""
    parts = ", ".join(f"{share:.0%} {split}" for split, share in shares.items())
    return f"split by a hash of {by}, taken from train: {parts}"


def without_overlap(
    rows: Mapping[str, Rows], inputs: int = 1
) -> tuple[dict[str, list[int]], list[str]]:
    """Finds what to keep so that no example's inputs are in two splits; test stays untouched.

    Returns:
      The numbers of the rows to keep by split, and a note for each split that loses some.
    """
    kept: dict[str, list[int]] = {}
    notes = []
    later: set[tuple[str, ...]] = set()
    what = "text" if inputs == 1 else "texts"
    for split in reversed(SPLITS):
        if split in rows:
            keys = list(zip(*rows[split][:inputs], strict=True))
            kept[split] = [number for number, key in enumerate(keys) if key not in later]
            dropped = len(keys) - len(kept[split])
            if dropped:
                held = "validation or test" if split == "train" else "test"
                verb = "is" if inputs == 1 else "are"
                notes.append(
                    f"{dropped:,} rows of {split} dropped: their {what} {verb} also in {held}"
                )
            later.update(keys)
    if not kept["train"] and rows["train"][0]:
        raise DataError(
            "every training text is also in the validation or the test split.",
            valid="other files for them, or none: then they are taken from the training file",
        )
    return kept, notes
