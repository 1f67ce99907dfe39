"""Where examples come from: named features, their splits, and what a person should know of them."""

from __future__ import annotations

import collections
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfft.errors import DataError

Rows = tuple[Sequence[str], Sequence[str]]  # texts and labels


def share_of(text: str) -> float:
    """Returns a number in [0, 1) that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def split_of(text: str, validation_share: float, test_share: float) -> str:
    """Returns the split that a text belongs to, by its hash: the same text, the same split."""
    place = share_of(text)
    if place < test_share:
        return "test"
    return "validation" if place < test_share + validation_share else "train"


def split_by_hash(
    texts: Iterable[str], labels: Iterable[str], validation_share: float, test_share: float
) -> dict[str, Rows]:
    """Returns rows by split; an empty split is left out."""
    found: dict[str, tuple[list[str], list[str]]] = {
        name: ([], []) for name in ("train", "validation", "test")
    }
    for text, label in zip(texts, labels, strict=True):
        rows = found[split_of(text, validation_share, test_share)]
        rows[0].append(text)
        rows[1].append(label)
    return {name: rows for name, rows in found.items() if rows[0]}


class Source:
    """Texts with labels, in splits, in memory.

    Args:
      name: for a person.
      rows: texts and labels of each split; "train" is needed.
      notes: lines for a person: where columns were found, what was dropped, how it was split.

    Raises:
      DataError: no run could learn from it: an empty text, one class, a label seen only in
        evaluation.
    """

    def __init__(self, name: str, rows: Mapping[str, Rows], notes: Sequence[str] = ()):
        self.name, self.notes = name, tuple(notes)
        self._rows = {split: (list(texts), list(labels)) for split, (texts, labels) in rows.items()}
        _validate(name, self._rows)

    @property
    def splits(self) -> tuple[str, ...]:
        return tuple(self._rows)

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels of the training split, sorted."""
        return tuple(sorted(set(self._rows["train"][1])))

    def size(self, split: str) -> int:
        return len(self._rows[split][0])

    def label_counts(self, split: str) -> dict[str, int]:
        return dict(collections.Counter(self._rows[split][1]))

    def dataset(self, split: str) -> Any:
        """Returns a `tf.data.Dataset` of {"text", "label"}, scalar strings."""
        import tensorflow as tf

        texts, labels = self._rows[split]
        return tf.data.Dataset.from_tensor_slices({"text": texts, "label": labels})

    def fingerprint(self) -> str:
        """Returns a SHA-256 over all splits, texts and labels in their order."""
        digest = hashlib.sha256()
        for split, (texts, labels) in self._rows.items():
            digest.update(f"\x1e{split}".encode())
            for text, label in zip(texts, labels, strict=True):
                digest.update(f"\x1f{text}\x1f{label}".encode())
        return digest.hexdigest()


def _validate(name: str, rows: Mapping[str, Rows]) -> None:
    if not rows.get("train", ((), ()))[0]:
        raise DataError(f"{name} has no training examples.", valid="two or more, of two classes")
    known = set(rows["train"][1])
    for split, (texts, labels) in rows.items():
        empty = [number for number, text in enumerate(texts, 1) if not text.strip()]
        if empty:
            raise DataError(
                f"{len(empty):,} texts of the {split} split of {name} are empty, "
                f"the first as number {empty[0]:,}.",
                valid="a text in every row",
            )
        unseen = sorted(set(labels) - known)
        if unseen:
            raise DataError(
                f"the label {unseen[0]!r} of the {split} split is not in the training split.",
                set_in=name,
                valid=f"one of {', '.join(sorted(known)[:12])}",
            )
    if len(known) < 2:
        raise DataError(
            f"{name} has one class only: {', '.join(known)}.",
            valid="two classes or more in the training split",
            see="tfft check --gin_file=quick/text.gin --gin.DATA=FILE --gin.LABEL=COLUMN",
        )
