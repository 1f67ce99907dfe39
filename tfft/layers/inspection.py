"""Variables and layers of a model, by names that do not depend on the session."""

from __future__ import annotations

import re
from typing import Any

import keras


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
