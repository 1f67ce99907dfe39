"""New weights for the top layers, before the first step (Zhang et al. 2021, Revisiting few-sample
BERT fine-tuning): what pretraining put there is made for its own task.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import ConfigError
from tfft.layers.inspection import named_variables
from tfft.methods.attachment import Part, flat_shape
from tfft.training.freezing import frozen_names


def reinitialise(
    stages: Sequence[Any], number: int, body: Any, head: Any, seed: int, say: Any
) -> None:
    """Draws the weights of the top layers anew where a stage is the first that asks for it.

    Each variable gets a value of its layer's own initialiser: kernels and embeddings a random one
    that follows from the seed and the variable's name, norms ones and zeros. Call it once, at the
    start of the stage.

    Args:
      stages: of a run.
      number: the place of the stage that begins.
      body: a Backbone.
      head: the task's, which stays as it is.
      seed: of the run.
      say: the console.

    Raises:
      ConfigError: there are not so many layers, the stage freezes a part of them, or they share
        their weights with others.
    """
    stage = stages[number]
    if not stage.reinit_layers or any(one.reinit_layers for one in stages[:number]):
        return
    groups = _groups(stage.reinit_layers, body)
    names = {id(v): name for name, v in named_variables(body, head).items()}
    frozen = frozen_names(stage, body, head)
    own = [
        (part, variable)
        for layer in {id(one): one for group in groups for one in group.layers}.values()
        for part in layer._flatten_layers()
        if not isinstance(part, (Part, keras.layers.Dropout))
        for variable in part._trainable_variables + part._non_trainable_variables
    ]
    still = [names[id(variable)] for _, variable in own if names[id(variable)] in frozen]
    if still:
        raise ConfigError(
            f"stage {stage.name!r} gives {len(still)} weights new values and does not train them, "
            f"the first {still[0]}.",
            valid="a smaller reinit_layers, or a stage that trains these layers whole",
        )
    for part, variable in own:
        variable.assign(_drawn(part, variable, names[id(variable)], seed))
    say.info(f"stage {stage.name!r}: new weights for {', '.join(group.name for group in groups)}")


def _groups(layers: int, body: Any) -> list[Any]:
    """Returns the groups of the top layers and of the pooler."""
    if layers > body.depth:
        raise ConfigError(
            f"reinit_layers={layers}, but this backbone has {body.depth} layers.",
            valid=f"0 to {body.depth}",
            see="tfft check --gin_file=FILE",
        )
    first = body.depth + 1 - layers
    below, top = body.groups[:first], body.groups[first:]
    if set(_ids(below)) & set(_ids(top)):
        raise ConfigError(
            f"reinit_layers={layers}, but the layers of this body ({body.name}) share their "
            "weights with layers below.",
            valid=f"0 or {body.depth}",
        )
    return list(top)


def _ids(groups: Sequence[Any]) -> Iterator[int]:
    return (id(layer) for group in groups for layer in group.layers)


def _drawn(part: Any, variable: Any, name: str, seed: int) -> np.ndarray:
    """Returns a value of the initialiser that the layer made the variable with."""
    kind = getattr(part, f"{variable.name}_initializer", None)
    if kind is None:
        raise ConfigError(
            f"reinit_layers reaches {name}, whose layer does not say how it was initialised.",
            valid="a smaller reinit_layers",
        )
    config = dict(kind.get_config())
    if "seed" in config:
        config["seed"] = int(
            np.random.default_rng([seed, zlib.crc32(name.encode())]).integers(2**31)
        )
    shape = tuple(variable.shape)
    # Initialisers that scale with the inputs know a matrix's, not those of a kernel with heads.
    heads = variable.name == "kernel" and isinstance(part, keras.layers.EinsumDense)
    flat = flat_shape(part) if heads else shape
    return np.reshape(np.array(type(kind).from_config(config)(flat, dtype="float32")), shape)
