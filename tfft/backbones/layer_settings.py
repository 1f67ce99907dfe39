"""Settings of a KerasHub model's layers that the model's own config does not have.

KerasHub builds a model from a few numbers. What is set at its layers afterwards is part of what the
model computes: the activation and the epsilon that the weights were trained with
(`transformers_weights`, `keras_hub`), and the dtype policy of a stage (`Execution`).
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any

import keras
import keras_hub

from tfft.errors import ConfigError, WeightsError
from tfft.layers.serialization import deserialize

NAMES = ("activation", "dtype_policy", "epsilon")


def layer_settings(model: keras.Model) -> dict[str, Any]:
    """Returns the settings of all layers of a KerasHub model, JSON-able, in the layers' order.

    Args:
      model: one of KerasHub; the config of other models has the configs of its layers.

    Returns:
      By name a list with a value for each layer, None where the layer keeps its own; or one value
      for all of them.
    """
    if not isinstance(model, keras_hub.models.Backbone):
        return {}
    layers = list(model._flatten_layers(include_self=False))
    rows = [{name: _setting(layer, name) for name in NAMES} for layer in layers]
    columns = {name: [row[name] for row in rows] for name in NAMES}
    return {
        name: values[0] if all(value == values[0] for value in values) else values
        for name, values in columns.items()
    }


def set_layer_settings(model: keras.Model, settings: Mapping[str, Any]) -> None:
    """Gives the layers of a model the settings that `layer_settings` returned of an equal one.

    Raises:
      WeightsError: the model has another number of layers.
    """
    layers = list(model._flatten_layers(include_self=False))
    for name in NAMES:
        values = settings.get(name)
        if not isinstance(values, list):
            values = [values] * len(layers)
        if len(values) != len(layers):
            raise WeightsError(
                f"the file has settings of {len(values)} layers, and this version of KerasHub "
                f"builds {model.name} with {len(layers)}.",
                valid="the version of KerasHub that the file was written with",
            )
        for layer, value in zip(layers, values, strict=True):
            if value is not None and _setting(layer, name) != value:
                setattr(layer, name, deserialize(value))


def _setting(layer: Any, name: str) -> Any:
    """Returns a setting of a layer, JSON-able; None if the layer does not have it."""
    value: Any = getattr(layer, name, None)
    if name == "dtype_policy":
        return None if value.quantization_mode else value.name
    if name == "epsilon":
        return None if value is None else float(value)
    # KerasHub builds BERT with a lambda, which no file may hold and which it builds again.
    if not isinstance(value, types.FunctionType) or value.__name__ == "<lambda>":
        return None
    return keras.saving.serialize_keras_object(value)


def refuse_adapters(model: keras.Model) -> None:
    """Refuses a model with adapters at its layers, which its config does not have.

    Raises:
      ConfigError: says how to save the model.
    """
    layers = list(model._flatten_layers(include_self=False))
    adapters = [layer.adapter for layer in layers if getattr(layer, "adapter", None) is not None]
    if not adapters:
        return
    fixed = sorted({each.kind.name for each in adapters if not each.kind.merges})
    if fixed:
        raise ConfigError(
            f"a .keras file holds no adapters, and those of kind {', '.join(map(repr, fixed))} "
            "cannot be merged with the weights.",
            valid="run.export(FOLDER), which writes a SavedModel with the adapters; or a method "
            "that can be merged, such as lora()",
        )
    raise ConfigError(
        f"a .keras file holds no adapters, and the backbone has {adapters[0].kind.name}.",
        valid='run.save("model.keras"), which merges the adapters with the weights',
    )
