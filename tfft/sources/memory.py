"""Examples that are in memory, or in a `tf.data` pipeline of a person's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tfft.errors import DataError
from tfft.sources import MemorySource, Rows, Source, shares_told, split_by_hash

SEE = "tfft list"
VALID = 'a tf.data.Dataset or a list of {"text": ..., "label": ...} or (text, label)'


def memory(
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    label_names: Sequence[str] | None = None,
    columns: Sequence[str] = (),
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Source:
    """Returns a source of examples that are at hand; a dataset is read into memory, once.

    Args:
      train, validation, test: a `tf.data.Dataset` or a list, not batched; elements are
        {"text", "label"} or (text, label).
      label_names: names of integer labels.
      columns: further keys of the elements, in whose values the report slices the evaluated texts.
      validation_share, test_share: of `train`, by a hash of the text, when only `train` is given.

    Raises:
      DataError: an element that is no text with a label, or data that no run could learn from.
    """
    given = {"train": train, "validation": validation, "test": test}
    rows = {
        split: _rows(part, split, label_names, columns)
        for split, part in given.items()
        if part is not None
    }
    notes = []
    if len(rows) == 1 and rows["train"][0]:
        rows |= split_by_hash("memory", rows["train"], validation_share, test_share)
        shares = {"validation": validation_share, "test": test_share}
        notes.append(shares_told({split: share for split, share in shares.items() if share}))
    return MemorySource("memory", rows, notes, see=SEE, columns=columns)


def _rows(
    elements: Any, split: str, label_names: Sequence[str] | None, columns: Sequence[str]
) -> Rows:
    if isinstance(elements, (str, bytes, dict)) or not isinstance(elements, Iterable):
        raise DataError(
            f"memory() got {type(elements).__name__} for {split}.", valid=VALID, see=SEE
        )
    iterate = getattr(elements, "as_numpy_iterator", elements.__iter__)
    texts, labels = [], []
    others: list[list[str]] = [[] for _ in columns]
    for number, element in enumerate(iterate(), 1):
        where = f"example {number:,} of {split}"
        text, label = _pair(element, where)
        texts.append(_text(text, where))
        labels.append(_label(label, label_names, where))
        for other, name in zip(others, columns, strict=True):
            other.append(_value(element, name, where))
    return (texts, labels, *others)


def _value(element: Any, name: str, where: str) -> str:
    """Returns an element's value of a further column as text."""
    if not isinstance(element, dict) or name not in element:
        raise DataError(
            f"an element has no {name!r}: {str(element)[:80]}",
            set_in=where,
            valid=f"a dict with text, label and {name} in every example",
            see=SEE,
        )
    value = element[name]
    return value.decode() if isinstance(value, bytes) else str(value)


def _pair(element: Any, where: str) -> tuple[Any, Any]:
    try:
        pair = (element["text"], element["label"]) if isinstance(element, dict) else element
        text, label = pair
    except (KeyError, TypeError, ValueError) as error:
        shown = str(sorted(element) if isinstance(element, dict) else element)[:80]
        raise DataError(
            f"an element has no text and label: {shown}", set_in=where, valid=VALID, see=SEE
        ) from error
    if getattr(text, "ndim", 0) or isinstance(text, (list, tuple)):
        raise DataError(
            "the dataset is batched.",
            set_in=where,
            valid="one example an element: dataset.unbatch()",
            see=SEE,
        )
    return text, label


def _text(value: Any, where: str) -> str:
    try:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, str):
            value.encode()
            return value
    except UnicodeError as error:
        raise DataError(
            f"a text is not UTF-8: {error.reason}, at {error.start}.",  # type: ignore[attr-defined]
            set_in=where,
            valid="texts in UTF-8",
            see=SEE,
        ) from error
    raise DataError(
        f"a text is {str(value)[:40]!r}, a {type(value).__name__}.",
        set_in=where,
        valid="a string",
        see=SEE,
    )


def _label(value: Any, names: Sequence[str] | None, where: str) -> str:
    """Returns a label as a string; an integer is a place in `names` when there are names."""
    if isinstance(value, (str, bytes)):
        label = _text(value, where)
    elif names is not None:
        if int(value) != value or not 0 <= value < len(names):
            raise DataError(
                f"label {value} has no name.",
                set_in=where,
                valid=f"0 to {len(names) - 1}, for {len(names)} label_names",
                see=SEE,
            )
        label = names[int(value)]
    else:
        whole = not isinstance(value, bool) and value == value and value == int(value)
        label = str(int(value)) if whole else str(value).lower()
    if not label.strip() or label == "nan":
        raise DataError("an example has no label.", set_in=where, valid="a label", see=SEE)
    return label
