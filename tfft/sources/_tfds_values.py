"""Builders of TensorFlow Datasets for tasks other than one text with one label: held in memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfft.errors import DataError, near
from tfft.sources import MemorySource, Rows, completed
from tfft.sources.conll import tagged_words

SEE = "tfft list"


def values(
    builder: Any,
    origins: Mapping[str, str],
    text: str | Sequence[str],
    label: str,
    classes: bool,
    shares: Mapping[str, float],
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

    Raises:
      DataError: there is no such feature, or data that no run could learn from.
    """
    inputs = ("text",) if isinstance(text, str) else tuple(text)
    names = [*((text,) if isinstance(text, str) else text), label]
    features = builder.info.features
    for name in names:
        if name not in features:
            raise DataError(
                f"{builder.info.full_name} has no feature {name!r}.",
                set_in=f"tfds.text={text!r}, tfds.label={label!r}",
                valid=near(name, features, 12),
                see=SEE,
            )
    readers = [_reader(features[name]) for name in names]
    rows: dict[str, Rows] = {}
    for split, origin in origins.items():
        found: list[list[str]] = [[] for _ in names]
        dataset = builder.as_dataset(split=origin, shuffle_files=False)
        for number, row in enumerate(dataset.as_numpy_iterator(), 1):
            where = f"example {number:,} of {origin}"
            try:
                read = [one(row[name]) for one, name in zip(readers, names, strict=True)]
            except DataError as error:
                error.set_in, error.see = where, SEE
                raise
            told = _tagged(read, where) if len(read) == 2 and not classes else None
            for column, value in zip(found, told or map(_told, read), strict=True):
                column.append(value)
        rows[split] = tuple(found)
    name = str(builder.info.full_name)
    rows, notes = completed(name, rows, shares, inputs=len(inputs), classes=classes)
    given = f"{name}: inputs in {', '.join(map(repr, names[:-1]))}, answer in {label!r}"
    return MemorySource(name, rows, [given, *notes], see=SEE, inputs=inputs, classes=classes)


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
