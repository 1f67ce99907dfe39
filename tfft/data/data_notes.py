"""Notes on data that are worth knowing before training."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.splits import label_lists, told

NUMBER = re.compile(r"([+-]?)(\d+)(\.\d*)?")
MAX_TEXT = 80  # characters of an example in a note
MAX_COMPARED = 5_000_000  # examples whose inputs are compared, which takes 64 bytes each


def data_notes(source: Any) -> list[str]:
    """Returns notes on labels without examples, similar labels, and texts with several labels.

    They follow from the summaries of the splits, so that a stream is checked without being held in
    memory: 12 bytes an example are kept of it.

    Args:
      source: with labels, or with lists of labels in JSON as answers; others have no notes.
    """
    counts = {split: _counts(each.labels, source.classes) for split, each in _summaries(source)}
    if any(each is None for each in counts.values()):
        return []
    found: Any = counts
    return [*_missing(found), *_similar(found), *(_conflicts(source) if source.classes else ())]


def _summaries(source: Any) -> list[tuple[str, Any]]:
    return [(split, source.summaries[split]) for split in source.splits]


def _counts(answers: Mapping[str, int], classes: bool) -> Mapping[str, int] | None:
    """Returns the number of examples of each label, None if the answers are no labels."""
    if classes:
        return answers
    lists = label_lists(list(answers))
    if lists is None:
        return None
    counts: collections.Counter[str] = collections.Counter()
    for labels, count in zip(lists, answers.values(), strict=True):
        counts.update(dict.fromkeys(labels, count))
    return counts


def _missing(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns a note for each split that has no example of some labels."""
    train = counts["train"]
    notes = []
    for split in counts:
        missing = sorted(set(train) - set(counts[split]), key=lambda label: (train[label], label))
        if missing:
            labels = _listed(missing, train, " in train")
            notes.append(f"the {split} split has no example of {labels}: support 0 in its figures")
    return notes


def _similar(counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Returns a note on labels that differ only in case, spaces or how a number is written."""
    totals: collections.Counter[str] = collections.Counter()
    for each in counts.values():
        totals.update(each)
    groups: dict[str, list[str]] = {}
    for label in sorted(totals):
        groups.setdefault(_plain(label), []).append(label)
    similar = [labels for labels in groups.values() if len(labels) > 1]
    if not similar:
        return []
    shown = "; ".join(_listed(labels, totals) for labels in similar[:3])
    more = f"; and {len(similar) - 3:,} more" if len(similar) > 3 else ""
    what = "only in case, spaces or how a number is written"
    return [f"labels that differ {what} are different labels: {shown}{more}"]


def _plain(label: str) -> str:
    """Returns a label without case, spaces and, of a number, the zeros that change nothing."""
    plain = "".join(label.split()).casefold()
    number = NUMBER.fullmatch(plain)
    if not number:
        return plain
    sign, whole, rest = number.groups()
    return f"{sign.strip('+')}{whole.lstrip('0') or '0'}{(rest or '').rstrip('0').rstrip('.')}"


def _listed(
    labels: Sequence[str], counts: Mapping[str, int], where: str = "", most: int = 8
) -> str:
    parts = [f"{label!r} ({counts[label]:,}{where})" for label in labels[:most]]
    more = f" and {len(labels) - most:,} more" if len(labels) > most else ""
    return ", ".join(parts) + more


def _conflicts(source: Any) -> list[str]:
    """Returns a note on equal inputs with different labels, with an example."""
    summaries = _summaries(source)
    size = sum(each.size for _, each in summaries)
    if size > MAX_COMPARED:
        return [
            f"equal {source.modality}s with different labels are not looked for: {size:,} rows are "
            f"more than {MAX_COMPARED:,}"
        ]
    texts = np.concatenate([each.texts for _, each in summaries])
    names = sorted({label for _, each in summaries for label in each.labels})
    numbers = {name: number for number, name in enumerate(names)}
    codes = np.concatenate([_recoded(each, numbers) for _, each in summaries])
    _, first, of_rows = np.unique(texts, return_index=True, return_inverse=True)
    several = np.zeros(len(first), bool)
    several[of_rows[codes != codes[first][of_rows]]] = True
    if not several.any():
        return []
    example = int(first[several].min())
    rows = np.flatnonzero(of_rows == of_rows[example])
    text = next(itertools.islice(_texts(source), example, None))
    shown = text[:MAX_TEXT] + ("…" if len(text) > MAX_TEXT else "")
    labels = told([names[code] for code in np.unique(codes[rows])])
    count, total = int(several.sum()), int(several[of_rows].sum())
    what = f"{source.modality}s are" if count > 1 else f"{source.modality} is"
    return [
        f"{count:,} {what} in {total:,} rows with different labels, such as {shown!r} with {labels}"
    ]


def _recoded(summary: Any, numbers: Mapping[str, int]) -> np.ndarray:
    """Returns the number of each example's label, by the numbers of all splits' labels."""
    return np.array([numbers[label] for label in summary.labels], np.int64)[summary.codes]


def _texts(source: Any) -> Iterable[str]:
    for split in source.splits:
        for row in source.rows(split):
            yield " | ".join(row[:-1])
