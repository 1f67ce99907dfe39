"""Examples that are in memory, or in a `tf.data` pipeline of a person's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.argument_checks.validated import DISTINCT, FRACTION, NAMED, each, validated
from tfft.data.python_examples import label_names_of, parts_of, rows_of
from tfft.data.python_values import CALL, SEE, plain, read_answer, read_label, read_text
from tfft.data.sources.base import Source
from tfft.data.sources.spilled_rows import RowCollector
from tfft.data.sources.split_rows import source_of_rows
from tfft.errors import ConfigError, DataError

OWN = "splits of your own: memory(train, validation, test)"


@validated(
    **each("label_names inputs", NAMED),
    **each("validation_share test_share", FRACTION),
    columns=DISTINCT,
)
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

    A `tf.data.Dataset` of more than 256 MiB of texts is written to temporary files instead and
    streamed as `shards` are, with a note, unless there are `columns` or a `group`.

    Args:
      train, validation, test: examples one by one, in a `tf.data.Dataset` that ends, a list or a
        generator: {"text", "label"}, (text, label) or ({"text": ...}, label), with each of several
        inputs in place of the text. Or columns: a tuple (texts, labels) of lists or arrays, a dict
        of columns, a data frame or a table of Arrow. A data set of Hugging Face is read with the
        names of its labels.
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
    if label_names is not None and not classes:
        raise ConfigError(
            "memory.label_names names labels, and classes=False says that there are none.",
            valid="label_names=None, or classes=True",
        )
    inputs = tuple(inputs)
    columns = tuple(dict.fromkeys([*columns, *([group] if group and group not in inputs else [])]))
    splits = {"train": train, "validation": validation, "test": test}
    is_dataset = any(hasattr(part, "element_spec") for part in splits.values())
    collector = RowCollector(inputs, columns, is_dataset and not columns and not group)
    for split, part in splits.items():
        if part is not None or split == "train":
            names = label_names if classes else ()
            collector.add(split, _rows(part, split, inputs, names, columns))
    shares = {"validation": validation_share, "test": test_share}
    shares = shares if len(collector.rows) == 1 else {}
    if collector.spilled:
        return collector.streamed_source(classes, shares)
    return source_of_rows(
        "memory",
        collector.rows,
        (),
        shares,
        inputs=inputs,
        classes=classes,
        columns=columns,
        group=(*inputs, "label", *columns).index(group) if group else None,
        group_name=group,
        keep_overlap=True,
        own=OWN,
        see=SEE,
    )


def _rows(
    elements: Any,
    split: str,
    inputs: tuple[str, ...],
    label_names: Sequence[str] | None,
    columns: Sequence[str],
) -> Iterator[list[str]]:
    """Yields the inputs, the answer and the further columns of each example of a split.

    Args:
      label_names: names of integer labels; (), no names at all, if the answers are no labels.
    """
    structured = label_names is not None and not len(label_names)
    if label_names is None:
        label_names = label_names_of(elements)
    for number, element in enumerate(rows_of(elements, inputs, split), 1):
        where = f"example {number:,} of {split}"
        *texts, answer = parts_of(element, inputs, where)
        _refuse_batches(texts, inputs, where)
        row = [read_text(text, where, structured) for text in texts]
        row.append(
            read_answer(answer, where) if structured else read_label(answer, label_names, where)
        )
        yield row + [_value(element, name, where) for name in columns]


def _value(element: Any, name: str, where: str) -> str:
    """Returns an element's value of a further column as text."""
    if not isinstance(element, Mapping) or name not in element:
        raise DataError(
            f"an element has no {name!r}: {str(element)[:80]}",
            set_in=where,
            valid=f"a dict with text, label and {name} in every example",
            see=SEE,
            call=CALL,
        )
    value = plain(element[name])
    return value.decode() if isinstance(value, bytes) else str(value)


def _refuse_batches(texts: Sequence[Any], inputs: tuple[str, ...], where: str) -> None:
    if any(getattr(text, "ndim", 0) for text in texts) or (
        inputs == ("text",) and isinstance(texts[0], list | tuple)
    ):
        raise DataError(
            "the dataset is batched.",
            set_in=where,
            valid="one example an element: dataset.unbatch()",
            see=SEE,
            call=CALL,
        )
