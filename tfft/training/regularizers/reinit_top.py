"""New weights for the top layers, before the first step (Zhang et al. 2021, Revisiting few-sample
BERT fine-tuning): what pretraining put there is made for its own task.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, validated
from tfft.errors import ConfigError
from tfft.layers.inspection import named_variables
from tfft.methods.attachment import Part, flat_shape
from tfft.training.freezing import frozen_names
from tfft.training.regularizers.base import Regularizer


@validated(layers=COUNT)
@dataclasses.dataclass(frozen=True)
class ReinitTop(Regularizer):
    """Gives the top layers and the pooler new weights before the first stage that has it.

    Zhang et al. 2021, Revisiting few-sample BERT fine-tuning.

    Args:
      layers: how many, counted from the top.
    """

    layers: int = 1

    def begin_stage(
        self, stages: Sequence[Any], number: int, backbone: Any, head: Any, seed: int, console: Any
    ) -> None:
        if not any(isinstance(r, ReinitTop) for s in stages[:number] for r in s.regularizers):
            reinitialise(self.layers, stages[number], backbone, head, seed, console)


def reinitialise(layers: int, stage: Any, body: Any, head: Any, seed: int, console: Any) -> None:
    """Draws the weights of the top layers anew.

    Each variable gets a value of its layer's own initialiser: kernels and embeddings a random one
    that follows from the seed and the variable's name, norms ones and zeros.

    Args:
      layers: how many, counted from the top.
      stage: that begins.
      body: a Backbone.
      head: the task's, which stays as it is.
      seed: of the run.
      console: reports what was drawn.

    Raises:
      ConfigError: there are not so many layers, the stage freezes a part of them, or they share
        their weights with others.
    """
    groups = _groups(layers, body)
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
            valid="a smaller ReinitTop.layers, or a stage that trains these layers whole",
        )
    for part, variable in own:
        variable.assign(_drawn(part, variable, names[id(variable)], seed))
    console.info(
        f"stage {stage.name!r}: new weights for {', '.join(group.name for group in groups)}"
    )


def _groups(layers: int, body: Any) -> list[Any]:
    """Returns the groups of the top layers and of the pooler."""
    if "" not in body.towers:
        raise ConfigError(
            "ReinitTop gives new weights to the top layers of one tower, and this backbone has "
            f"{len(body.towers)}.",
            set_in="Stage.regularizers",
            valid="a backbone of one tower, or no ReinitTop",
        )
    if layers > body.depth:
        raise ConfigError(
            f"ReinitTop.layers={layers}, but this backbone has {body.depth} layers.",
            valid=f"1 to {body.depth}",
            see="tfft check --gin_file=FILE",
        )
    first = body.depth + 1 - layers
    below, top = body.groups[:first], body.groups[first:]
    if set(_ids(below)) & set(_ids(top)):
        raise ConfigError(
            f"ReinitTop.layers={layers}, but the layers of this body ({body.name}) share their "
            "weights with layers below.",
            valid=f"{body.depth}, or no ReinitTop",
        )
    return list(top)


def _ids(groups: Sequence[Any]) -> Iterator[int]:
    return (id(layer) for group in groups for layer in group.layers)


def _drawn(part: Any, variable: Any, name: str, seed: int) -> np.ndarray:
    """Returns a value of the initialiser that the layer made the variable with."""
    kind = getattr(part, f"{variable.name}_initializer", None)
    if kind is None:
        raise ConfigError(
            f"ReinitTop reaches {name}, whose layer does not say how it was initialised.",
            valid="a smaller ReinitTop.layers",
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
