"""A backbone divided at a depth: the frozen prefix and the tail above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from tfft.backbones.base import Batch, Mode
from tfft.layers.serialization import deserialize


class _Part(keras.layers.Layer):
    """A part of the backbone, called in inference mode when it is frozen.

    What comes out is known; Keras would trace all of it to find out, each time a model is put
    together.
    """

    def __init__(self, body: Any, groups: tuple[Any, ...], frozen: bool, **kwargs: Any):
        super().__init__(**kwargs)
        self._parts = [layer for group in groups for layer in group.layers]
        self._body, self._frozen = body, frozen

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "body": self._body}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Any:
        return super().from_config({**config, "body": deserialize(config["body"])})

    def _mode(self, training: Mode) -> Mode:
        return False if self._frozen else training

    def _spec(self, depth: int, pooled: bool = False) -> keras.KerasTensor:
        shape = self._body.shape_at(depth, pooled)
        return keras.KerasTensor((None, *shape), self._body.compute_dtype)


@keras.saving.register_keras_serializable("tfft")
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

    def get_config(self) -> dict[str, Any]:
        own = {"layers": self._count, "pool": self._pool, "frozen": self._frozen}
        return {**super().get_config(), **own}

    def call(self, inputs: Batch, training: Mode = None) -> Any:
        """From the body's inputs, [b ...], to what its layer gives, pooled to [b d]."""
        mode = self._mode(training)
        hidden = self._body.embed(inputs, training=mode)
        mask = inputs.get("padding_mask")
        hidden = self._body.layers(0, hidden, mask, [mode] * self._count, self._pool)
        return self._body.pool(hidden, mask, training=mode) if self._pool else hidden

    def compute_output_spec(self, inputs: Batch, training: Mode = None) -> Any:
        return self._spec(self._count, self._pool)


@keras.saving.register_keras_serializable("tfft")
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
        self._first, self._frozen_layers = first, tuple(frozen)

    def get_config(self) -> dict[str, Any]:
        own = {"first": self._first, "frozen": list(self._frozen_layers)}
        return {**super().get_config(), **own}

    def call(
        self, hidden: Any, padding_mask: Any = None, beside: Any = None, training: Mode = None
    ) -> Any:
        """From the input of the lowest layer; `beside` is what the body's `beside` names."""
        modes = [False if frozen else training for frozen in self._frozen_layers]
        more = {} if beside is None else {"beside": beside}
        return self._body.layers(self._first, hidden, padding_mask, modes, True, **more)

    def compute_output_spec(self, *inputs: Any, **settings: Any) -> Any:
        return self._spec(self._first + len(self._frozen_layers))


@keras.saving.register_keras_serializable("tfft")
class Pool(_Part):
    """What stands above the layers: a pooling, [b t d] to [b d], or beside the tokens to [b 1+t d];
    or a norm of tokens, [b t d].
    """

    def __init__(self, body: Any, frozen: bool, **kwargs: Any):
        super().__init__(body, body.groups[body.depth + 1 :], frozen, **kwargs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "frozen": self._frozen}

    def call(self, hidden: Any, padding_mask: Any = None, training: Mode = None) -> Any:
        return self._body.pool(hidden, padding_mask, training=self._mode(training))


def tower_group(tower: str, group: str) -> str:
    """Returns the name that a tower's group has in a backbone of several towers."""
    return f"{tower}.{group}" if tower else group


def own_groups(tower: str, groups: frozenset[str]) -> frozenset[str]:
    """Returns those of a backbone's groups that are a tower's, by their names in the tower."""
    if not tower:
        return groups
    start = tower_group(tower, "")
    return frozenset(name.removeprefix(start) for name in groups if name.startswith(start))


def inputs_beside(body: Any) -> tuple[str, ...]:
    """Returns the inputs that a body reads above its prefix, beside the mask."""
    return body.beside


def prefix_depth(body: Any, frozen: frozenset[str]) -> int | None:
    """Returns how many layers above frozen embeddings are frozen without a gap.

    At most those that read nothing beside the tokens.
    """
    if body.groups[0].name not in frozen:
        return None
    depth = 0
    while depth < body.prefix_depth and body.groups[depth + 1].name in frozen:
        depth += 1
    return depth
