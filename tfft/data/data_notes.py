"""Notes on data that are worth knowing before training."""

from __future__ import annotations

import collections
import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.splits import label_lists, told
from tfft.metrics.classification import label_answers

NUMBER = re.compile(r"([+-]?)(\d+)(\.\d*)?")
MAX_TEXT = 80  # characters of an example in a note
MAX_COMPARED = 5_000_000  # examples whose inputs are compared, which takes 64 bytes each


def data_notes(source: Any) -> list[str]:
    """Returns notes on labels without examples, similar labels, and texts with several labels.

    They follow from the summaries of the splits, so that a stream is checked without all of it in
    memory: 12 bytes an example are stored.

    Args:
      source: with labels, or with lists of labels in JSON as answers; others have no notes.
    """
    counts: dict[str, Mapping[str, int]] = {}
    for split in source.splits:
        counts[split] = source.summaries[split].labels
        if not source.classes:
            lists = label_lists(list(counts[split]))
            if lists is None:
                return []
            counts[split] = label_answers.counts(lists, list(counts[split].values()))
    return [*_missing(counts), *_similar(counts), *(_conflicts(source) if source.classes else ())]


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
    totals = sum(map(collections.Counter, counts.values()), collections.Counter())
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for label in sorted(totals):
        groups[_plain(label)].append(label)
    similar = [labels for labels in groups.values() if len(labels) > 1]
    if not similar:
        return []
    examples = "; ".join(_listed(labels, totals) for labels in similar[:3])
    more = f"; and {len(similar) - 3:,} more" if len(similar) > 3 else ""
    what = "only in case, spaces or how a number is written"
    return [f"labels that differ {what} are different labels: {examples}{more}"]


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
    summaries = [source.summaries[split] for split in source.splits]
    size = sum(each.size for each in summaries)
    if size > MAX_COMPARED:
        return [
            f"equal {source.modality}s with different labels are not looked for: {size:,} rows are "
            f"more than {MAX_COMPARED:,}"
        ]
    texts = np.concatenate([each.texts for each in summaries])
    names = sorted({label for each in summaries for label in each.labels})
    numbers = {name: number for number, name in enumerate(names)}
    own = [np.array([numbers[label] for label in each.labels], np.int64) for each in summaries]
    codes = np.concatenate([of[each.codes] for of, each in zip(own, summaries, strict=True)])
    _, first, of_rows = np.unique(texts, return_index=True, return_inverse=True)
    several = np.zeros(len(first), bool)
    several[of_rows[codes != codes[first][of_rows]]] = True
    if not several.any():
        return []
    example = int(first[several].min())
    rows = np.flatnonzero(of_rows == of_rows[example])
    rows_of_all = itertools.chain.from_iterable(map(source.rows, source.splits))
    text = " | ".join(next(itertools.islice(rows_of_all, example, None))[:-1])
    quoted = text[:MAX_TEXT] + ("…" if len(text) > MAX_TEXT else "")
    labels = told([names[code] for code in np.unique(codes[rows])])
    count, total = int(several.sum()), int(several[of_rows].sum())
    inputs = f"{count:,} {source.modality}s are" if count > 1 else f"1 {source.modality} is"
    return [f"{inputs} in {total:,} rows with different labels, such as {quoted!r} with {labels}"]
