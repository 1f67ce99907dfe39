"""Several tensors of an example as one row, so that they cross a cut and are stored together."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import keras

Shapes = Mapping[str, tuple[int, ...]]  # of each tensor of an example, by name


def flat_size(shapes: Shapes) -> int:
    """Returns the number of values of all tensors of an example."""
    return sum(map(math.prod, shapes.values()))


def to_row(tensors: Mapping[str, Any]) -> Any:
    """Returns tensors [b ...] of the same dtype as one, [b n], in the order of the mapping."""
    rows = [keras.ops.reshape(each, (-1, math.prod(each.shape[1:]))) for each in tensors.values()]
    return keras.ops.concatenate(rows, axis=1)


def from_row(row: Any, shapes: Shapes) -> dict[str, Any]:
    """Returns the tensors of a row, [b n], by name: [b ...] of these shapes."""
    tensors, begin = {}, 0
    for name, shape in shapes.items():
        end = begin + math.prod(shape)
        tensors[name] = keras.ops.reshape(row[:, begin:end], (-1, *shape))
        begin = end
    return tensors
