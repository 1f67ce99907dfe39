"""Texts read in several windows: which rows are a text's, and one answer a text in the model.

A batch is [b n t]: b texts of n windows of t tokens, of which some are padding. The body sees
windows as texts, [b*n t]; its pooled features, or the head's probabilities, are averaged over the
windows of a text. So losses, metrics and answers are those of texts everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfft.layers.serialization import Configured


@keras.saving.register_keras_serializable("tfft")
class Flat(keras.layers.Layer):
    """From texts of windows, [b n ...], to windows, [b*n ...]."""

    def call(self, inputs: Any) -> Any:
        return keras.ops.reshape(inputs, (-1, *keras.ops.shape(inputs)[2:]))


@keras.saving.register_keras_serializable("tfft")
class Stacked(keras.layers.Layer):
    """From windows, [b*n ...], to texts of windows, [b n ...], as the mask [b n t] has them."""

    def call(self, rows: Any, padding_mask: Any) -> Any:
        ops = keras.ops
        return ops.reshape(rows, (*ops.shape(padding_mask)[:2], *ops.shape(rows)[1:]))


@keras.saving.register_keras_serializable("tfft")
class Each(Configured, Stacked):
    """The outputs of the rows of each example, one or several by name.

    From [b*r ...] and the mask [b r t] to [b r ...].

    Args:
      absent: the output of a row that is padding: its first token is.
    """

    settings = ("absent",)

    def __init__(self, absent: float, **kwargs: Any):
        super().__init__(**kwargs)
        self.absent = absent

    def call(self, rows: Any, padding_mask: Any) -> Any:
        return keras.tree.map_structure(lambda one: self._each(one, padding_mask), rows)

    def _each(self, rows: Any, padding_mask: Any) -> Any:
        ops, outputs = keras.ops, super().call(rows, padding_mask)
        shape = (*ops.shape(outputs)[:2], *[1] * (rows.ndim - 1))
        there = ops.reshape(padding_mask[:, :, 0] > 0, shape)
        return ops.where(there, outputs, ops.cast(self.absent, outputs.dtype))


@keras.saving.register_keras_serializable("tfft")
class Average(keras.layers.Layer):
    """The mean over the windows of a text, of one value or several by name.

    From [b*n d] and the mask [b n t] to [b d]. A window is there when its first token is. Summed
    in float32.
    """

    def call(self, rows: Any, padding_mask: Any) -> Any:
        return keras.tree.map_structure(lambda one: self._mean(one, padding_mask), rows)

    def _mean(self, rows: Any, padding_mask: Any) -> Any:
        ops = keras.ops
        there = padding_mask[:, :, :1]
        wide = ops.reshape(ops.cast(rows, "float32"), (*ops.shape(there)[:2], rows.shape[-1]))
        total = ops.sum(ops.where(there > 0, wide, 0.0), axis=1)
        return ops.cast(total / ops.sum(ops.cast(there, "float32"), axis=1), rows.dtype)


def average_of(body: Any) -> str | None:
    """Returns the name of the output that a body averages over rows; "each" for none.

    None where an example has one row.
    """
    return getattr(body, "average", None)


def flat(body: Any, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a batch as the body sees it: as it is, or with the windows of all texts in a row."""
    if average_of(body) is None:
        return inputs
    return {name: Flat(name=f"flat_{name}")(value) for name, value in inputs.items()}


def stacked(body: Any, rows: Any, padding_mask: Any) -> Any:
    """Undoes `flat` for the output of the body's lower part."""
    return rows if average_of(body) is None else Stacked(name="stacked")(rows, padding_mask)
