"""A model's outputs on encoded examples, in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.data.batches import Inputs
from tfft.data.encoded_split import Encoded
from tfft.data.examples import Examples
from tfft.data.length_buckets import batch_shapes, plan_epoch
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
    """Returns the model's outputs in the order of the examples: float32 [n ...]; several by name.

    Where an example has an output a token or a row, a list of n arrays, each [t ...] or [r ...],
    without what stands at padding.

    Args:
      model: a `keras.Model`, what `predict_fn` gives, or what `forward` made of either.
    """
    bare = Inputs(dataclasses.replace(encoded, targets=None))
    sizes, windows = encoded.sizes, encoded.windows
    # Long texts fewer at a time: a batch of full windows has as many tokens as one of cut texts.
    most = None if windows is None else batch_size * windows.length
    plan = plan_epoch(sizes, batch_shapes(sizes, batch_size, most), batch_size, None, most)
    data = bare.dataset(plan)
    # One graph for all lengths: what a text gets does not depend on the batch that came first.
    traced = isinstance(model, tf.types.experimental.PolymorphicFunction)
    call = (model if traced else forward(model)).get_concrete_function(data.element_spec)
    outputs: dict[str, Any] = {}
    for batch, inputs in zip(plan, data, strict=True):
        found = call(inputs)
        named = found if isinstance(found, dict) else {"": found}
        for name, out in named.items():
            _put(outputs, name, out.numpy(), batch.rows, encoded)
        advance(len(batch.rows))
    return outputs.get("", outputs)


def _put(
    outputs: dict[str, Any], name: str, out: np.ndarray, rows: np.ndarray, encoded: Encoded
) -> None:
    """Puts the output of some examples where it belongs among those of all of them."""
    size, single = encoded.size, out.ndim <= 2
    if name not in outputs:
        outputs[name] = np.empty((size, *out.shape[1:]), out.dtype) if single else [None] * size
    if single:
        outputs[name][rows] = out
        return
    for row, each in zip(rows, out, strict=True):
        outputs[name][row] = encoded.trimmed(row, each)
