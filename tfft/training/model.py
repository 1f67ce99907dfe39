"""Body and head as one `keras.Model`, split at depth N into a frozen prefix and a tail.

A frozen layer must run in inference mode: Keras leaves dropout on in a layer whose `trainable` is
False, and then the prefix would be no fixed function. A functional model passes its own `training`
on to its layers, over what a layer was told when the graph was built; so the mode is decided inside
the small layers below, which call the body's own layers and own no weight.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import keras

from tfft.errors import FreezeError
from tfft.layers.instances import answer, average_of, flat, stacked

REMEDY = (
    "`trainable` was changed after the model was compiled; Keras would ignore that. "
    "Call model.compile(...) with a new optimizer, or describe the change as a Stage."
)


class FineTuned(keras.Model):
    """A functional model that refuses to train with a mask other than the compiled one.

    Attributes:
      additions: what its training step does beyond Keras' own; None for nothing.
    """

    additions: Any = None

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
        """Trains on one batch, as `keras.Model.train_step` does where there are no additions."""
        if self.additions is None:
            return super().train_step(data)
        return self.additions.train_step(self, data)

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """Trains on one batch as `keras.Model.train_on_batch` does, with the check of `fit`."""
        self._refuse_changed_mask()
        return super().train_on_batch(*args, **kwargs)

    def _refuse_changed_mask(self) -> None:
        if self.compiled and self._compiled_mask != _mask(self):
            raise FreezeError(REMEDY, see="docs/freezing.md")


def _mask(model: keras.Model) -> tuple[str, ...]:
    return tuple(variable.path for variable in model.trainable_variables)


class _Part(keras.layers.Layer):
    """A stretch of the body, called in inference mode when it is frozen.

    What comes out is known; Keras would trace all of it to find out, each time a model is put
    together.
    """

    def __init__(self, body: Any, groups: tuple[Any, ...], frozen: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self._parts = [layer for group in groups for layer in group.layers]
        self._body, self._frozen = body, frozen

    def _mode(self, training: bool | None) -> bool | None:
        return False if self._frozen else training


class Prefix(_Part):
    """The frozen lower part: embeddings, then the first layers, then the pooling if all is frozen.

    Args:
      body: a Backbone.
      layers: how many of the body's layers belong to it.
      pool: whether the pooling belongs to it.
    """

    def __init__(
        self, body: Any, layers: int, pool: bool = False, frozen: bool = True, **kwargs: Any
    ):
        groups = body.groups if pool else body.groups[: layers + 1]
        super().__init__(body, groups, frozen, **kwargs)
        self._count, self._pool = layers, pool

    def call(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        """From the body's inputs, [b ...], to what its layer gives, pooled to [b d]."""
        mode = self._mode(training)
        hidden = self._body.embed(inputs, training=mode)
        mask = inputs.get("padding_mask")
        hidden = self._body.layers(0, hidden, mask, [mode] * self._count, self._pool)
        return self._body.pool(hidden, mask, training=mode) if self._pool else hidden

    def compute_output_spec(self, inputs: Mapping[str, Any], training: bool | None = None) -> Any:
        del inputs, training
        shape = self._body.shape_at(self._count, self._pool)
        return keras.KerasTensor((None, *shape), self._body.compute_dtype)


class Upper(_Part):
    """The layers of the body above the prefix, below the pooling: of a text [b t d] to [b t d].

    Args:
      body: a Backbone.
      first: the number of the lowest one.
      frozen: for each of them whether nothing in it is trained.
    """

    def __init__(self, body: Any, first: int, frozen: tuple[bool, ...], **kwargs: Any):
        groups = body.groups[first + 1 : body.depth + 1]
        super().__init__(body, groups, False, **kwargs)
        self._first, self._frozen_layers = first, frozen

    def call(
        self,
        hidden: Any,
        padding_mask: Any = None,
        beside: Any = None,
        training: bool | None = None,
    ) -> Any:
        """From the input of the lowest layer; `beside` is what the body's `beside` names."""
        modes = [False if frozen else training for frozen in self._frozen_layers]
        more = {} if beside is None else {"beside": beside}
        return self._body.layers(self._first, hidden, padding_mask, modes, True, **more)

    def compute_output_spec(self, *inputs: Any, **settings: Any) -> Any:
        del inputs, settings
        shape = self._body.shape_at(self._first + len(self._frozen_layers))
        return keras.KerasTensor((None, *shape), self._body.compute_dtype)


class Pool(_Part):
    """What stands above the layers: a pooling, [b t d] to [b d], or beside the tokens to [b 1+t d];
    or a norm of tokens, [b t d].
    """

    def __init__(self, body: Any, frozen: bool, **kwargs: Any):
        super().__init__(body, body.groups[body.depth + 1 :], frozen, **kwargs)

    def call(self, hidden: Any, padding_mask: Any = None, training: bool | None = None) -> Any:
        return self._body.pool(hidden, padding_mask, training=self._mode(training))


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
    body: Any, head: keras.layers.Layer, frozen: frozenset[str], additions: Any = None
) -> Split:
    """Builds the model for one stage around layers that exist already.

    Args:
      body: a Backbone.
      head: from pooled features [b d], or from tokens [b t d], to the task's output.
      frozen: names of the groups of which no weight is trained.
      additions: `Additions` whose layers stand before the trained part and before the head.
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
        pooled = _upper(body, 0, {**rows, "hidden": hidden}, frozen, additions)
        outputs = answer(body, head, pooled, mask, additions)
        return Split(FineTuned(inputs, outputs, name="full"), None, None, 0)
    lower = Prefix(body, depth, pool=whole, name="prefix")
    hidden = lower(rows)
    prefix = keras.Model(inputs, hidden, name="prefix_model")
    name, shape = "pooled" if whole else "hidden", body.shape_at(depth, whole)
    between = {name: keras.Input((*rows_of, *shape), dtype=hidden.dtype, name=name)}
    for each in _beside(body):
        between[each] = keras.Input(inputs[each].shape[1:], dtype="int32", name=each)
    if mask is not None and (not whole or average_of(body) is not None):
        between["padding_mask"] = keras.Input(mask.shape[1:], dtype="int32", name="padding_mask")
    rows = flat(body, between)
    if not whole:
        pooled = _upper(body, depth, rows, frozen, additions)
    else:
        pooled = rows[name] if additions is None else additions.entrance(rows[name])
    outputs = answer(body, head, pooled, between.get("padding_mask"), additions)
    tail = FineTuned(between, outputs, name="tail")
    read = {**inputs, name: stacked(body, hidden, mask)}
    outputs = tail({key: read[key] for key in between})
    return Split(FineTuned(inputs, outputs, name="full"), prefix, tail, depth)


def _beside(body: Any) -> tuple[str, ...]:
    """Returns the inputs that a body reads above its prefix, beside the mask."""
    return getattr(body, "beside", ())


def prefix_depth(body: Any, frozen: frozenset[str]) -> int | None:
    """Returns how many layers above frozen embeddings are frozen without a gap.

    At most those that read nothing beside the tokens.
    """
    if body.groups[0].name not in frozen:
        return None
    depth, most = 0, getattr(body, "prefix_depth", body.depth)
    while depth < most and body.groups[depth + 1].name in frozen:
        depth += 1
    return depth


def _upper(
    body: Any, depth: int, rows: Mapping[str, Any], frozen: frozenset[str], additions: Any
) -> Any:
    """From the input of layer `depth` to pooled features, or to the output of the top layer.

    Args:
      rows: that input as "hidden", the mask where there is one, and what `body.beside` names.
    """
    hidden, mask = rows["hidden"], rows.get("padding_mask")
    beside = {each: rows[each] for each in _beside(body)} or None
    if additions is not None:
        hidden = additions.entrance(hidden, mask)
    if depth < body.depth:
        still = tuple(group.name in frozen for group in body.groups[depth + 1 : body.depth + 1])
        hidden = Upper(body, depth, still, name="upper")(hidden, mask, beside)
    above = body.groups[body.depth + 1 :]
    if not body.pools and not above and not body.pools_beside:
        return hidden
    pooled = Pool(body, bool(above) and all(group.name in frozen for group in above), name="pool")
    return pooled(hidden, mask)


def named_variables(body: Any, head: keras.layers.Layer | None = None) -> dict[str, Any]:
    """Returns every variable, norm statistics and random seeds included, by group and place.

    A variable that two layers share has the name of the first.
    """
    named: dict[str, Any] = {}
    seen: set[int] = set()
    parts = [(group.name, layer) for group in body.groups for layer in group.layers]
    for group, layer in [*parts, *([] if head is None else [("head", head)])]:
        for variable in layer.variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            place = unnumbered(variable.path).split("/", 1)[-1]
            name = f"{group}/{layer.name}/{place}" if group != layer.name else f"{group}/{place}"
            count = sum(key == name or key.startswith(f"{name}#") for key in named)
            named[f"{name}#{count}" if count else name] = variable
    return named


def inner(model: keras.Model, kind: type) -> Any:
    """Returns the layer of a kind within a model, or within a model in it."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return next(layer for layer in layers if isinstance(layer, kind))


def unnumbered(path: str) -> str:
    """Returns a variable's path without what Keras counts over the whole process.

    It numbers random generators, and layers that were given no name, such as T5's norms.
    """
    return re.sub(r"(seed_generator|layer_norm)_\d+", r"\1", path)


def is_seed(name: str) -> bool:
    """Says whether a name of `named_variables` is the state of a random generator."""
    return "seed_generator_state" in name
