"""Image models of `keras.applications`, without their classifiers."""

from __future__ import annotations

import pathlib
from typing import Any, Literal

import keras

from tfft.argument_checks.validated import COUNT, FILLED, SEED, validated
from tfft.backbones.base import Backbone
from tfft.backbones.image.block_splitting import cut
from tfft.backbones.image.image_backbone import ImageBackbone, draw_weights
from tfft.backbones.image.normalization import ApplicationNormalization
from tfft.errors import ConfigError, WeightsError, near
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor
from tfft.storage.downloads import fetch


@validated(name=FILLED, weights=FILLED, image_size=COUNT, seed=SEED)
def keras_applications(
    name: str = "VGG16",
    weights: str | None = None,
    image_size: int | tuple[int, int] = 224,
    *,
    pooling: Literal["avg", "max", "flatten"] = "avg",
    fit: Literal["crop", "pad", "stretch"] = "crop",
    seed: int = 0,
) -> Backbone:
    """Returns an image model as a backbone whose blocks can be frozen one by one.

    VGG16 has 5 blocks, ResNet50 has 16 residual ones above its stem. Pixels are normalised as the
    architecture's own `preprocess_input` does it, within the backbone.

    Args:
      name: a model of `keras.applications`: VGG16, ResNet50, MobileNetV2, EfficientNetB0, ...
      weights: a name that `tfft fetch` knows; a .weights.h5 or .h5 file of this model without its
        classifier; "imagenet", which Keras downloads; None for random ones.
      image_size: height and width that the model reads, in pixels; one number for both.
      pooling: "avg" or "max" over all places, "flatten" for every value.
      fit: where the shape of an image is another one, see `ImagePreprocessor`.
      seed: of random weights.

    Raises:
      ConfigError: no such model, or a size that it cannot read.
      WeightsError: the weights are missing, or of another model.
    """
    make = getattr(keras.applications, name, None)
    if not callable(make):
        known = [each for each in dir(keras.applications) if each[:1].isupper()]
        raise ConfigError(
            f"name={name!r} is no model of keras.applications.",
            set_in="keras_applications.name",
            valid=near(name, known, 8),
        )
    height, width = (image_size, image_size) if isinstance(image_size, int) else image_size
    own = "imagenet" if weights == "imagenet" else None
    try:
        model = make(include_top=False, weights=own, input_shape=(height, width, 3))
    except ValueError as error:
        raise ConfigError(
            f"{name} cannot read images of {height} x {width}: {error}",
            set_in="keras_applications.image_size",
        ) from error
    notes = _load(model, name, weights, seed)
    return ImageBackbone(
        model,
        cut(model),
        ImagePreprocessor(height, width, fit),
        ApplicationNormalization(name),
        name=name.lower(),
        pooling=pooling,
        preset=f"{name}, {weights or 'random weights'}",
        notes=notes,
    )


def _load(model: Any, name: str, weights: str | None, seed: int) -> list[str]:
    """Puts weights into a model; returns what a person should know of them."""
    if weights is None:
        draw_weights(model, seed)
        return [f"{name} with random weights: nothing is pretrained"]
    if weights in fetch.ITEMS and fetch.ITEMS[weights].kind == "weights":
        item, folder = fetch.ITEMS[weights], fetch.path(weights)
        files = sorted(folder.glob("*.h5"))
        if not files:
            raise WeightsError(
                f"{weights} are no weights of images.",
                set_in="keras_applications.weights",
                valid="vgg16",
            )
        read_blocks(model, files[0])
        return [item.note] if item.note else []
    if weights != "imagenet":
        _load_file(model, name, weights)
    return []


def _load_file(model: Any, name: str, weights: str) -> None:
    path = pathlib.Path(weights).expanduser()
    fetched = [each for each, item in fetch.ITEMS.items() if item.kind == "weights"]
    if not path.is_file() or path.suffix != ".h5":
        raise WeightsError(
            f"weights={weights!r} is no .h5 file and nothing that can be fetched.",
            set_in="keras_applications.weights",
            valid=f"a path, {', '.join(fetched)}, imagenet, or None",
            see="tfft list",
        )
    try:
        model.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise WeightsError(
            f"{path} holds no weights of {name} without its classifier: "
            f"{str(error).splitlines()[0][:200]}",
            set_in="keras_applications.weights",
        ) from error


def read_blocks(model: Any, path: pathlib.Path) -> None:
    """Reads the convolutions of a VGG out of a file that holds them as block1/layers/conv2d/vars.

    Raises:
      WeightsError: one is missing, or of another shape.
    """
    import h5py

    with h5py.File(path, "r") as file:
        for layer in model.layers:
            if not layer.weights:
                continue
            block, _, convolution = layer.name.partition("_conv")
            number = f"_{int(convolution) - 1}" if convolution.isdigit() else ""
            place = f"{block}/layers/conv2d{number.replace('_0', '')}/vars"
            for index, variable in enumerate(layer.weights):
                array = file.get(f"{place}/{index}")
                if array is None or array.shape != tuple(variable.shape):
                    raise WeightsError(
                        f"{path.name} has no {layer.name}/{variable.name} of shape "
                        f"{tuple(variable.shape)}.",
                        set_in=str(path),
                        valid="weights of this model",
                    )
                variable.assign(array[()])
