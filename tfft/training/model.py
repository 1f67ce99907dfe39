"""Backbone and head as one `keras.Model`, split at depth N into a frozen prefix and a tail.

A frozen layer must run in inference mode: Keras leaves dropout on in a layer whose `trainable` is
False, and then the prefix would be no fixed function. A functional model passes its own `training`
on to its layers, over the value at which the graph was built; so the mode is decided inside the
layers of `tfft.backbones.splitting`, which call the backbone's own layers and own no weight.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras

from tfft.backbones.splitting import Pool, Prefix, Upper, inputs_beside, own_groups, prefix_depth
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
        loss = self.loss(y, y_pred, sample_weight)
        return sum(map(self._aggregate_additional_loss, self.losses), loss)

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
      full: from the backbone's inputs to the head's output.
      prefix: the frozen part alone, a fixed function; None when nothing at the bottom is frozen.
        Of several towers it gives a dict.
      tail: from the prefix's output to the head's; None without a prefix.
      frozen_layers: how many layers the prefix holds; of several towers the most.
    """

    full: FineTuned
    prefix: keras.Model | None
    tail: FineTuned | None
    frozen_layers: int


def assemble(
    backbone: Any,
    head: keras.layers.Layer,
    frozen: frozenset[str],
    step: TrainingStep | None = None,
) -> Split:
    """Builds the model for one stage around layers that exist already.

    Args:
      backbone: a Backbone, of one or several towers.
      head: from what each tower gives, pooled features [b d] or tokens [b t d], to the task's
        output; of several towers it reads a dict.
      frozen: names of the groups of which no weight is trained.
      step: whose places stand before the trained part and before the head, of a backbone of one
        tower; None for none.
    """
    paths = [
        _Path(name, tower, own_groups(name, frozen), None if name else step)
        for name, tower in backbone.towers.items()
    ]
    inputs = _merged(path.inputs() for path in paths)
    if all(path.depth is None for path in paths):
        outputs = _output(paths, head, inputs, step)
        return Split(FineTuned(inputs, outputs, name="full"), None, None, 0)
    pairs = [(path, path.below(inputs)) for path in paths]
    hidden = {path.name: own[path.crossing] for path, own in pairs if path.depth is not None}
    prefix = keras.Model(inputs, hidden.get("", hidden), name="prefix_model")
    between = _merged(path.between(own) for path, own in pairs)
    tail = FineTuned(between, _output(paths, head, between, step), name="tail")
    stacked_rows = _merged(path.rows_stacked(own) for path, own in pairs)
    outputs = tail({key: stacked_rows[key] for key in between})
    depth = max(path.depth or 0 for path in paths)
    return Split(FineTuned(inputs, outputs, name="full"), prefix, tail, depth)


def _merged(parts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    return {name: value for part in parts for name, value in part.items()}


def _output(
    paths: Sequence[_Path], head: Any, tensors: Mapping[str, Any], step: TrainingStep | None
) -> Any:
    """Returns the output of a head for the inputs of a model, or for what crosses the cuts."""
    if paths[0].name:
        return head({path.name: path.above(tensors) for path in paths})
    [path] = paths
    return answer(path.backbone, head, path.above(tensors), tensors.get("padding_mask"), step)


class _Path:
    """The way through one tower: its inputs, its frozen prefix, the layers above it.

    Tensors and layers of a backbone of several towers have the name of the tower before theirs.
    """

    def __init__(self, name: str, backbone: Any, frozen: frozenset[str], step: TrainingStep | None):
        self.name, self.backbone, self.frozen, self.step = name, backbone, frozen, step
        self.depth = prefix_depth(backbone, frozen)
        self.is_frozen = backbone.pools and len(frozen) == len(backbone.groups)
        self.crossing = self._key("pooled" if self.is_frozen else "hidden")
        self._rows_of = (
            () if average_of(backbone) is None else (None,)
        )  # an example is several rows

    def _key(self, name: str) -> str:
        return f"{self.name}_{name}" if self.name else name

    def _own(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Returns those of this tower, by the names that it gives them, as it sees rows."""
        keys = {name: self._key(name) for name in (*self.backbone.reads, "pooled", "hidden")}
        own = {name: tensors[key] for name, key in keys.items() if key in tensors}
        return dict(flat(self.backbone, own))

    def inputs(self) -> dict[str, Any]:
        """Returns the inputs of the complete model."""
        specs = {self._key(name): spec for name, spec in self.backbone.reads.items()}
        return {
            key: keras.Input((*self._rows_of, *shape), dtype=dtype, name=key)
            for key, (shape, dtype) in specs.items()
        }

    def below(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the inputs and the output of the frozen prefix, for each row."""
        own = {key: inputs[key] for key in map(self._key, self.backbone.reads)}
        if self.depth is None:
            return own
        lower = Prefix(self.backbone, self.depth, pool=self.is_frozen, name=self._key("prefix"))
        return {**own, self.crossing: lower(self._own(inputs))}

    def between(self, below: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the inputs of the model above the cuts."""
        if self.depth is None:
            return self.inputs()
        shape = (*self._rows_of, *self.backbone.shape_at(self.depth, self.is_frozen))
        dtype = below[self.crossing].dtype
        inputs = {self.crossing: keras.Input(shape, dtype=dtype, name=self.crossing)}
        names = [*inputs_beside(self.backbone)]
        masked = "padding_mask" in self.backbone.reads
        if masked and (not self.is_frozen or average_of(self.backbone) is not None):
            names.append("padding_mask")
        for key in map(self._key, names):
            inputs[key] = keras.Input(below[key].shape[1:], dtype="int32", name=key)
        return inputs

    def rows_stacked(self, below: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the tensors of `below` as the model above the cuts reads them, by example."""
        if self.depth is None:
            return dict(below)
        mask = below.get(self._key("padding_mask"))
        return {**below, self.crossing: stacked(self.backbone, below[self.crossing], mask)}

    def above(self, tensors: Mapping[str, Any]) -> Any:
        """From the inputs, or from the tensors that cross the cut, to the input of the head."""
        rows = self._own(tensors)
        if self.depth is None:
            embeddings = Prefix(self.backbone, 0, frozen=False, name=self._key("embeddings"))
            rows["hidden"] = embeddings(rows)
        elif self.is_frozen:
            return rows["pooled"] if self.step is None else self.step.hidden(rows["pooled"])
        return self._upper(self.depth or 0, rows)

    def _upper(self, depth: int, rows: Mapping[str, Any]) -> Any:
        """From the input of layer `depth` to pooled features, or to the output of the top layer.

        Args:
          rows: that input as "hidden", the mask where there is one, and the inputs that
            `backbone.beside` names.
        """
        backbone, hidden, mask = self.backbone, rows["hidden"], rows.get("padding_mask")
        beside = {each: rows[each] for each in inputs_beside(backbone)} or None
        if self.step is not None:
            hidden = self.step.hidden(hidden, mask)
        if depth < backbone.depth:
            names = [group.name for group in backbone.groups[depth + 1 : backbone.depth + 1]]
            frozen = tuple(name in self.frozen for name in names)
            hidden = Upper(backbone, depth, frozen, name=self._key("upper"))(hidden, mask, beside)
        if not backbone.has_top:
            return hidden
        above = [group.name in self.frozen for group in backbone.groups[backbone.depth + 1 :]]
        return Pool(backbone, bool(above) and all(above), name=self._key("pool"))(hidden, mask)


def answer(
    backbone: Any, head: Any, read: Any, padding_mask: Any, step: TrainingStep | None = None
) -> Any:
    """From the features of all rows to the task's output, [b c].

    Args:
      backbone: its `average` says what is averaged: "features" or "probabilities"; "each" for
        examples of rows that have an output each, [b r c], those of absent rows `absent`; None for
        texts that are one row each.
      head: from pooled features or tokens to the output.
      read: pooled features of all windows, [b*n d]; or tokens, [b*n t d], for [b t c] or [b n t c].
      padding_mask: int32 [b n t].
      step: whose place for pooled features stands before the head; None for none.
    """
    average = average_of(backbone)
    if average == "probabilities":
        return Average(name="average")(head(read), padding_mask)
    if average == "each":
        return Each(backbone.absent, name="each")(head(read), padding_mask)
    if average == "features":
        read = Average(name="average")(read, padding_mask)
    return head(read if step is None or not backbone.pools else step.pooled(read))
