"""Examples that are in memory, or in a `tf.data` pipeline of a person's own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tfft.errors import DataError
from tfft.sources import Rows, Source, split_by_hash


def memory(
    train: Any,
    validation: Any = None,
    test: Any = None,
    *,
    label_names: Sequence[str] | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
) -> Source:
    """Returns a source of examples that are at hand.

    Args:
      train, validation, test: a `tf.data.Dataset` or a list, not batched; elements are
        {"text", "label"} or (text, label).
      label_names: names of integer labels.
      validation_share, test_share: of `train`, by a hash of the text, when only `train` is given.
    """
    given = {"train": train, "validation": validation, "test": test}
    rows = {name: _rows(part, label_names) for name, part in given.items() if part is not None}
    if len(rows) > 1:
        return Source("memory", rows)
    rows = split_by_hash(*rows["train"], validation_share, test_share)
    note = f"split by a hash of the text: {test_share:.0%} test, {validation_share:.0%} validation"
    return Source("memory", rows, [note])


def _rows(elements: Any, label_names: Sequence[str] | None) -> Rows:
    iterate = getattr(elements, "as_numpy_iterator", None)
    texts, labels = [], []
    for element in iterate() if iterate else _checked(elements):
        text, label = _pair(element)
        texts.append(text.decode() if isinstance(text, bytes) else str(text))
        if label_names is not None:
            label = label_names[int(label)]
        labels.append(label.decode() if isinstance(label, bytes) else str(label))
    return texts, labels


def _checked(elements: Any) -> Iterable[Any]:
    if isinstance(elements, (str, bytes)) or not isinstance(elements, Iterable):
        raise DataError(
            f"memory() got {type(elements).__name__}.",
            valid='a tf.data.Dataset or a list of {"text": ..., "label": ...} or (text, label)',
        )
    return elements


def _pair(element: Any) -> tuple[Any, Any]:
    try:
        pair = (element["text"], element["label"]) if isinstance(element, dict) else element
        text, label = pair
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"an element has no text and label: {str(element)[:80]}",
            valid='{"text": ..., "label": ...} or (text, label)',
        ) from error
    if getattr(text, "ndim", 0):
        raise DataError("the dataset is batched.", valid="one example an element: dataset.unbatch()")
    return text, label
