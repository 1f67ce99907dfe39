"""Small weights that a method adds beside a backbone's Dense layers: made, listed, merged.

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
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import ConfigError, FreezeError, WeightsError, near
from tfft.layers.inspection import inner_layers, named_variables
from tfft.methods.base import Adapter, Drop, Product, Values

ops = keras.ops
Axes = tuple[int, ...]


class Part(keras.layers.Layer):
    """The variables of one adapter at one Dense layer, which holds it as `adapter`."""

    def __init__(self, adapter: Adapter, place: str, values: Values, dtype: Any):
        super().__init__(name=adapter.name, dtype=dtype)
        self.kind, self.place, self._names = adapter, place, tuple(values)
        for name, value in values.items():
            variable = self.add_weight(value.shape, "zeros", "float32", name=name)
            variable.assign(value)
            setattr(self, name, variable)
        self.rate = adapter.dropout
        with keras.name_scope(self.name):
            self.seed_generator = keras.random.SeedGenerator() if self.rate else None
        self.built = True

    def apply(
        self, product: Product, rows: Any, training: bool | None, drop: Drop | None = None
    ) -> Any:
        """Returns the adapted layer's output before its activation, [... o].

        Args:
          product, rows, training: as in `Adapter.apply`.
          drop: dropout with the `rate` and the `seed_generator` of a layer; Keras' by default.
        """
        return self.kind.apply(self, product, rows, training, drop or _drop)

    def values(self) -> dict[str, np.ndarray]:
        """Returns the variables' values by their names within the adapter."""
        return {name: np.array(getattr(self, name)) for name in self._names}

    def is_neutral(self) -> bool:
        """Returns True if the layer is as it was without the adapter, to the bit."""
        return self.kind.is_neutral(self.values())


def _drop(part: Part, x: Any, training: bool | None) -> Any:
    if not training or not part.rate:
        return x
    return keras.random.dropout(x, part.rate, seed=part.seed_generator)


def dense_layers(backbone: Any) -> dict[str, Any]:
    """Returns the Dense and EinsumDense layers of a backbone by name: "layer_0/.../query".

    A layer that several depths share has the name of the lowest.
    """
    names = {id(variable): name for name, variable in named_variables(backbone).items()}
    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    return {
        names[id(inner.kernel)].removesuffix("/kernel"): inner
        for _, inner in inner_layers(backbone)
        if type(inner) in kinds and inner.built and _matrix_form(inner)[1]
    }


def parts(backbone: Any) -> dict[str, Part]:
    """Returns the adapters of a backbone, by the names of their Dense layers."""
    denses = dense_layers(backbone).items()
    return {place: dense.adapter for place, dense in denses if hasattr(dense, "adapter")}


def added_variables(backbone: Any) -> set[int]:
    """Returns the ids of all adapters' variables, random states not."""
    return {id(getattr(part, name)) for part in parts(backbone).values() for name in part._names}


def attach(adapter: Adapter, backbone: Any, seed: int, leave: Collection[str] = ()) -> None:
    """Adds an adapter's variables at the Dense layers that it names, where they are not there yet.

    Args:
      adapter: what to add.
      backbone: a Backbone.
      seed: of what is random in the first values; they follow from it and the layer's name.
      leave: the groups that get none.

    Raises:
      FreezeError: a target matches no Dense layer.
      ConfigError: a layer has another adapter already.
    """
    denses = dense_layers(backbone)
    for pattern in adapter.targets:
        if not fnmatch.filter(denses, pattern):
            raise FreezeError(
                f"the target {pattern!r} of {adapter.name} matches no Dense layer of the backbone.",
                valid=f"for example {near(pattern, denses)}",
            )
    above = [place for place in denses if place.split("/")[0] not in leave]
    targets = {place for pattern in adapter.targets for place in fnmatch.filter(above, pattern)}
    _attach(adapter, denses, [place for place in above if place in targets], seed)


def _attach(adapter: Adapter, denses: Mapping[str, Any], places: Sequence[str], seed: int) -> None:
    for place in places:
        dense = denses[place]
        if not hasattr(dense, "adapter"):
            rng = np.random.default_rng([seed, zlib.crc32(f"{place}/{adapter.name}".encode())])
            values = adapter.weights(place, *flat_shape(dense), rng)
            with contextlib.ExitStack() as scopes:
                for name in dense.kernel.path.split("/")[:-1]:
                    scopes.enter_context(keras.name_scope(name))
                part = Part(adapter, place, values, dense.dtype_policy)
            _put(dense, part)
        elif dense.adapter.kind != adapter:
            raise ConfigError(
                f"{place} has an adapter already, {dense.adapter.kind}, and should get {adapter}.",
                valid="one adapter a layer; other targets, the same settings in all stages, or a "
                "backbone loaded anew",
            )


def _put(dense: Any, part: Part) -> None:
    dense._tracker.unlock()
    dense.adapter = part
    dense._tracker.lock()
    dense.call = types.MethodType(_call, dense)


def _remove(dense: Any) -> None:
    dense._tracker.untrack(dense.adapter)
    del dense.adapter
    del dense.call


def detach(backbone: Any, keep: Collection[str] = ()) -> None:
    """Takes the adapters off a backbone again, but those of the Dense layers named in `keep`."""
    for place, dense in dense_layers(backbone).items():
        if hasattr(dense, "adapter") and place not in keep:
            _remove(dense)


def _call(dense: Any, inputs: Any, training: bool | None = None) -> Any:
    """Returns the output of an adapted Dense or EinsumDense layer, in place of its own `call`."""
    equation, (_, inner, outer) = getattr(dense, "equation", None), _matrix_form(dense)
    kernel, above = dense.kernel, ops.shape(inputs)[: len(inputs.shape) - len(inner)]

    def product(rows: Any) -> Any:
        x = rows if len(inner) == 1 else ops.reshape(rows, (*above, *inner))
        x = ops.matmul(x, kernel) if equation is None else ops.einsum(equation, x, kernel)
        x = x if dense.bias is None else ops.add(x, dense.bias)
        return x if len(outer) == 1 else ops.reshape(x, (*above, math.prod(outer)))

    rows = inputs if len(inner) == 1 else ops.reshape(inputs, (*above, math.prod(inner)))
    outputs = dense.adapter.apply(product, rows, training)
    outputs = outputs if len(outer) == 1 else ops.reshape(outputs, (*above, *outer))
    return outputs if dense.activation is None else dense.activation(outputs)


def _matrix_form(dense: Any) -> tuple[Axes, Axes, Axes]:
    """Returns the axes of a kernel, its inputs first, and the sizes of its inputs and outputs.

    In Gemma's [n d h] they are in another order. A kernel that is not a matrix in another form has
    no sizes of inputs.
    """
    equation = getattr(dense, "equation", "ab,bc->ac")
    inputs, kernel, output = equation.replace("->", ",").split(",")
    order = tuple(sorted(range(len(kernel)), key=lambda axis: kernel[axis] in output))
    letters = "".join(kernel[axis] for axis in order)
    count = sum(letter not in output for letter in kernel)
    if not (inputs.endswith(letters[:count]) and output.endswith(letters[count:])):
        count = 0
    shape = tuple(dense.kernel.shape[axis] for axis in order)
    return order, shape[:count], shape[count:]


def flat_shape(dense: Any) -> tuple[int, int]:
    """Returns the sizes i and o of a Dense layer's kernel as a matrix."""
    _, inner, outer = _matrix_form(dense)
    return math.prod(inner), math.prod(outer)


@contextlib.contextmanager
def merged(backbone: Any) -> Iterator[None]:
    """Within it, kernels and biases hold what adapters do, and no adapter that merges is there.

    The backbone is then plain Keras layers, for an export or `backbone.model.save_to_preset`.
    Afterwards all is as before, to the bit.
    """
    merged_layers = []
    try:
        for dense in dense_layers(backbone).values():
            part = getattr(dense, "adapter", None)
            if part is None or not part.kind.merges:
                continue
            weights = [dense.kernel] if dense.bias is None else [dense.kernel, dense.bias]
            merged_layers.append((part, dense, weights, [np.array(w) for w in weights]))
            order, inner, outer = _matrix_form(dense)
            matrix = np.array(dense.kernel, np.float64).transpose(order).reshape(flat_shape(dense))
            bias = np.zeros(matrix.shape[1]) if dense.bias is None else np.array(dense.bias)
            values = {name: value.astype(np.float64) for name, value in part.values().items()}
            kernel, bias = part.kind.merged(values, matrix, bias.ravel())
            kernel = kernel.reshape((*inner, *outer)).transpose(np.argsort(order))
            for weight, value in zip(weights, (kernel, bias), strict=False):
                weight.assign(value.reshape(weight.shape).astype(np.float32))
            _remove(dense)
        yield
    finally:
        for part, dense, weights, before in merged_layers:
            if not hasattr(dense, "adapter"):
                _put(dense, part)
            for weight, value in zip(weights, before, strict=True):
                weight.assign(value)


def described(backbone: Any) -> list[dict[str, Any]]:
    """Returns the adapters of a backbone for `attach_again`, JSON-able; empty without adapters."""
    by_adapter: dict[Adapter, list[str]] = {}
    for place, part in parts(backbone).items():
        by_adapter.setdefault(part.kind, []).append(place)
    return [
        {
            "kind": f"{type(adapter).__module__}:{type(adapter).__name__}",
            "settings": dataclasses.asdict(adapter),
            "places": places,
        }
        for adapter, places in by_adapter.items()
    ]


def attach_again(backbone: Any, described: Sequence[Mapping[str, Any]]) -> None:
    """Adds the adapters that a saved run describes; their values are to be assigned.

    Raises:
      WeightsError: they are of a kind that is not known here, or this backbone lacks a layer.
    """
    denses = dense_layers(backbone)
    for entry in described:
        if missing := [place for place in entry["places"] if place not in denses]:
            raise WeightsError(
                f"the run adapted {missing[0]}, which this backbone lacks.",
                valid="the backbone of the run's config",
            )
        settings = entry["settings"].items()
        plain = {n: tuple(value) if isinstance(value, list) else value for n, value in settings}
        _attach(_kind(entry["kind"])(**plain), denses, entry["places"], 0)


def _kind(address: str) -> Any:
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
