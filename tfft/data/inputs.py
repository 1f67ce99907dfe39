"""The inputs of a task: how a value is read, stored with a run, and passed to an export.

A value is a string in every source: a text, a number as it is written, or where a file is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from tfft.data.python_values import read_image, read_number, read_sound, read_text
from tfft.preprocessing.media_files import content, in_place


@dataclasses.dataclass(frozen=True)
class Input:
    """One input of an example; a subclass is a kind of values.

    Attributes:
      name: of the column, and of the tensor of strings that an export takes.
      modality: the kind of the values, as of backbones and sources.
      holds_files: whether a value is the path of a file.
    """

    name: str
    modality: ClassVar[str]
    holds_files: ClassVar[bool] = False

    def read(self, value: Any, where: str, structured: bool = False) -> str:
        """Returns a Python value as the string that a source holds.

        Args:
          value: of an example.
          where: the example, for errors.
          structured: whether a list or a dict is a value too, as JSON.

        Raises:
          DataError: it is no value of this input.
        """
        raise NotImplementedError

    def keep(self, value: str) -> str:
        """Returns a value that does not need the files of the source."""
        return value

    def to_serving(self, values: Sequence[Any]) -> Sequence[Any]:
        """Returns the strings that an export takes for values of this input, n of them."""
        return values


@dataclasses.dataclass(frozen=True)
class Text(Input):
    """A text."""

    modality: ClassVar[str] = "text"

    def read(self, value: Any, where: str, structured: bool = False) -> str:
        return read_text(value, where, structured)


@dataclasses.dataclass(frozen=True)
class Number(Input):
    """A finite number; an export takes it as it is written, such as "3.5"."""

    modality: ClassVar[str] = "number"

    def read(self, value: Any, where: str, structured: bool = False) -> str:
        return read_number(value, where)


@dataclasses.dataclass(frozen=True)
class _File(Input):
    """A file: its path, or a data URI; an export takes the content."""

    holds_files: ClassVar[bool] = True
    extension: ClassVar[str]

    def keep(self, value: str) -> str:
        return in_place(value, self.modality, self.extension)

    def to_serving(self, values: Sequence[Any]) -> Sequence[Any]:
        return list(map(content, values))


@dataclasses.dataclass(frozen=True)
class Image(_File):
    """An image: the path of a file, or a data URI; an export takes the content of the file."""

    modality: ClassVar[str] = "image"
    extension: ClassVar[str] = "png"

    def read(self, value: Any, where: str, structured: bool = False) -> str:
        return read_image(value, where)


@dataclasses.dataclass(frozen=True)
class Audio(_File):
    """A sound: the path of a WAV file, or a data URI; an export takes the content of the file.

    Attributes:
      sample_rate: of sounds that are arrays, in samples a second.
    """

    modality: ClassVar[str] = "audio"
    extension: ClassVar[str] = "wav"
    sample_rate: int = 16_000

    def read(self, value: Any, where: str, structured: bool = False) -> str:
        return read_sound(value, self.sample_rate, where)


def names_of(inputs: Sequence[Input]) -> tuple[str, ...]:
    """Returns the names of inputs, in their order."""
    return tuple(each.name for each in inputs)


def modality_of(inputs: Sequence[Input]) -> str:
    """Returns the modality of inputs, such as "text"; "example" where they differ."""
    kinds = {each.modality for each in inputs}
    return kinds.pop() if len(kinds) == 1 else "example"


def texts(*names: str) -> tuple[Text, ...]:
    """Returns inputs that are texts."""
    return tuple(map(Text, names))


def is_array_of_one(value: Any, each: Input) -> bool:
    """Returns True for an array that is a single value of an input: an image or a sound."""
    axes = {"image": (2, 3), "audio": (1,)}.get(each.modality, ())
    array = isinstance(value, np.ndarray) and value.dtype.kind not in "OUS"
    return array and value.ndim in axes
