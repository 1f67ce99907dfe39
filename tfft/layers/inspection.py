"""Variables and layers of a model, by names that do not depend on the session."""

from __future__ import annotations

import re
from typing import Any

import keras


def named_variables(body: Any, head: keras.layers.Layer | None = None) -> dict[str, Any]:
    """Returns every variable, norm statistics and random seeds included, by group and place.

    A variable that two layers share has the name of the first. Layers of the head that have no name
    of their own are numbered in their order.
    """
    named: dict[str, Any] = {}
    seen: set[int] = set()
    parts = [(group.name, layer) for group in body.groups for layer in group.layers]
    for group, layer in [*parts, *([] if head is None else [("head", head)])]:
        for variable in layer.variables:
            if id(variable) in seen:
                continue
            seen.add(id(variable))
            own, path = layer.name, variable.path
            if layer is head:
                own, path = _unnumbered_layers(own, layer), _unnumbered_layers(path, layer)
            place = unnumbered(path).split("/", 1)[-1]
            name = f"{group}/{own}/{place}" if group != own else f"{group}/{place}"
            count = sum(key == name or key.startswith(f"{name}#") for key in named)
            named[f"{name}#{count}" if count else name] = variable
    return named


def named_weights(body: Any, head: keras.layers.Layer | None = None) -> dict[str, Any]:
    """Returns `named_variables` without the states of random generators."""
    return {name: v for name, v in named_variables(body, head).items() if not is_seed(name)}


def inner_layers(body: Any) -> list[tuple[str, Any]]:
    """Returns the layers of a backbone and those within them, each with the name of its group."""
    layers = [(group.name, layer) for group in body.groups for layer in group.layers]
    return [(name, inner) for name, layer in layers for inner in layer._flatten_layers()]


def inner(model: keras.Model, kind: type) -> Any:
    """Returns the layer of a kind within a model, or within a model in it."""
    layers = model._flatten_layers(include_self=False, recursive=True)
    return next(layer for layer in layers if isinstance(layer, kind))


def unnumbered(path: str) -> str:
    """Returns a variable's path without the numbers that Keras counts over the whole process.

    It numbers random generators, and layers without a name of their own, such as T5's norms.
    """
    return re.sub(r"(seed_generator|layer_norm)_\d+", r"\1", path)


def _unnumbered_layers(path: str, layer: keras.layers.Layer) -> str:
    """Returns a path with "dense" for "dense_3": layers without a name of their own."""
    kinds = {each.name: _usual_name(type(each)) for each in layer._flatten_layers()}
    counted = {name: kind for name, kind in kinds.items() if re.fullmatch(rf"{kind}_\d+", name)}
    return "/".join(counted.get(part, part) for part in path.split("/"))


def _usual_name(kind: type) -> str:
    """Returns Keras' name of the first layer of a class: "layer_normalization"."""
    words = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", kind.__name__))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", words).lower()


def is_seed(name: str) -> bool:
    """Returns True if a name of `named_variables` is the state of a random generator."""
    return "seed_generator_state" in name
