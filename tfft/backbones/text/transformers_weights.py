"""Weights in Transformers' layout: config.json, model.safetensors, vocabulary.

KerasHub's converters know which tensor goes where. What they leave out is done here: the form of
GELU, the epsilon of the norms, RoBERTa's segment vector, names with and without a prefix, and the
check that config and weights fit each other.
"""

from __future__ import annotations

import contextlib
import importlib
import pathlib
import re
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import safetensors

from tfft.backbones.model_folders import read_json
from tfft.backbones.text.encoder_architectures import ARCHITECTURES, Architecture
from tfft.backbones.text.unpadded_encoder import exact_gelu
from tfft.errors import WeightsError


@keras.saving.register_keras_serializable("tfft")
def tanh_gelu(x: Any) -> Any:
    """Returns the tanh approximation of GELU."""
    return keras.activations.gelu(x, approximate=True)


ACTIVATIONS: Mapping[str, Callable[..., Any]] = {
    "gelu": exact_gelu,
    "gelu_new": tanh_gelu,
    "gelu_fast": tanh_gelu,
    "gelu_pytorch_tanh": tanh_gelu,
    "relu": keras.activations.relu,
    "silu": keras.activations.silu,
    "swish": keras.activations.silu,
}


class Tensors(contextlib.ExitStack):
    """The tensors of a folder, by name; what KerasHub's converters read from.

    Args:
      folder: holds model.safetensors, or its parts and their index.
      prefix: what names may carry before the converter's own, such as "bert.".
    """

    def __init__(self, folder: pathlib.Path, prefix: str):
        super().__init__()
        self._folder, self._prefix = folder, prefix
        self.missing: list[str] = []
        self._files: dict[str, Any] = {}
        index = folder / "model.safetensors.index.json"
        if index.exists():
            self._place = {k: str(v) for k, v in read_json(index).get("weight_map", {}).items()}
        else:
            self._place = dict.fromkeys(self._open("model.safetensors").keys(), "model.safetensors")

    def get_tensor(self, name: str) -> np.ndarray:
        """Returns one tensor.

        Raises:
          KeyError: there is none of that name, with or without the prefix.
        """
        bare = name.removeprefix(self._prefix)
        for key in (name, self._prefix + bare, bare):
            if key in self._place:
                return self._open(self._place[key]).get_tensor(key)
        raise KeyError(name)

    def port_weight(
        self,
        keras_variable: Any,
        hf_weight_key: str,
        hook_fn: Callable[[np.ndarray, list[int]], np.ndarray] | None = None,
    ) -> None:
        """Sets a variable, as the method of KerasHub's own loader of this name does.

        Raises:
          WeightsError: the tensor has another shape than the config asks for.
        """
        shape = list(keras_variable.shape)
        try:
            stored = self.get_tensor(hf_weight_key)
        except KeyError:
            self.missing.append(hf_weight_key)
            return
        try:
            array = hook_fn(stored, shape) if hook_fn else stored
        except ValueError:
            array = stored
        if list(array.shape) != shape:
            raise WeightsError(
                f"the weights in {self._folder} do not fit its config.json: {hf_weight_key} is "
                f"{list(stored.shape)} in the file, and the config asks for {shape}.",
                valid="config.json and weights of the same model",
            )
        keras_variable.assign(array)

    def count_layers(self) -> int:
        """Returns how many layers the names number."""
        numbers = (re.search(r"\blayer\.(\d+)\.", name) for name in self._place)
        return max((int(match[1]) + 1 for match in numbers if match), default=0)

    def _open(self, name: str) -> Any:
        if name not in self._files:
            path = self._folder / pathlib.Path(name).name
            try:
                opened = safetensors.safe_open(path, framework="np")
            except (OSError, safetensors.SafetensorError) as error:
                raise WeightsError(
                    f"{path} cannot be read: {error}",
                    valid="the whole file as it was published; copy or download it again",
                ) from error
            self._files[name] = self.enter_context(opened)
        return self._files[name]


def architecture_of(folder: pathlib.Path, config: Mapping[str, Any]) -> Architecture:
    """Returns how the backbone of a config is taken apart.

    Raises:
      WeightsError: the config names no backbone that is supported in this layout.
    """
    named = str(config.get("model_type"))
    architecture = ARCHITECTURES.get(named.replace("-", "_"))
    if architecture is None or architecture.converter is None:
        known = sorted(a.name for a in ARCHITECTURES.values() if a.converter)
        only = sorted(a.name for a in ARCHITECTURES.values() if not a.converter)
        raise WeightsError(
            f"{folder}: model_type {named!r} is not supported in Transformers' layout.",
            valid=f"{', '.join(known)}; in KerasHub's layout also {', '.join(only)}",
            see="tfft list presets",
        )
    kinds = (config.get("position_embedding_type") or "absolute", bool(config.get("is_decoder")))
    if kinds != ("absolute", False):
        raise WeightsError(
            f"{folder}: position_embedding_type={kinds[0]!r}, is_decoder={kinds[1]} is another "
            "computation than this backbone's.",
            valid='"absolute" and false',
        )
    return architecture


def load(folder: pathlib.Path, dtype: str | None) -> tuple[Any, Architecture, tuple[str, ...]]:
    """Returns a KerasHub model with a folder's weights, its architecture and notes.

    Raises:
      WeightsError: config and weights are missing, torn, unsupported, or do not fit.
    """
    config = read_json(folder / "config.json")
    architecture = architecture_of(folder, config)
    converter = importlib.import_module(
        f"keras_hub.src.utils.transformers.{architecture.converter}"
    )
    try:
        sizes = converter.convert_backbone_config(config)
    except KeyError as error:
        raise WeightsError(f"{folder / 'config.json'} does not say {error}.") from error
    if "type_vocab_size" in config and architecture.name == "bert":
        sizes["num_segments"] = config["type_vocab_size"]
    model = architecture.model(**sizes, dtype=dtype)
    with Tensors(folder, architecture.keys) as tensors:
        _check_layers(folder, tensors, model, architecture)
        converter.convert_weights(model, tensors, config)
        if architecture.name == "roberta":
            _fold_segment(model, tensors)
        notes = _missing(folder, tensors.missing)
    follow_config(folder, model, config)
    return model, architecture, notes


def follow_config(folder: pathlib.Path, model: Any, config: Mapping[str, Any]) -> None:
    """Gives the layers the activation and the norms' epsilon that the weights were trained with.

    KerasHub builds BERT, ALBERT and ELECTRA with the tanh form of GELU, whatever a config says.

    Raises:
      WeightsError: the config names an activation that is not known.
    """
    name = config.get("hidden_act", config.get("activation", "gelu"))
    if name not in ACTIVATIONS:
        raise WeightsError(
            f"{folder / 'config.json'} has the activation {name!r}.",
            valid=", ".join(sorted(ACTIVATIONS)),
        )
    epsilon = config.get("layer_norm_eps")
    for layer in model._flatten_layers(include_self=False):
        if hasattr(layer, "_feedforward_intermediate_dense"):
            layer.activation = ACTIVATIONS[name]
            layer._feedforward_intermediate_dense.activation = ACTIVATIONS[name]
        if epsilon is not None and isinstance(layer, keras.layers.LayerNormalization):
            layer.epsilon = float(epsilon)


def _check_layers(
    folder: pathlib.Path, tensors: Tensors, model: Any, architecture: Architecture
) -> None:
    # ALBERT's layers are shared; its names count something else.
    stored, configured = tensors.count_layers(), model.num_layers
    if architecture.name != "albert" and stored != configured:
        raise WeightsError(
            f"the weights in {folder} hold {stored} layers, and its config.json asks for "
            f"{configured}.",
            valid="config.json and weights of the same model",
        )


def _fold_segment(model: Any, tensors: Tensors) -> None:
    """Adds RoBERTa's one segment vector to every position; KerasHub's converter drops it."""
    with contextlib.suppress(KeyError):
        segment = tensors.get_tensor("roberta.embeddings.token_type_embeddings.weight")[0]
        positions = model.embeddings.position_embedding.position_embeddings
        positions.assign(positions + segment)


def _missing(folder: pathlib.Path, names: list[str]) -> tuple[str, ...]:
    """Accepts weights without a pooler, which many checkpoints lack, and nothing less."""
    others = [name for name in names if "pooler" not in name]
    if others:
        raise WeightsError(
            f"the weights in {folder} lack {len(others)} tensors of this backbone, "
            f"the first {others[0]}.",
            valid="weights of a whole backbone, saved by Transformers",
        )
    return ("the weights hold no pooler",) if names else ()
