"""Small weights that a method adds beside a body's Dense layers: made, found again, merged.

An adapted Dense layer keeps its kernel and its bias and holds an `adapter`, which computes with the
layer's own product. A kind of adapter is one file in `methods/`; here is what they share. Their
variables have names such as "layer_4/.../query/lora/a", and masks, checkpoints, rates and proofs
treat them like all others.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fnmatch
import importlib
import math
import sys
import types
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import ConfigError, FreezeError, WeightsError, near
from tfft.layers.inspection import named_variables
from tfft.methods.base import Adapter

ops = keras.ops


class Part(keras.layers.Layer):
    """The variables of one adapter at one Dense layer, which holds it as `adapter`."""

    def __init__(self, adapter: Adapter, place: str, values: Mapping[str, np.ndarray], dtype: Any):
        super().__init__(name=adapter.name, dtype=dtype)
        self.kind, self.place, self._names = adapter, place, tuple(values)
        for name, value in values.items():
            variable = self.add_weight(
                name=name, shape=value.shape, dtype="float32", initializer="zeros"
            )
            variable.assign(value)
            setattr(self, name, variable)
        self.rate = adapter.dropout
        with keras.name_scope(self.name):
            self.seed_generator = keras.random.SeedGenerator() if self.rate else None
        self.built = True

    def apply(
        self,
        product: Callable[[Any], Any],
        rows: Any,
        training: bool | None,
        drop: Callable[[Any, Any, Any], Any] | None = None,
    ) -> Any:
        """Returns the adapted layer's output before its activation, [... o].

        Args:
          product, rows, training: as in `Adapter.apply`.
          drop: dropout with the `rate` and the `seed_generator` of a layer; Keras' by default.
        """
        drop = _drop if drop is None else drop
        return self.kind.apply(self, product, rows, training, drop)

    def values(self) -> dict[str, np.ndarray]:
        """Returns the variables' values by their names within the adapter."""
        return {name: np.array(getattr(self, name)) for name in self._names}

    def is_neutral(self) -> bool:
        """Says whether the layer is as it was without the adapter, to the bit."""
        return self.kind.is_neutral(self.values())


def _drop(part: Part, x: Any, training: bool | None) -> Any:
    if not training or not part.rate:
        return x
    return keras.random.dropout(x, part.rate, seed=part.seed_generator)


def dense_layers(body: Any) -> dict[str, Any]:
    """Returns the Dense and EinsumDense layers of a body by name: "layer_0/.../query".

    A layer that several depths share has the name of the lowest.
    """
    names = {id(variable): name for name, variable in named_variables(body).items()}
    found = {}
    for group in body.groups:
        for layer in group.layers:
            for inner in layer._flatten_layers():
                kinds = (keras.layers.Dense, keras.layers.EinsumDense)
                if type(inner) not in kinds or not inner.built or not _contracted(inner):
                    continue
                found[names[id(inner.kernel)].removesuffix("/kernel")] = inner
    return found


def parts(body: Any) -> dict[str, Part]:
    """Returns what adapters there are in a body, by the names of their Dense layers."""
    found = {place: getattr(dense, "adapter", None) for place, dense in dense_layers(body).items()}
    return {place: part for place, part in found.items() if part is not None}


def added_variables(body: Any) -> set[int]:
    """Returns the ids of all adapters' variables, random states not."""
    held = (part for part in parts(body).values())
    return {id(getattr(part, name)) for part in held for name in part._names}


def attach(adapter: Adapter, body: Any, seed: int, leave: Collection[str] = ()) -> None:
    """Adds an adapter's variables at the Dense layers that it names, where they are not there yet.

    Args:
      adapter: what to add.
      body: a Backbone.
      seed: of what is random in the first values; they follow from it and the layer's name.
      leave: the groups that get none.

    Raises:
      FreezeError: a target matches no Dense layer.
      ConfigError: a layer has another adapter already.
    """
    denses = dense_layers(body)
    for pattern in adapter.targets:
        if not fnmatch.filter(denses, pattern):
            raise FreezeError(
                f"the target {pattern!r} of {adapter.name} matches no Dense layer of this body.",
                valid=f"for example {near(pattern, denses)}",
            )
    above = [place for place in denses if place.split("/")[0] not in leave]
    hit = {place for pattern in adapter.targets for place in fnmatch.filter(above, pattern)}
    _attach(adapter, denses, [place for place in above if place in hit], seed)


def _attach(adapter: Adapter, denses: Mapping[str, Any], places: Sequence[str], seed: int) -> None:
    for place in places:
        dense = denses[place]
        there = getattr(dense, "adapter", None)
        if there is None:
            _put(dense, _make(adapter, dense, place, seed))
        elif there.kind != adapter:
            raise ConfigError(
                f"{place} has an adapter already, {there.kind}, and should get {adapter}.",
                valid="one adapter a layer; other targets, the same settings in all stages, or a "
                "body loaded anew",
            )


def _make(adapter: Adapter, dense: Any, place: str, seed: int) -> Part:
    rng = np.random.default_rng([seed, zlib.crc32(f"{place}/{adapter.name}".encode())])
    values = adapter.weights(place, *flat_shape(dense), rng)
    with contextlib.ExitStack() as scopes:
        for name in dense.kernel.path.split("/")[:-1]:
            scopes.enter_context(keras.name_scope(name))
        return Part(adapter, place, values, dense.dtype_policy)


def _put(dense: Any, part: Part) -> None:
    dense._tracker.unlock()
    dense.adapter = part
    dense._tracker.lock()
    dense.call = types.MethodType(_call, dense)


def _remove(dense: Any) -> None:
    dense._tracker.untrack(dense.adapter)
    del dense.adapter
    del dense.call


def detach(body: Any, keep: Collection[str] = ()) -> None:
    """Takes the adapters off a body again, but those of the Dense layers named in `keep`."""
    for place, dense in dense_layers(body).items():
        if hasattr(dense, "adapter") and place not in keep:
            _remove(dense)


def _call(dense: Any, inputs: Any, training: bool | None = None) -> Any:
    """What an adapted Dense or EinsumDense layer computes, in place of its own `call`."""
    equation, contracted = getattr(dense, "equation", None), _contracted(dense)
    kernel, above = dense.kernel, ops.shape(inputs)[: len(inputs.shape) - contracted]
    shape = tuple(kernel.shape[axis] for axis in _order(dense))
    inner, outer = shape[:contracted], shape[contracted:]

    def product(rows: Any) -> Any:
        x = rows if contracted == 1 else ops.reshape(rows, (*above, *inner))
        x = ops.matmul(x, kernel) if equation is None else ops.einsum(equation, x, kernel)
        x = x if dense.bias is None else ops.add(x, dense.bias)
        return x if len(outer) == 1 else ops.reshape(x, (*above, math.prod(outer)))

    rows = inputs if contracted == 1 else ops.reshape(inputs, (*above, math.prod(inner)))
    outputs = dense.adapter.apply(product, rows, training)
    outputs = outputs if len(outer) == 1 else ops.reshape(outputs, (*above, *outer))
    return outputs if dense.activation is None else dense.activation(outputs)


def _contracted(dense: Any) -> int:
    """Returns how many axes of a kernel are its inputs; 0 where it is no matrix in another form."""
    equation = getattr(dense, "equation", None)
    if equation is None:
        return 1
    inputs, kernel, output = equation.replace("->", ",").split(",")
    summed = "".join(letter for letter in kernel if letter not in output)
    rest = "".join(letter for letter in kernel if letter in output)
    plain = inputs.endswith(summed) and output.endswith(rest)
    return len(summed) if plain else 0


def _order(dense: Any) -> tuple[int, ...]:
    """Returns the axes of a kernel with its inputs first, as Gemma's [n d h] are not."""
    equation = getattr(dense, "equation", None)
    if equation is None:
        return tuple(range(len(dense.kernel.shape)))
    _, kernel, output = equation.replace("->", ",").split(",")
    return tuple(sorted(range(len(kernel)), key=lambda axis: kernel[axis] in output))


def flat_shape(dense: Any) -> tuple[int, int]:
    """Returns the sizes i and o of a Dense layer's kernel as a matrix."""
    shape = tuple(dense.kernel.shape[axis] for axis in _order(dense))
    contracted = _contracted(dense)
    return math.prod(shape[:contracted]), math.prod(shape[contracted:])


def _to_matrix(dense: Any) -> np.ndarray:
    """Returns a kernel as a matrix, float64 [i o]."""
    return np.array(dense.kernel, np.float64).transpose(_order(dense)).reshape(flat_shape(dense))


def _as_kernel(dense: Any, matrix: np.ndarray) -> np.ndarray:
    """Returns a matrix [i o] in the form of the kernel."""
    order = _order(dense)
    shape = [dense.kernel.shape[axis] for axis in order]
    return matrix.reshape(shape).transpose(np.argsort(order))


@contextlib.contextmanager
def merged(body: Any) -> Iterator[None]:
    """Within it, kernels and biases hold what adapters do, and no adapter that merges is there.

    The body is then plain Keras layers, for an export or `body.model.save_to_preset`. Afterwards
    all is as before, to the bit.
    """
    taken = []
    try:
        for part, dense in ((d.adapter, d) for d in _adapted(body) if d.adapter.kind.merges):
            taken.append((part, dense, [np.array(w) for w in _plain_weights(dense)]))
            matrix = _to_matrix(dense)
            bias = np.zeros(matrix.shape[1]) if dense.bias is None else np.array(dense.bias)
            values = {name: value.astype(np.float64) for name, value in part.values().items()}
            new = part.kind.merged(values, matrix, bias.ravel())
            kernel, flat = _as_kernel(dense, new[0]), new[1]
            for weight, value in zip(_plain_weights(dense), (kernel, flat), strict=False):
                weight.assign(value.reshape(weight.shape).astype(np.float32))
            _remove(dense)
        yield
    finally:
        for part, dense, before in taken:
            if not hasattr(dense, "adapter"):
                _put(dense, part)
            for weight, value in zip(_plain_weights(dense), before, strict=True):
                weight.assign(value)


def _adapted(body: Any) -> list[Any]:
    return [dense for dense in dense_layers(body).values() if hasattr(dense, "adapter")]


def _plain_weights(dense: Any) -> list[Any]:
    return [dense.kernel] if dense.bias is None else [dense.kernel, dense.bias]


def described(body: Any) -> list[dict[str, Any]]:
    """Returns what `attach_again` needs, JSON-able; empty without adapters."""
    places: dict[Adapter, list[str]] = {}
    for place, part in parts(body).items():
        places.setdefault(part.kind, []).append(place)
    return [
        {
            "kind": f"{type(adapter).__module__}:{type(adapter).__name__}",
            "settings": dataclasses.asdict(adapter),
            "places": there,
        }
        for adapter, there in places.items()
    ]


def attach_again(body: Any, described: Sequence[Mapping[str, Any]]) -> None:
    """Adds the adapters that a saved run describes; their values are to be assigned.

    Raises:
      WeightsError: they are of a kind that is not known here, or this body lacks a layer.
    """
    denses = dense_layers(body)
    for entry in described:
        missing = [place for place in entry["places"] if place not in denses]
        if missing:
            raise WeightsError(
                f"the run adapted {missing[0]}, which this body lacks.",
                valid="the backbone of the run's config",
            )
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in entry["settings"].items()
        }
        kind: Any = _kind(entry["kind"])
        _attach(kind(**settings), denses, entry["places"], 0)


def _kind(address: str) -> type[Adapter]:
    """Returns a kind of adapter; a saved file imports nothing but our own methods."""
    module, _, name = address.partition(":")
    if module.startswith("tfft.methods."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    kind = getattr(sys.modules.get(module), name, None)
    if not (isinstance(kind, type) and issubclass(kind, Adapter)):
        raise WeightsError(
            f"the run's weights hold an adapter of the kind {address}, which is not known here.",
            valid=f"import {module} first, or the version of tfft that trained it",
        )
    return kind
