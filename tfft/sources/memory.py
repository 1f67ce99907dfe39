"""Examples that are in memory, or in a `tf.data` pipeline of a person's own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from tfft.errors import DataError
from tfft.sources import MemorySource, Rows, Source, complete

SEE = "tfft list"
OWN = "splits of your own: memory(train, validation, test)"
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
    inputs: Sequence[str] = ("text",),
    classes: bool = True,
    group: str | None = None,
) -> Source:
    """Returns a source of examples that are at hand; a dataset is read into memory, once.

    Args:
      train, validation, test: a `tf.data.Dataset` or a list, not batched; elements are
        {"text", "label"} or (text, label), with each of several inputs in place of the text.
      label_names: names of integer labels.
      columns: further keys of the elements, in whose values the report slices the evaluated texts.
      validation_share, test_share: of `train`, when only `train` is given; stratified by label,
        equal texts together.
      inputs: keys of the elements' inputs.
      classes: whether the answers are labels. False takes any: numbers, and lists and dicts, which
        a task reads as JSON, as inputs too.
      group: a key of the elements whose equal values stay in the same split, such as the document
        that an example is from. It is one of `columns` too, unless it is one of `inputs`.

    Raises:
      DataError: an element that is no text with a label, or data that no run could learn from.
    """
    given = {"train": train, "validation": validation, "test": test}
    named = [group] if group and group not in inputs else []
    columns = tuple(dict.fromkeys([*columns, *named]))
    rows = {
        split: _rows(part, split, tuple(inputs), label_names if classes else (), columns)
        for split, part in given.items()
        if part is not None
    }
    number = (*inputs, "label", *columns).index(group) if group else None
    kind: Any = {"inputs": len(inputs), "classes": classes}
    shares = {"validation": validation_share, "test": test_share} if len(rows) == 1 else {}
    of_group: Any = {"group": number, "group_name": group or "", "own": OWN, "see": SEE}
    rows, notes = complete("memory", rows, shares, **of_group, **kind)
    if number is not None:
        kind["groups"] = {split: part[number] for split, part in rows.items()}
    kind |= {"columns": columns, "inputs": tuple(inputs)}
    return MemorySource("memory", rows, notes, see=SEE, **kind)


def _rows(
    elements: Any,
    split: str,
    inputs: tuple[str, ...],
    label_names: Sequence[str] | None,
    columns: Sequence[str],
) -> Rows:
    if isinstance(elements, (str, bytes, dict)) or not isinstance(elements, Iterable):
        raise DataError(
            f"memory() got {type(elements).__name__} for {split}.", valid=VALID, see=SEE
        )
    iterate = getattr(elements, "as_numpy_iterator", elements.__iter__)
    rows: list[list[str]] = [[] for _ in (*inputs, "label", *columns)]
    for number, element in enumerate(iterate(), 1):
        where = f"example {number:,} of {split}"
        *texts, answer = _parts(element, inputs, where)
        lists = label_names is not None and not len(label_names)
        found = [_json(text) if lists else text for text in texts]
        found = [_text(text, where) for text in found]
        found.append(_label(answer, label_names, where))
        found += [_value(element, name, where) for name in columns]
        for column, value in zip(rows, found, strict=True):
            column.append(value)
    return tuple(rows)


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


def _parts(element: Any, inputs: tuple[str, ...], where: str) -> tuple[Any, ...]:
    """Returns an element's inputs and its answer."""
    names = (*inputs, "label")
    try:
        parts = [element[name] for name in names] if isinstance(element, dict) else [*element]
        if len(parts) != len(names):
            raise ValueError(f"{len(parts)} parts")
    except (KeyError, TypeError, ValueError) as error:
        shown = str(sorted(element) if isinstance(element, dict) else element)[:80]
        told = " and ".join((", ".join(inputs), "label"))
        raise DataError(
            f"an element has no {told}: {shown}",
            set_in=where,
            valid=VALID if inputs == ("text",) else f"a dict with {told}, or a tuple of them",
            see=SEE,
        ) from error
    if any(getattr(part, "ndim", 0) for part in parts[:-1]) or (
        inputs == ("text",) and isinstance(parts[0], (list, tuple))
    ):
        raise DataError(
            "the dataset is batched.",
            set_in=where,
            valid="one example an element: dataset.unbatch()",
            see=SEE,
        )
    return tuple(parts)


def _json(value: Any) -> Any:
    """Returns a list or a dict as JSON, anything else as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


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
    """Returns an answer as a string; an integer is a place in `names` when there are names.

    No names at all, (), means that the answers are no labels.
    """
    if isinstance(value, (str, bytes)):
        label = _text(value, where)
    elif names is not None and not len(names):
        label = json.dumps(getattr(value, "tolist", lambda: value)(), ensure_ascii=False)
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
