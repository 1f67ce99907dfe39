"""Builders of TensorFlow Datasets for tasks other than one text with one label: held in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfft.data.sources.base import MemorySource, Source
from tfft.data.sources.conll import tagged_words
from tfft.data.sources.memory import memory
from tfft.data.splits import Rows, complete
from tfft.errors import DataError, near

SEE = "tfft list"


def values(
    builder: Any,
    origins: Mapping[str, str],
    text: str | Sequence[str],
    label: str,
    classes: bool,
    shares: Mapping[str, float],
    group: str | None = None,
) -> MemorySource:
    """Returns a source of features of any kind.

    Numbers of a ClassLabel become its names. Lists and dicts become JSON; but a feature of words
    and one of tags become a text and its spans, as `conll` makes them.

    Args:
      builder: prepared.
      origins: the builder's name of each split that it has.
      text: the names of the features that are the inputs, one or several.
      label: that of the answer.
      classes: whether the answers are labels.
      shares: of the validation and the test split, for one that the builder lacks.
      group: the name of a feature whose equal values stay in the same split.

    Raises:
      DataError: there is no such feature, or data that no run could learn from.
    """
    inputs = ("text",) if isinstance(text, str) else tuple(text)
    names = [*((text,) if isinstance(text, str) else text), label]
    features = builder.info.features
    names += [group] if group else []
    for name in names:
        if name not in features:
            raise DataError(
                f"{builder.info.full_name} has no feature {name!r}.",
                set_in=f"tfds.text={text!r}, tfds.label={label!r}",
                valid=near(name, features, 12),
                see=SEE,
            )
    readers = {each: _reader(features[each]) for each in names}
    rows: dict[str, Rows] = {}
    notes = [
        f"{builder.info.full_name}: inputs in {', '.join(map(repr, names[: len(inputs)]))}, "
        f"answer in {label!r}"
    ]
    for split, origin in origins.items():
        columns, unlabelled = _columns(builder, origin, readers, len(inputs), classes)
        if unlabelled:
            notes.append(f"{unlabelled:,} examples of {split} have no label and are left out")
        if columns[0] or not unlabelled:
            rows[split] = columns
    name = str(builder.info.full_name)
    kind: Any = {"inputs": len(inputs), "classes": classes}
    number = len(inputs) + 1 if group else None
    rows, made = complete(name, rows, shares, group=number, group_name=group or "", **kind)
    kind |= {"inputs": inputs, "columns": names[len(inputs) + 1 :]}
    if number is not None:
        kind["groups"] = {split: part[number] for split, part in rows.items()}
    return MemorySource(name, rows, [*notes, *made], see=SEE, **kind)


def of_dataset(dataset: Any, text: str | Sequence[str], label: str, **settings: Any) -> Source:
    """Returns the source of a `tf.data.Dataset`."""
    inputs = {"text": text} if isinstance(text, str) else {name: name for name in text}
    group = settings["group"]
    columns = {**inputs, "label": label, **({group: group} if group else {})}
    names = dataset.element_spec if isinstance(dataset.element_spec, dict) else {}
    for name in columns.values():
        if name not in names:
            raise DataError(
                f"the dataset has no feature {name!r}.",
                set_in="tfds.text, tfds.label, tfds.group",
                valid=near(name, list(names), 12) if names else "elements that are dicts",
                see=SEE,
            )
    elements = dataset.map(lambda row: {name: row[column] for name, column in columns.items()})
    return memory(elements, inputs=tuple(inputs), **settings)


def _columns(
    builder: Any,
    origin: str,
    readers: Mapping[str, Callable[[Any], Any]],
    inputs: int,
    classes: bool,
) -> tuple[Rows, int]:
    """Returns the columns of a builder's split, and how many examples without a label it has."""
    columns: list[list[str]] = [[] for _ in readers]
    unlabelled = 0
    dataset = builder.as_dataset(split=origin, shuffle_files=False)
    for number, row in enumerate(dataset.as_numpy_iterator(), 1):
        where = f"example {number:,} of {origin}"
        try:
            read = [reader(row[name]) for name, reader in readers.items()]
        except DataError as error:
            error.set_in, error.see = where, SEE
            raise
        tagged = _tagged(read[:2], where) if inputs == 1 and not classes else None
        values = [*(tagged or map(_told, read[: inputs + 1])), *map(_told, read[inputs + 1 :])]
        if classes and not values[inputs]:
            unlabelled += 1
            continue
        for column, value in zip(columns, values, strict=True):
            column.append(value)
    return tuple(columns), unlabelled


def _reader(feature: Any) -> Callable[[Any], Any]:
    """Returns what makes a plain value of a feature's array."""
    import tensorflow_datasets as catalogue

    kinds = catalogue.features
    if isinstance(feature, kinds.ClassLabel):
        return lambda value: _class_name(feature, int(value))
    if isinstance(feature, kinds.FeaturesDict):
        fields = {name: _reader(inner) for name, inner in feature.items()}
        return lambda value: {name: one(value[name]) for name, one in fields.items()}
    if isinstance(feature, kinds.Sequence):
        if isinstance(feature.feature, kinds.FeaturesDict):  # a dict of lists
            lists = {name: _reader(inner) for name, inner in feature.feature.items()}
            return lambda value: {n: [one(each) for each in value[n]] for n, one in lists.items()}
        inner = _reader(feature.feature)
        return lambda value: [inner(each) for each in value]
    return _plain


def _class_name(feature: Any, number: int) -> str:
    """Returns the name of a ClassLabel's number, "" for -1, which stands for no label."""
    if number == -1:
        return ""
    if not 0 <= number < feature.num_classes:
        raise DataError(
            f"the label {number} has no name.",
            valid=f"0 to {feature.num_classes - 1}, or -1 for no label",
        )
    return str(feature.int2str(number))


def _plain(value: Any) -> Any:
    value = getattr(value, "tolist", lambda: value)()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _told(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _tagged(read: Sequence[Any], where: str) -> tuple[str, str] | None:
    """Returns a text and its spans where an example is words and their tags."""
    words, tags = read
    lists = isinstance(words, list) and isinstance(tags, list)
    if not lists or not all(isinstance(each, str) for each in [*words, *tags]):
        return None
    return tagged_words(words, tags, where)
