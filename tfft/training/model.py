"""Body and head as one `keras.Model`, split at depth N into a frozen prefix and a tail.

A frozen layer must run in inference mode: Keras leaves dropout on in a layer whose `trainable` is
False, and then the prefix would be no fixed function. A functional model passes its own `training`
on to its layers, over what a layer was told when the graph was built; so the mode is decided inside
the small layers below, which call the body's own layers and own no weight.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

import keras

from tfft.backbones.splitting import Pool, Prefix, Upper, inputs_beside, prefix_depth
from tfft.errors import FreezeError
from tfft.layers.instances import Average, Each, average_of, flat, stacked
from tfft.training.regularizers.training_step import TrainingStep

REMEDY = (
    "`trainable` was changed after the model was compiled; Keras would ignore that. "
    "Call model.compile(...) with a new optimizer, or describe the change as a Stage."
)


@keras.saving.register_keras_serializable("tfft")
class FineTuned(keras.Model):
    """A functional model that refuses to train with a mask other than the compiled one.

    Attributes:
      training_step: trains on a batch in place of Keras' own step; None for that.
    """

    training_step: TrainingStep | None = None

    def compile(self, *args: Any, **kwargs: Any) -> None:
        super().compile(*args, **kwargs)
        self._compiled_mask = _mask(self)

    def fit(self, *args: Any, **kwargs: Any) -> Any:
        """Trains as `keras.Model.fit` does.

        Raises:
          FreezeError: `trainable` was changed by hand since `compile`.
        """
        self._refuse_changed_mask()
        return super().fit(*args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Trains on one batch; a loop of one's own can call it in `strategy.run`."""
        if self.training_step is None:
            return super().train_step(data)
        return self.training_step(self, data)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch as `keras.Model.train_on_batch` does, with the check of `fit`."""
        self._refuse_changed_mask()
        return super().train_on_batch(*args, **kwargs)

    def save(self, filepath: str | os.PathLike[str], *args: Any, **kwargs: Any) -> None:
        """Saves a `.keras` file as `keras.Model.save` does, see `tfft.load_model`.

        Raises:
          ConfigError: the backbone has adapters, see `tfft.Run.save`.
        """
        self.get_config()  # Keras opens the file, and empties it, before it asks for the config.
        super().save(filepath, *args, **kwargs)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Returns the loss of a batch, as `keras.Model` does; a `Loss` reads nested values whole.

        Keras would call it for each output, with the targets of the same name alone.
        """
        if not self._is_nested(y, y_pred):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        found = self.loss(y, y_pred, sample_weight)
        return sum(map(self._aggregate_additional_loss, self.losses), found)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        """Updates the metrics, which read nested values as the loss does, and returns them."""
        metrics = self._compile_metrics
        if metrics is None or not self._is_nested(y, y_pred):
            return super().compute_metrics(x, y, y_pred, sample_weight)
        if not metrics.built:
            metrics.build(0.0, 0.0)  # as for a model of one output, which all of them read
        for metric in metrics.metrics:
            metric.update_state(y, y_pred)
        return self.get_metrics_result()

    def _is_nested(self, y: Any, y_pred: Any) -> bool:
        nested = isinstance(y, dict) or isinstance(y_pred, dict)
        return nested and isinstance(self.loss, keras.losses.Loss)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns nothing: optimizer, loss and metrics of a stage are not saved."""
        return {}

    def _refuse_changed_mask(self) -> None:
        if self.compiled and self._compiled_mask != _mask(self):
            raise FreezeError(REMEDY, see="docs/freezing.md")


def _mask(model: keras.Model) -> tuple[str, ...]:
    return tuple(variable.path for variable in model.trainable_variables)


@dataclasses.dataclass(frozen=True)
class Split:
    """One set of weights seen three ways.

    Attributes:
      full: from the body's inputs to the head's output.
      prefix: the frozen part alone, a fixed function; None when nothing at the bottom is frozen.
      tail: from the prefix's output to the head's; None without a prefix.
      frozen_layers: how many layers the prefix holds.
    """

    full: FineTuned
    prefix: keras.Model | None
    tail: FineTuned | None
    frozen_layers: int


def assemble(
    body: Any, head: keras.layers.Layer, frozen: frozenset[str], step: TrainingStep | None = None
) -> Split:
    """Builds the model for one stage around layers that exist already.

    Args:
      body: a Backbone.
      head: from pooled features [b d], or from tokens [b t d], to the task's output.
      frozen: names of the groups of which no weight is trained.
      step: whose places stand before the trained part and before the head; None for none.
    """
    rows_of = () if average_of(body) is None else (None,)  # where an example is several rows
    inputs = {
        name: keras.Input((*rows_of, *shape), dtype=dtype, name=name)
        for name, (shape, dtype) in body.reads.items()
    }
    mask, rows = inputs.get("padding_mask"), flat(body, inputs)
    depth = prefix_depth(body, frozen)
    whole = body.pools and len(frozen) == len(body.groups)
    if depth is None:
        hidden = Prefix(body, 0, frozen=False, name="embeddings")(rows)
        pooled = _upper(body, 0, {**rows, "hidden": hidden}, frozen, step)
        outputs = answer(body, head, pooled, mask, step)
        return Split(FineTuned(inputs, outputs, name="full"), None, None, 0)
    lower = Prefix(body, depth, pool=whole, name="prefix")
    hidden = lower(rows)
    prefix = keras.Model(inputs, hidden, name="prefix_model")
    name, shape = "pooled" if whole else "hidden", body.shape_at(depth, whole)
    between = {name: keras.Input((*rows_of, *shape), dtype=hidden.dtype, name=name)}
    for each in inputs_beside(body):
        between[each] = keras.Input(inputs[each].shape[1:], dtype="int32", name=each)
    if mask is not None and (not whole or average_of(body) is not None):
        between["padding_mask"] = keras.Input(mask.shape[1:], dtype="int32", name="padding_mask")
    rows = flat(body, between)
    if not whole:
        pooled = _upper(body, depth, rows, frozen, step)
    else:
        pooled = rows[name] if step is None else step.hidden(rows[name])
    outputs = answer(body, head, pooled, between.get("padding_mask"), step)
    tail = FineTuned(between, outputs, name="tail")
    read = {**inputs, name: stacked(body, hidden, mask)}
    outputs = tail({key: read[key] for key in between})
    return Split(FineTuned(inputs, outputs, name="full"), prefix, tail, depth)


def _upper(
    body: Any,
    depth: int,
    rows: Mapping[str, Any],
    frozen: frozenset[str],
    step: TrainingStep | None,
) -> Any:
    """From the input of layer `depth` to pooled features, or to the output of the top layer.

    Args:
      rows: that input as "hidden", the mask where there is one, and what `body.beside` names.
    """
    hidden, mask = rows["hidden"], rows.get("padding_mask")
    beside = {each: rows[each] for each in inputs_beside(body)} or None
    if step is not None:
        hidden = step.hidden(hidden, mask)
    if depth < body.depth:
        still = tuple(group.name in frozen for group in body.groups[depth + 1 : body.depth + 1])
        hidden = Upper(body, depth, still, name="upper")(hidden, mask, beside)
    above = body.groups[body.depth + 1 :]
    if not body.pools and not above and not body.pools_beside:
        return hidden
    pooled = Pool(body, bool(above) and all(group.name in frozen for group in above), name="pool")
    return pooled(hidden, mask)


def answer(
    body: Any, head: Any, read: Any, padding_mask: Any, step: TrainingStep | None = None
) -> Any:
    """From what is read of all rows to the task's output, [b c].

    Args:
      body: its `average` says what is averaged: "features" or "probabilities"; "each" for examples
        of rows that have an output each, [b r c], those of absent rows `absent`; None for texts
        that are one row each.
      head: from pooled features or tokens to the output.
      read: pooled features of all windows, [b*n d]; or tokens, [b*n t d], for [b t c] or [b n t c].
      padding_mask: int32 [b n t].
      step: whose place for pooled features stands before the head; None for none.
    """
    average = average_of(body)
    if average == "probabilities":
        return Average(name="average")(head(read), padding_mask)
    if average == "each":
        return Each(body.absent, name="each")(head(read), padding_mask)
    if average == "features":
        read = Average(name="average")(read, padding_mask)
    return head(read if step is None or not body.pools else step.pooled(read))
