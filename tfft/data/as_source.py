"""Makes a source of a path or of Python data that `tfft.train` gets in place of one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.argument_checks.validated import shown
from tfft.data.inputs import Input, names_of
from tfft.data.python_examples import VALID, parts_of, rows_of
from tfft.data.python_values import read_label
from tfft.data.sources.base import Source
from tfft.data.sources.files import files
from tfft.data.sources.images import ImageSource, images, of_rows
from tfft.data.sources.memory import memory
from tfft.data.splits import SPLITS
from tfft.errors import DataError

SHARES = {"validation": 0.1, "test": 0.1}


def as_source(data: Any, task: Any) -> Source:
    """Returns a source for a task.

    Args:
      data: a Source; the path of a file or folder, see `files` and `images`; examples as `memory`
        takes them; or a dict of them by split: "train", "validation", "test".
      task: with the inputs, and whether the answers are labels.

    Raises:
      DataError: it is something else, or no run could learn from it.
    """
    source = _opened(data, task)
    files = [place for place, each in enumerate(task.inputs) if each.holds_files]
    if files and not isinstance(source, ImageSource):
        source.identify_files(files)
    return source


def _opened(data: Any, task: Any) -> Source:
    if isinstance(data, Source):
        return data
    if isinstance(data, str | os.PathLike):
        return _file(os.fspath(data), task)
    if data is None or callable(data):
        raise DataError(
            f"train.source must be a source or data. Received: source={shown(data)}.",
            set_in="train.source",
            valid=f"a source, such as tfft.sources.files.files(PATH); a path; {VALID}",
        )
    by_split = isinstance(data, Mapping) and bool(data) and set(data) <= set(SPLITS)
    splits = dict(data) if by_split else {"train": data}
    classes, inputs = task.target.are_classes, names_of(task.inputs)
    if _is_image(task) and classes:
        return _images(splits, task.inputs)
    if classes is None:  # no answers are needed: texts alone are examples
        for split, part in splits.items():
            if isinstance(part, list) and all(isinstance(each, str | bytes) for each in part):
                splits[split] = [(text, text) for text in part]
    if any(each.modality != "text" for each in task.inputs):
        splits = {split: list(_read(part, split, task.inputs)) for split, part in splits.items()}
    source = memory(**splits, inputs=inputs, classes=bool(classes))
    source.modality = task.inputs[0].modality
    return source


def _file(path: str, task: Any) -> Source:
    if _is_image(task):
        return images(path)
    text = names_of(task.inputs) if len(task.inputs) > 1 else None
    return files(path, text=text, classes=bool(task.target.are_classes))


def _is_image(task: Any) -> bool:
    return [each.modality for each in task.inputs] == ["image"]


def _read(elements: Any, split: str, inputs: Sequence[Input]) -> Iterator[tuple[Any, ...]]:
    """Yields examples whose inputs are as a source holds them, with their answers."""
    names = names_of(inputs)
    for number, element in enumerate(rows_of(elements, names, split), 1):
        where = f"example {number:,} of {split}"
        *values, answer = parts_of(element, names, where)
        pairs = zip(inputs, values, strict=True)
        yield *(each.read(value, where, structured=False) for each, value in pairs), answer


def _images(splits: Mapping[str, Any], inputs: Sequence[Input]) -> Source:
    """Returns a source of images and labels that are in memory."""
    rows: dict[str, tuple[list[str], list[str]]] = {split: ([], []) for split in splits}
    for split, (values, labels) in rows.items():
        for number, (image, label) in enumerate(_read(splits[split], split, inputs), 1):
            values.append(image)
            labels.append(read_label(label, None, f"example {number:,} of {split}"))
    return of_rows("memory", rows, [], SHARES if len(rows) == 1 else {})
