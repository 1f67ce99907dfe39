"""KerasHub's backbones of images: ResNets and Vision Transformers, from a preset or a folder."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence
from typing import Any, Literal

import keras_hub

from tfft.argument_checks.validated import ANY, COUNT, FILLED, validated
from tfft.backbones.base import Backbone
from tfft.backbones.build_limits import built_from
from tfft.backbones.image.block_splitting import blocks_of
from tfft.backbones.image.image_backbone import ImageBackbone
from tfft.backbones.image.normalization import LinearNormalization
from tfft.backbones.keras_hub_downloads import download, load_preset
from tfft.backbones.model_folders import read_json
from tfft.errors import ConfigError, WeightsError, near
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor
from tfft.storage.foreign_files import local_path

KINDS = (keras_hub.models.ResNetBackbone, keras_hub.models.ViTBackbone)


@validated(preset=FILLED, image_size=COUNT, scale=ANY, offset=ANY)
def keras_hub_images(
    preset: str,
    image_size: int | tuple[int, int] | None = None,
    *,
    pooling: Literal["avg", "max", "flatten", "cls"] = "avg",
    fit: Literal["crop", "pad", "stretch"] = "crop",
    scale: float | Sequence[float] | None = None,
    offset: float | Sequence[float] | None = None,
) -> Backbone:
    """Loads a ResNet or a ViT of KerasHub as a backbone whose blocks can be frozen one by one.

    Args:
      preset: a KerasHub preset, a handle (hf:// or kaggle://), or a folder in KerasHub's layout.
      image_size: height and width that a ResNet reads, in pixels, 224 when None; a ViT has its own.
      pooling: "avg" or "max" over all places, "flatten" for every value; "cls", the first token, of
        a ViT.
      fit: where the shape of an image is another one, see `ImagePreprocessor`.
      scale, offset: pixels, 0 to 255, are multiplied by the one and shifted by the other, one
        number or one a channel; None takes those of the preset.

    Raises:
      WeightsError: weights are missing, or of another kind.
      ConfigError: a size that the backbone does not have, or a preset without the scale and offset
        of pixels.
    """
    for name, value in (("scale", scale), ("offset", offset)):
        if isinstance(value, Sequence) and len(value) != 3:
            raise ConfigError(
                f"keras_hub_images.{name} must have a number for each channel. "
                f"Received: {name}={value}.",
                valid="a number, or three of them",
            )
    folder = _folder(preset)
    sizes = (image_size, image_size) if isinstance(image_size, int) else image_size
    with built_from(folder):
        model = _model(folder, preset, sizes)
    height, width = model.image_shape[:2]
    if sizes is not None and (height, width) != tuple(sizes):
        raise ConfigError(
            f"image_size={image_size}, but {preset} reads images of {height} x {width}.",
            set_in="keras_hub_images.image_size",
            valid=f"None, or {height}" if height == width else "None",
        )
    if scale is None or offset is None:
        own_scale, own_offset = _normalisation(folder, preset)
        scale = own_scale if scale is None else scale
        offset = own_offset if offset is None else offset
    return ImageBackbone(
        model,
        blocks_of(model),
        ImagePreprocessor(height, width, fit),
        LinearNormalization(scale, offset),
        name=type(model).__name__.removesuffix("Backbone").lower(),
        pooling=pooling,
        preset=preset,
    )


def _folder(preset: str) -> pathlib.Path:
    """Returns the folder behind a preset's name, downloaded if it must be."""
    known = {
        name: details["kaggle_handle"] for kind in KINDS for name, details in kind.presets.items()
    }
    if "://" in preset or preset in known:
        return download(known.get(preset, preset))
    folder = local_path(preset, WeightsError)
    if not (folder / "config.json").is_file():
        raise WeightsError(
            f"preset={preset!r} is no KerasHub preset of images and no folder with a config.json.",
            set_in="keras_hub_images.preset",
            valid=near(preset, known),
        )
    return folder


def _model(folder: pathlib.Path, preset: str, sizes: tuple[int, int] | None) -> Any:
    name = str(read_json(folder / "config.json").get("class_name"))
    kinds = {kind.__name__: kind for kind in KINDS}
    if name not in kinds:
        raise WeightsError(
            f"{preset} holds a {name}, which is no backbone of images that is supported.",
            set_in="keras_hub_images.preset",
            valid=", ".join(kinds),
        )
    resnet = {"image_shape": (*(sizes or (224, 224)), 3)} if name == "ResNetBackbone" else {}
    return load_preset(kinds[name], folder, **resnet)


def _normalisation(folder: pathlib.Path, preset: str) -> tuple[Any, Any]:
    """Returns what the preset's own preprocessing does with pixels."""
    try:
        converter = keras_hub.layers.ImageConverter.from_preset(str(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{preset} does not say how pixels are normalised.",
            set_in="keras_hub_images",
            valid="keras_hub_images.scale and keras_hub_images.offset, such as 1 / 127.5 and -1",
        ) from error
    scale = 1.0 if converter.scale is None else converter.scale
    return scale, 0.0 if converter.offset is None else converter.offset
