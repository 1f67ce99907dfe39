"""Presets of KerasHub: handles, downloads and their errors."""

from __future__ import annotations

import pathlib
from typing import Any

from tfft.backbones.model_folders import find
from tfft.backbones.presets import handles
from tfft.errors import WeightsError, near
from tfft.storage.downloads import fetch
from tfft.storage.foreign_files import local_path

# All files that a backbone and its tokenizer are read from; never pickles.
WANTED = ["*.json", "*.txt", "*.model", "*.safetensors", "*.weights.h5", "assets/*"]


def resolve_preset(preset: str) -> tuple[pathlib.Path, tuple[str, ...]]:
    """Returns the folder behind a preset's name, downloaded if it must be, and notes."""
    item = fetch.ITEMS.get(preset)
    if item is not None and item.kind == "weights":
        return fetch.path(preset), ((item.note,) if item.note else ())
    if "://" in preset:
        return download(preset), ()
    known = handles()
    if preset in known:
        return download(known[preset]), ()
    if "/" not in preset and not local_path(preset, WeightsError).exists():
        weights = [name for name, one in fetch.ITEMS.items() if one.kind == "weights"]
        raise WeightsError(
            f"preset={preset!r} is no fetched weights, no KerasHub preset and no folder here.",
            valid=near(preset, [*weights, *known]),
            see="tfft list presets",
        )
    return find(preset), ()


def download(handle: str) -> pathlib.Path:
    """Returns the folder of a handle, from the cache of its package or from the network."""
    scheme, _, name = handle.partition("://")
    if scheme not in ("hf", "kaggle"):
        raise WeightsError(
            f"preset={handle!r} is a handle of a kind that is not known.",
            valid="hf://user/model, kaggle://user/model/keras/variant",
        )
    # Both packages raise many kinds of error for one cause, a network that is not there.
    try:
        if scheme == "hf":
            import huggingface_hub

            path = huggingface_hub.snapshot_download(name, allow_patterns=WANTED)
        else:
            import kagglehub

            path = kagglehub.model_download(name)
    except Exception as error:
        raise WeightsError(
            f"{handle} could not be had; a handle needs the network the first time, and an "
            f"account's consent for some models ({short(error)})",
            valid="a folder on this machine, or weights that came with a package",
            see="tfft fetch minilm_l6",
        ) from error
    return pathlib.Path(path)


def load_preset(kind: Any, folder: pathlib.Path, **settings: Any) -> Any:
    """Returns the model of a folder in KerasHub's layout.

    Args:
      kind: its class.
      settings: of `from_preset`.

    Raises:
      WeightsError: config and weights do not fit.
    """
    try:
        return kind.from_preset(str(folder), **settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"the weights in {folder} cannot be read into its config: {short(error)}",
            valid="config.json and weights of the same model, whole",
        ) from error


def short(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:160]}"
