"""A residual backbone of images with a few thousand random weights, for tests and for `check`."""

from __future__ import annotations

from typing import Any, Literal

import keras

from tfft.argument_checks.validated import COUNT, FRACTION, SEED, validated
from tfft.backbones.base import Backbone
from tfft.backbones.image.block_splitting import cut
from tfft.backbones.image.image_backbone import ImageBackbone, draw_weights
from tfft.backbones.image.normalization import ApplicationNormalization
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor

layers = keras.layers
MOMENTUM = 0.8  # of the norms' statistics, which keep up with a training of a few steps


@validated(blocks=COUNT, dim=COUNT, image_size=COUNT, dropout=FRACTION, seed=SEED)
def tiny_image(
    blocks: int = 2,
    dim: int = 8,
    *,
    image_size: int = 12,
    pooling: Literal["avg", "max", "flatten"] = "avg",
    fit: Literal["crop", "pad", "stretch"] = "crop",
    dropout: float = 0.1,
    seed: int = 0,
) -> Backbone:
    """Returns a ResNet with BatchNorm and random weights.

    Args:
      blocks: its depth; each block but the first halves the picture.
      dim: channels.
      image_size: height and width that it reads, in pixels.
      pooling: over the places of the last block.
      fit: see `ImagePreprocessor`.
      dropout: in each block.
      seed: of the weights.

    Raises:
      ConfigError: no such pooling or fit.
    """
    inputs = keras.Input((image_size, image_size, 3))
    hidden = _unit(inputs, dim, "stem")
    for number in range(1, blocks + 1):
        hidden = _residual(hidden, dim, 1 if number == 1 else 2, dropout, f"block{number}")
    model = keras.Model(inputs, hidden)
    draw_weights(model, seed)
    return ImageBackbone(
        model,
        cut(model),
        ImagePreprocessor(image_size, image_size, fit),
        ApplicationNormalization("MobileNetV2"),  # -1 to 1
        name="tiny_image",
        pooling=pooling,
        notes=("random weights, for tests",),
    )


def _unit(hidden: Any, dim: int, name: str, strides: int = 1) -> Any:
    """Returns convolution, norm and ReLU of [b h w c]."""
    hidden = layers.Conv2D(dim, 3, strides, padding="same", use_bias=False, name=f"{name}_conv")(
        hidden
    )
    hidden = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_norm")(hidden)
    return layers.ReLU(name=f"{name}_relu")(hidden)


def _residual(hidden: Any, dim: int, strides: int, dropout: float, name: str) -> Any:
    """Returns a block's output: two convolutions beside a shortcut."""
    inner = _unit(hidden, dim, f"{name}_1", strides)
    inner = layers.Dropout(dropout, name=f"{name}_dropout")(inner)
    inner = layers.Conv2D(dim, 3, padding="same", use_bias=False, name=f"{name}_2_conv")(inner)
    inner = layers.BatchNormalization(momentum=MOMENTUM, name=f"{name}_2_norm")(inner)
    if strides > 1:
        hidden = layers.Conv2D(dim, 1, strides, use_bias=False, name=f"{name}_0_conv")(hidden)
    return layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([hidden, inner]))
