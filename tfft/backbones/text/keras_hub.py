"""Pretrained backbones: by KerasHub's names, by handle, or from a folder on this machine."""

from __future__ import annotations

import pathlib
from typing import Any, Literal

import h5py
import safetensors

from tfft.argument_checks.validated import COUNT, FILLED, NON_NEGATIVE, Range, validated
from tfft.backbones.base import Backbone
from tfft.backbones.build_limits import built_from
from tfft.backbones.keras_hub_downloads import load_preset, resolve_preset, short
from tfft.backbones.model_folders import layout, read_json
from tfft.backbones.model_folders import notes as notes_of_folder
from tfft.backbones.text import tokenizer_loading, transformers_weights
from tfft.backbones.text.decoder_architectures import ALL, of_class, of_type
from tfft.backbones.text.encoder_architectures import Architecture
from tfft.backbones.text.generative_backbones import body_of
from tfft.errors import ConfigError, DepthError, WeightsError
from tfft.preprocessing.text.long_text_windows import with_long_texts
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor

_BROKEN = (OSError, ValueError, KeyError, TypeError, RuntimeError, safetensors.SafetensorError)


@validated(
    preset=FILLED, sequence_length=Range(least=3), window_overlap=NON_NEGATIVE, most_windows=COUNT
)
def keras_hub(
    preset: str,
    *,
    sequence_length: int = 128,
    pooling: str = "mean",
    dtype: Literal["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
    | None = None,
    long_texts: Literal["cut", "windows"] = "cut",
    window_overlap: int | None = None,
    most_windows: int = 8,
    window_average: Literal["features", "probabilities"] = "features",
) -> Backbone:
    """Loads a pretrained backbone with its preprocessor.

    Args:
      preset: a name that `tfft fetch` knows, a KerasHub preset, a handle (hf:// or kaggle://), or
        a folder in KerasHub's layout or in Transformers' (config.json, model.safetensors, and the
        vocabulary).
      sequence_length: the most tokens that are read at once, special tokens included.
      pooling: "cls", "mean", "max", or "pooler" where the backbone has one.
      dtype: a Keras dtype policy, such as "mixed_bfloat16".
      long_texts: "cut" leaves out what is behind `sequence_length`; "windows" reads all of it, in
        overlapping windows of that length.
      window_overlap: tokens that two windows share; None for a quarter of `sequence_length`.
      most_windows: windows of a text; what is behind them is cut.
      window_average: what is averaged over the windows of a text: the pooled "features", before
        the head, or the head's "probabilities".

    Raises:
      WeightsError: weights are missing, pickled, torn, of an unsupported kind, or do not fit.
      DepthError: `sequence_length` is beyond the backbone's positions.
      ConfigError: the backbone has no such pooling, or windows that cannot be.
    """
    folder, notes = resolve_preset(preset)
    kind = layout(folder)
    with built_from(folder):
        model, architecture, preprocessor, more = _load(folder, kind, sequence_length, dtype)
    most = getattr(model, "max_sequence_length", sequence_length)
    if sequence_length > most:
        raise DepthError(
            f"sequence_length={sequence_length}, but {preset} has positions for {most} tokens.",
            valid=f"3 to {most}",
        )
    if pooling == "pooler" and "the weights hold no pooler" in more:
        raise ConfigError(
            f"pooling='pooler', but {preset} holds no pooler.", valid="cls, mean, max"
        )
    return body_of(
        model,
        architecture,
        with_long_texts(preprocessor, long_texts, window_overlap, most_windows),
        pooling=pooling,
        preset=preset,
        notes=tuple(dict.fromkeys((*notes, *notes_of_folder(folder), *more))),
        average=window_average,
    )


def _load(
    folder: pathlib.Path, kind: str, length: int, dtype: str | None
) -> tuple[Any, Architecture, TextPreprocessor, tuple[str, ...]]:
    if kind == "hub":
        model, architecture = _load_hub(folder, dtype)
        tokenizer = tokenizer_loading.hub_folder_tokenizer(folder)
        preprocessor = tokenizer_loading.from_hub(architecture, tokenizer, length)
        notes: tuple[str, ...] = ()
        size = tokenizer.vocabulary_size()
    elif generator := of_type(str(read_json(folder / "config.json").get("model_type"))):
        architecture, notes = generator, ()
        model, tokenizer = _load_converted(folder, generator, dtype)
        preprocessor = tokenizer_loading.from_hub(architecture, tokenizer, length)
        size = tokenizer.vocabulary_size()
    else:
        config = read_json(folder / "config.json")
        architecture = transformers_weights.architecture_of(folder, config)
        preprocessor, size = tokenizer_loading.from_folder(folder, architecture, length)
        model, architecture, notes = transformers_weights.load(folder, dtype)
    rows = getattr(model, "vocab_size", None) or model.vocabulary_size
    # SentencePiece models of KerasHub may name a mask token that has no row; texts never use it.
    if size > rows + 1 or (size > rows and architecture.word_piece):
        raise WeightsError(
            f"the vocabulary in {folder} has {size} tokens, and the model has {rows} embeddings.",
            valid="vocabulary and weights of the same model",
        )
    return model, architecture, preprocessor, notes


def _load_hub(folder: pathlib.Path, dtype: str | None) -> tuple[Any, Architecture]:
    name = str(read_json(folder / "config.json").get("class_name"))
    architecture = of_class(name)
    if architecture is None:
        known = [one.model.__name__ for one in ALL.values()]
        raise WeightsError(
            f"{folder} holds a {name}, which is no backbone for text that is supported.",
            valid=", ".join(known),
            see="tfft list presets",
        )
    model = load_preset(architecture.model, folder, dtype=dtype)
    _check_whole(folder, model)
    return model, architecture


def _load_converted(
    folder: pathlib.Path, architecture: Architecture, dtype: str | None
) -> tuple[Any, Any]:
    """Returns the model and the tokenizer of a folder in Transformers' layout, by KerasHub.

    Raises:
      WeightsError: something is missing, torn, or does not fit.
    """
    try:
        model = architecture.model.from_preset(str(folder), dtype=dtype)
        tokenizer = architecture.tokenizer.from_preset(str(folder))
    except _BROKEN as error:
        raise WeightsError(
            f"{folder} cannot be read as {architecture.name}: {short(error)}",
            valid="config.json, model.safetensors and the tokenizer's files of the same model",
        ) from error
    epsilon = read_json(folder / "config.json").get("rms_norm_eps")
    for layer in model._flatten_layers(include_self=False):
        if epsilon is not None and hasattr(layer, "epsilon"):  # some converters leave it out
            layer.epsilon = float(epsilon)
    return model, tokenizer


def _check_whole(folder: pathlib.Path, model: Any) -> None:
    """Refuses weights with more arrays than the model; Keras leaves the rest out without a word."""
    path = folder / "model.weights.h5"
    if not path.exists():
        return
    held: list[str] = []
    with h5py.File(path) as file:
        file.visititems(
            lambda name, one: held.append(name) if isinstance(one, h5py.Dataset) else None
        )
    held = [name for name in held if "seed_generator" not in name]
    if len(held) != len(model.weights):
        raise WeightsError(
            f"{path} holds {len(held)} arrays, and config.json asks for {len(model.weights)}.",
            valid="config.json and weights of the same model",
        )
