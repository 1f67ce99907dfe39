"""A model's outputs on encoded examples, in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.data.decoded_rows import located_failures
from tfft.data.encoded_split import Encoded
from tfft.data.example_reader import ExampleReader
from tfft.data.examples import Examples
from tfft.data.length_buckets import Batch, batch_shapes, plan_epoch
from tfft.evaluation import finite_checks
from tfft.tasks.base import predict_fn


def forward(model: Any) -> Any:
    """Returns a model, or what `predict_fn` gives, as one graph for calls of `predict`."""
    return tf.function(lambda inputs: model(inputs, training=False), autograph=False)


def outputs_of(task: Any, model: Any, examples: Examples, title: str, where: str, say: Any) -> Any:
    """Returns a model's outputs on examples, with a progress bar; see `predict`.

    Args:
      task: of the model, with its labels.
      title: of the progress bar.
      where: the folder of the run, for an error.

    Raises:
      WorkdirError: outputs are not finite.
    """
    with say.progress(title, len(examples)) as progress:
        outputs = predict(predict_fn(task, model), examples.encoded, advance=progress.advance)
    finite_checks.refuse_outputs(outputs, f"the model of {where}")
    return outputs


def predict(
    model: Any,
    encoded: Encoded,
    batch_size: int = 64,
    advance: Callable[[int], None] = lambda n: None,
) -> Any:
    """Returns the model's outputs in the order of the examples, nested as the model nests them.

    An output is an array [n ...] if it has a fixed shape for each example. It is a list of n
    arrays, each [t ...] or [r ...], without what stands at padding, if it has a value for each
    token of a padded batch, or for each row of examples of several rows. The model's graph
    decides: batches are of any length in it, so axis 1 of an output that follows them has no
    size there, and axis 1 of all other outputs has one. Sizes of batches decide nothing, because
    16 classes and 16 tokens are the same size. A split that is not padded, such as images, has no
    length to follow: all its outputs are arrays.

    Args:
      model: a `keras.Model`, what `predict_fn` gives, or what `forward` made of either.

    Raises:
      ValueError: axis 1 of an output has no size in the graph and does not follow the batches.
    """
    bare = ExampleReader(dataclasses.replace(encoded, targets=None))
    sizes, windows = encoded.sizes, encoded.windows
    # Long texts fewer at a time: a batch of full windows has as many tokens as one of cut texts.
    most = None if windows is None else batch_size * windows.length
    plan = plan_epoch(sizes, batch_shapes(sizes, batch_size, most), batch_size, None, most)
    data = bare.dataset(plan)
    # One graph for all lengths: what a text gets does not depend on the batch that came first.
    traced = isinstance(model, tf.types.experimental.PolymorphicFunction)
    call = (model if traced else forward(model)).get_concrete_function(data.element_spec)
    found = tf.nest.flatten(call.structured_outputs)
    by_row = [encoded.padded and _follows_length(each.shape) for each in found]
    kept: list[Any] = [[None] * encoded.size if each else None for each in by_row]
    with located_failures([encoded]):
        for batch, inputs in zip(plan, data, strict=True):
            for place, tensor in enumerate(tf.nest.flatten(call(inputs))):
                out = tensor.numpy()
                if by_row[place]:
                    _put_rows(kept[place], out, batch, encoded)
                    continue
                if kept[place] is None:
                    kept[place] = np.empty((encoded.size, *out.shape[1:]), out.dtype)
                kept[place][batch.rows] = out
            advance(len(batch.rows))
    return tf.nest.pack_sequence_as(call.structured_outputs, kept)


def _follows_length(shape: tf.TensorShape) -> bool:
    """Returns True if axis 1 of an output has no size in the model's graph."""
    return shape.rank is None or (shape.rank > 1 and shape[1] is None)


def _put_rows(kept: list[Any], out: np.ndarray, batch: Batch, encoded: Encoded) -> None:
    """Puts the outputs of some examples, trimmed, in their places among those of all."""
    windows = encoded.windows
    size = batch.length if windows is None else windows.shape(batch.length)[0]
    if out.shape[1:2] != (size,):
        raise ValueError(
            "An output must have a fixed shape in the model's graph, or a value for each of the "
            f"{size} tokens or rows of a batch on axis 1. Received: shape={out.shape}. "
            "keras.ops.reshape or tf.ensure_shape gives it a fixed shape."
        )
    for row, each in zip(batch.rows, out, strict=True):
        kept[row] = encoded.trimmed(row, each)
