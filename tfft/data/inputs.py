"""The inputs of a task: how a column is called, shown, and given to an export."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

from tfft.preprocessing.image.image_files import content


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of an example; a subclass is a kind of values.

    Attributes:
      name: of the column, and of the tensor of strings that an export takes.
      modality: what the values are, as backbones and sources say it.
    """

    name: str
    modality: ClassVar[str]

    def to_serving(self, values: Sequence[Any]) -> Sequence[Any]:
        """Returns the strings that an export takes for values of this input, n of them."""
        return values


@dataclasses.dataclass(frozen=True)
class Text(Input):
    """A text."""

    modality: ClassVar[str] = "text"


@dataclasses.dataclass(frozen=True)
class Image(Input):
    """An image: the path of a file, or a data URI; an export takes the content of the file."""

    modality: ClassVar[str] = "image"

    def to_serving(self, values: Sequence[Any]) -> Sequence[Any]:
        return [content(value) for value in values]


def names_of(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Returns the names of inputs, in their order."""
    return tuple(each.name for each in inputs)


def texts(*names: str) -> tuple[Text, ...]:
    """Returns inputs that are texts."""
    return tuple(map(Text, names))
