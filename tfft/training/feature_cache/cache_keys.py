"""What the outputs of frozen layers depend on, as the key that they are kept under."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.data.decoded_rows import DecodedRows
from tfft.data.encoded_split import Encoded
from tfft.methods.attachment import Part
from tfft.storage.array_file import release

FORMAT = 3  # a change makes all features new
HASHED = 2**22  # values that are read at a time


@dataclasses.dataclass(frozen=True)
class Cut:
    """Where the frozen prefix of a stage ends.

    Attributes:
      depth: how many layers it holds; None when nothing at the bottom is frozen.
      pooled: whether the pooling belongs to it, because the whole body is frozen.
    """

    depth: int | None
    pooled: bool = False


class Hashes:
    """SHA-256 of a body's groups and of token ids, each computed when it is first needed.

    Args:
      body: a Backbone.
      splits: as token ids, by name.
    """

    def __init__(self, body: Any, splits: Mapping[str, Encoded]):
        self._body, self._splits = body, splits
        self._tokens: dict[str, str] = {}
        self._groups: dict[str, str] = {}

    def forget_weights(self) -> None:
        """Makes the next key one of the weights as they are then."""
        self._groups = {}

    def key(self, split: str, cut: Cut, half: bool) -> dict[str, Any]:
        """Returns all that the features of a split depend on."""
        body = self._body
        if split not in self._tokens:
            self._tokens[split] = _tokens_hash(self._splits[split])
        groups = body.groups if cut.pooled else body.groups[: (cut.depth or 0) + 1]
        weights = "".join(self._group(group) for group in groups)
        return {
            "format": FORMAT,
            "body": body.name,
            **body.settings(),
            "weights": hashlib.sha256(weights.encode()).hexdigest(),
            "depth": cut.depth,
            "pooling": body.pooling if cut.pooled else None,
            "computed_in": str(body.compute_dtype),
            "half": half,
            "preprocessor": body.preprocessor.fingerprint(),
            "tokens": self._tokens[split],
        }

    def _group(self, group: Any) -> str:
        if group.name not in self._groups:
            self._groups[group.name] = _group_hash(group)
        return self._groups[group.name]


def _tokens_hash(encoded: Encoded) -> str:
    tokens = encoded.tokens
    if isinstance(tokens, DecodedRows):
        return tokens.digest()
    digest = hashlib.sha256(np.ascontiguousarray(tokens.offsets).data)
    read = [name for name in (*encoded.inputs, "padding_mask") if name in encoded.extra]
    for values in (tokens.values, *(encoded.extra[name].values for name in read)):
        for begin in range(0, len(values), HASHED):
            digest.update(np.ascontiguousarray(values[begin : begin + HASHED]).data)
            release(values)
    return digest.hexdigest()


def _group_hash(group: Any) -> str:
    """Returns a hash of a group's weights and of what its layers do with them."""
    digest = hashlib.sha256(group.name.encode())
    for layer in group.layers:
        left_out = _neutral(layer)
        for part in layer._flatten_layers():
            if id(part) in left_out:
                continue
            activation = getattr(part, "activation", None)
            name = getattr(activation, "__name__", str(activation))
            kind = repr(part.kind) if isinstance(part, Part) else type(part).__name__
            settings = [kind, name, getattr(part, "epsilon", None)]
            digest.update(json.dumps(settings).encode())
        for variable in layer.weights:
            if id(variable) in left_out:
                continue
            array = variable.numpy()
            digest.update(f"{variable.name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def _neutral(layer: Any) -> set[int]:
    """Returns the ids of what belongs to adapters that leave the outputs as they are without."""
    parts = [each for each in layer._flatten_layers() if isinstance(each, Part)]
    held = ((part._flatten_layers(), part.weights) for part in parts if part.is_neutral())
    return {id(each) for layers, weights in held for each in (*layers, *weights)}
