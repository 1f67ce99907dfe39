"""An image model divided into blocks: a functional one at their ends, a ViT at its layers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from typing import Any

import keras
import keras_hub

# How the models of keras.applications and KerasHub name the layers of a block.
BLOCK = re.compile(
    r"(?:^|_)(conv\d+_block\d+|stack\d+_block\d+|stage_\d+_block_\d+|block_?\d+[a-z]?|mixed_?\d+)"
    r"(?=_|$)"
)


@dataclasses.dataclass(frozen=True)
class Block:
    """What can be frozen at once.

    Attributes:
      name: of the group.
      layers: the Keras layers in it.
      call: from its input, [b ...], and the mode to its output.
      shape: of its output, without the batch's axis.
    """

    name: str
    layers: tuple[Any, ...]
    call: Callable[[Any, bool | None], Any]
    shape: tuple[int, ...]


def blocks_of(model: keras.Model) -> list[Block]:
    """Returns the stem and the blocks of a model, which follow from its class and its layers."""
    return _vit(model) if isinstance(model, keras_hub.models.ViTBackbone) else cut(model)


def cut(model: keras.Model) -> list[Block]:
    """Returns the stem, which may be empty, and the blocks of a functional model of one input.

    A block ends at the last tensor before the next block's first operation through which every path
    passes; what follows the last block belongs to it. Where a model's layers are not named after
    blocks, all of it is the stem.
    """
    operations = model.operations
    passed = _passed(model)
    ends: list[tuple[str, int]] = []
    name, last = "stem", -1
    for place, operation in enumerate(operations):
        match = BLOCK.search(operation.name)
        following = match[1] if match else name
        if following == name:
            continue
        before = [each for each in passed if last < each < place]
        if before:
            ends.append((name, before[-1]))
            last = before[-1]
        name = following
    ends.append((name, len(operations) - 1))
    blocks, begin = [], 0
    for name, end in ends:
        below = model.input if not begin else operations[begin - 1].output
        blocks.append(_block(name, operations[begin : end + 1], below))
        begin = end + 1
    return blocks


def _passed(model: keras.Model) -> list[int]:
    """Returns the places of the operations whose output alone is read by later ones."""
    uses: dict[int, int] = {id(tensor): 1 for tensor in keras.tree.flatten(model.output)}
    for operation in model.operations:
        for tensor in keras.tree.flatten(operation.input):
            uses[id(tensor)] = uses.get(id(tensor), 0) + 1
    live: dict[int, int] = {}
    places = []
    for place, operation in enumerate(model.operations):
        for tensor in keras.tree.flatten(operation.input):
            live[id(tensor)] -= 1
        outputs = keras.tree.flatten(operation.output)
        live |= {id(tensor): uses.get(id(tensor), 0) for tensor in outputs}
        if {key for key, count in live.items() if count} == {id(tensor) for tensor in outputs}:
            places.append(place)
    return places


def _block(name: str, operations: Sequence[Any], below: Any) -> Block:
    """Returns some operations in a row as one block, from the tensor below them."""
    inner = [each for each in operations if not isinstance(each, keras.layers.InputLayer)]
    layers = tuple(each for each in inner if isinstance(each, keras.layers.Layer))
    if not inner:
        return Block(name, (), lambda hidden, training: hidden, tuple(below.shape[1:]))
    above = inner[-1].output
    part = keras.Model(below, above, name=f"{name}_part")

    def call(hidden: Any, training: bool | None) -> Any:
        return part(hidden, training=training)

    return Block(name, layers, call, tuple(above.shape[1:]))


def _vit(model: Any) -> list[Block]:
    """Returns patches and positions as the stem, then the layers of the encoder.

    The norm above the top layer belongs to it.
    """
    patches, encoder = model.get_layer("vit_patching_and_embedding"), model.get_layer("vit_encoder")
    shape = tuple(patches.output.shape[1:])
    inner = list(encoder.encoder_layers)
    parts = [(patches, encoder.dropout), *((each,) for each in inner[:-1])]
    parts.append((inner[-1], encoder.layer_norm))
    names = ["stem", *(f"block{number}" for number in range(1, len(parts)))]
    return [Block(n, part, _through(part), shape) for n, part in zip(names, parts, strict=True)]


def _through(part: Sequence[keras.layers.Layer]) -> Callable[[Any, bool | None], Any]:
    def call(hidden: Any, training: bool | None) -> Any:
        for layer in part:
            hidden = layer(hidden, training=training)
        return hidden

    return call
