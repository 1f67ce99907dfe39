"""New weights for the top layers, before the first step (Zhang et al. 2021, Revisiting few-sample
BERT fine-tuning): the pretrained ones are made for the task of the pretraining.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Sequence
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
        """Initializes the weights of the top layers again, in the first stage that has this.

        Each variable gets a value of its layer's own initializer: kernels and embeddings a random
        one that follows from the seed and the variable's name, norms ones and zeros.

        Raises:
          ConfigError: there are not so many layers, the stage freezes a part of them, or they share
            their weights with others.
        """
        if any(isinstance(r, ReinitTop) for s in stages[:number] for r in s.regularizers):
            return
        stage, groups = stages[number], _groups(self.layers, backbone)
        names = {id(v): name for name, v in named_variables(backbone, head).items()}
        frozen = frozen_names(stage, backbone, head)
        variables = [
            (part, variable, names[id(variable)])
            for layer in {id(one): one for group in groups for one in group.layers}.values()
            for part in layer._flatten_layers()
            if not isinstance(part, (Part, keras.layers.Dropout))
            for variable in part._trainable_variables + part._non_trainable_variables
        ]
        if still := [name for *_, name in variables if name in frozen]:
            raise ConfigError(
                f"stage {stage.name!r} gives {len(still)} weights new values and does not train "
                f"them, the first {still[0]}.",
                valid="a smaller ReinitTop.layers, or a stage that trains these layers whole",
            )
        for part, variable, name in variables:
            variable.assign(_initial_value(part, variable, name, seed))
        titles = ", ".join(group.name for group in groups)
        console.info(f"stage {stage.name!r}: new weights for {titles}")


def _groups(layers: int, backbone: Any) -> list[Any]:
    """Returns the groups of the top layers and of the pooler."""
    if "" not in backbone.towers:
        raise ConfigError(
            "ReinitTop gives new weights to the top layers of one tower, and this backbone has "
            f"{len(backbone.towers)}.",
            set_in="Stage.regularizers",
            valid="a backbone of one tower, or no ReinitTop",
        )
    if layers > backbone.depth:
        raise ConfigError(
            f"ReinitTop.layers={layers}, but this backbone has {backbone.depth} layers.",
            valid=f"1 to {backbone.depth}",
            see="tfft check --gin_file=FILE",
        )
    first = backbone.depth + 1 - layers
    top = backbone.groups[first:]
    below = {id(layer) for group in backbone.groups[:first] for layer in group.layers}
    if any(id(layer) in below for group in top for layer in group.layers):
        raise ConfigError(
            f"ReinitTop.layers={layers}, but the layers of this backbone ({backbone.name}) share "
            "their weights with layers below.",
            valid=f"{backbone.depth}, or no ReinitTop",
        )
    return list(top)


def _initial_value(part: Any, variable: Any, name: str, seed: int) -> np.ndarray:
    """Returns a value of the initializer that the layer made the variable with."""
    kind = getattr(part, f"{variable.name}_initializer", None)
    if kind is None:
        raise ConfigError(
            f"ReinitTop reaches {name}, whose layer does not say how it was initialised.",
            valid="a smaller ReinitTop.layers",
        )
    config, shape = dict(kind.get_config()), tuple(variable.shape)
    if "seed" in config:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        config["seed"] = int(rng.integers(2**31))
    # Initialisers that scale with the inputs know a matrix's, not those of a kernel with heads.
    heads = variable.name == "kernel" and isinstance(part, keras.layers.EinsumDense)
    flat = flat_shape(part) if heads else shape
    return np.reshape(np.array(type(kind).from_config(config)(flat, dtype="float32")), shape)
