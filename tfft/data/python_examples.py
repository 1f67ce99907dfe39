"""Reads the examples of Python data: datasets, tables, columns, lists and generators."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.argument_checks.validated import shown
from tfft.data.inputs import Input, is_array_of_one, names_of
from tfft.data.python_values import plain, value_error
from tfft.data.splits import SPLITS
from tfft.errors import DataError

VALID = (
    'a tf.data.Dataset, a list of (text, label) or {"text": ..., "label": ...}, a tuple '
    '(texts, labels) of lists or arrays, or {"text": texts, "label": labels}'
)
MAX_EXAMPLES = 10_000_000  # of a split that is read into memory; more of them may never end


def rows_of(elements: Any, inputs: tuple[str, ...], split: str) -> Iterator[Any]:
    """Yields the examples of a split, of any form.

    Args:
      elements: a dataset, a table, columns by name or in a tuple, or an iterable of examples.
      inputs: names of the inputs.
      split: for errors.

    Raises:
      DataError: it holds no examples, or may never end.
    """
    if isinstance(elements, Mapping) and elements and set(elements) <= set(SPLITS):
        problem = f"memory() got a dict of the splits {', '.join(elements)} for {split}."
        raise value_error(problem, valid="memory(**splits)")
    columns = _columns(elements, inputs)
    if columns is not None:
        yield from _rows(columns, split)
        return
    _refuse_others(elements, split)
    if hasattr(elements, "element_spec") and is_infinite(elements):
        raise _endless(split, "is repeated without end")
    iterate = getattr(elements, "as_numpy_iterator", elements.__iter__)
    for number, element in enumerate(iterate()):
        if number == MAX_EXAMPLES:
            raise _endless(split, f"has more than {MAX_EXAMPLES:,} examples")
        yield element


def label_names_of(elements: Any) -> Sequence[str] | None:
    """Returns the names of integer labels that a dataset of Hugging Face knows, else None."""
    features = getattr(elements, "features", None)
    label = features.get("label") if isinstance(features, Mapping) else None
    return getattr(label, "names", None)


def is_infinite(dataset: Any) -> bool:
    """Returns True for a `tf.data.Dataset` that is repeated without end.

    Where the number of elements is unknown, as behind `filter`, the datasets that it is made of
    are checked. The output of a Python generator is unknown and counts as finite.
    """
    count = int(dataset.cardinality())
    if count != -2:  # unknown
        return count == -1
    if "Take" in type(dataset).__name__:  # take and take_while end
        return False
    parts: Sequence[Any] = getattr(dataset, "_inputs", list)()
    every = all if "Zip" in type(dataset).__name__ else any
    return bool(parts) and every(map(is_infinite, parts))


def _endless(split: str, problem: str) -> DataError:
    return value_error(
        f"the dataset for {split} {problem}, and a source reads each example once.",
        set_in=split,
        valid="a dataset without repeat(), or dataset.take(N); Stage.epochs repeats the examples",
    )


def _refuse_others(elements: Any, split: str) -> None:
    valid = VALID
    if isinstance(elements, str | os.PathLike):
        valid = f"for a file: tfft.sources.files.files({os.fspath(elements)!r}). Else {VALID}"
    elif hasattr(elements, "num_batches") and hasattr(elements, "__getitem__"):
        valid = f"its examples rather than its batches: {VALID}"
    elif callable(elements):
        valid = f"what the function returns, with () behind its name. Else {VALID}"
    elif isinstance(elements, Iterable) and not isinstance(elements, bytes | Mapping | set):
        return
    problem = f"memory() got {type(elements).__name__} for {split}."
    raise value_error(problem, valid=valid)


def _columns(elements: Any, inputs: tuple[str, ...]) -> dict[str, Any] | None:
    """Returns columns by name; None for examples one by one."""
    if isinstance(elements, type):
        return None
    if hasattr(elements, "to_pydict"):  # Arrow's tables
        return dict(elements.to_pydict())
    if hasattr(elements, "to_dict") and hasattr(elements, "columns"):  # data frames
        return {str(name): list(elements[name]) for name in elements.columns}
    if isinstance(elements, Mapping):
        columns = all(is_column(each) or isinstance(each, tuple) for each in elements.values())
        return dict(elements) if columns else None
    if not isinstance(elements, tuple) or not elements or len(elements) not in (2, len(inputs) + 1):
        return None
    *first, labels = elements
    if len(elements) == 2 and isinstance(first[0], Mapping):
        first = list(first[0].values()) if set(first[0]) == set(inputs) else [None]
        named = dict(zip(elements[0], first, strict=False))
    else:
        nested = len(elements) == 2 and len(inputs) > 1 and isinstance(first[0], tuple)
        named = dict(zip(inputs, first[0] if nested else first, strict=False))
    named["label"] = labels
    complete = len(named) == len(inputs) + 1 and all(map(is_column, named.values()))
    return named if complete else None


def is_column(value: Any) -> bool:
    """Returns True for a list or an array of values; a tuple is one example."""
    is_tensor = hasattr(value, "numpy") and hasattr(value, "shape")
    axes = len(value.shape) if is_tensor else getattr(value, "ndim", 0)
    return isinstance(value, list) or axes > 0


def _rows(columns: Mapping[str, Any], split: str) -> Iterator[dict[str, Any]]:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{count:,} {name}" for name, count in lengths.items())
        problem = f"the columns of {split} have different lengths: {counts}."
        raise value_error(problem, set_in=split, valid="columns of one length")
    columns = {name: plain(values) for name, values in columns.items()}
    for row in zip(*columns.values(), strict=True):
        yield dict(zip(columns, row, strict=True))


def parts_of(element: Any, inputs: tuple[str, ...], where: str) -> tuple[Any, ...]:
    """Returns an element's inputs and its answer.

    Args:
      element: a dict with the inputs and "label" by name, a tuple of them, or Keras' tuple of the
        inputs, by name or in a tuple, and the label.
      inputs: their names.
      where: the example, for errors.

    Raises:
      DataError: it is something else.
    """
    names, element = (*inputs, "label"), plain(element)
    if isinstance(element, Mapping):
        if all(name in element for name in names):
            return tuple(element[name] for name in names)
    elif isinstance(element, tuple | list | np.ndarray):
        parts = list(element)
        if len(parts) == 2 and isinstance(parts[0], Mapping) and set(inputs) <= set(parts[0]):
            return (*(parts[0][name] for name in inputs), parts[1])
        if len(parts) == 2 < len(names) and isinstance(parts[0], tuple | list):
            parts = [*parts[0], parts[1]]
        if len(parts) == len(names) and not isinstance(parts[0], Mapping):
            return tuple(parts)
    wanted = " and ".join((", ".join(inputs), "label"))
    is_text = isinstance(element, str | bytes)
    received = sorted(map(str, element)) if isinstance(element, Mapping) else element
    single = "; for texts and labels in two lists: memory((texts, labels))" if is_text else ""
    valid = VALID if inputs == ("text",) else f"a dict with {wanted}, or a tuple of them"
    problem = f"an element has no {wanted}: {str(received)[:80]}"
    raise value_error(problem, set_in=where, valid=valid + single)


def read_inputs(values: Sequence[Any], task: Any) -> tuple[list[str], ...]:
    """Returns the examples of a prediction, a list for each of the task's inputs.

    Args:
      values: for each input a list, an array or a tensor of texts or images, or a single one; or a
        table or dict with the inputs as columns.
      task: with its inputs.

    Raises:
      DataError: there are others than the task's, of different numbers, or something that is none.
    """
    names = names_of(task.inputs)
    if len(values) == 1 and not isinstance(values[0], tuple):
        table = _columns(values[0], names)
        values = values if table is None else [table[n] for n in names if n in table]
    if len(values) != len(names):
        raise DataError(
            f"{task.name} reads {len(names)} inputs ({', '.join(names)}). Received: {len(values)}.",
            valid=f"predict({', '.join(f'{name}s' for name in names)}), a list for each",
        )
    structured = not task.target.are_classes and len(names) > 1
    columns = []
    for each, column in zip(task.inputs, values, strict=True):
        rows = enumerate(_examples(column, each), 1)
        where = f"of {each.name}"
        columns.append([each.read(v, f"example {n:,} {where}", structured) for n, v in rows])
    if len({len(column) for column in columns}) > 1:
        counts = ", ".join(f"{len(c):,} {n}" for n, c in zip(names, columns, strict=True))
        problem = f"the inputs have different lengths: {counts}."
        raise DataError(problem, valid="lists of one length")
    return tuple(columns)


def _examples(column: Any, each: Input) -> list[Any]:
    """Returns the values of an input; a single text is an example of its own."""
    column, name, modality = plain(column), each.name, each.modality
    if isinstance(column, str | bytes | os.PathLike):
        return [column]
    if is_array_of_one(column, each):
        raise DataError(
            f"{name} is one array, {list(column.shape)}: a single {modality}.",
            valid=f"a list, such as [{name}]; or an array with one axis more",
        )
    if not isinstance(column, Iterable) or isinstance(column, Mapping | set):
        raise DataError(
            f"{name} must be a list of {modality}s. Received: {name}={shown(column)}.",
            valid=f"a list of {modality}s, such as [{name}]",
        )
    if hasattr(column, "element_spec") and is_infinite(column):
        raise _endless(name, "is repeated without end")
    return list(getattr(column, "as_numpy_iterator", column.__iter__)())
