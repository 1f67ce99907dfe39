"""A pretrained backbone of images as tasks and stages see it: a stem, blocks, a pooling."""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.backbones.base import READING, Backbone, Batch, Group, Mode, Modes, Reads
from tfft.backbones.boundary import flat_size, from_row, to_row
from tfft.backbones.image.block_splitting import Block, blocks_of
from tfft.backbones.image.fast_convolution import quicken
from tfft.errors import ConfigError, WeightsError
from tfft.layers.serialization import deserialize
from tfft.preprocessing.image.image_preprocessor import ImagePreprocessor


@keras.saving.register_keras_serializable("tfft")
class ImageBackbone(Backbone):
    """A Keras model of images in blocks, so that the lower ones can be frozen.

    Args:
      model: has all weights.
      blocks: the stem, then what is frozen one by one, from bottom to top.
      preprocessor: from files to pixels, uint8 [b h w c]; None if the backbone comes out of a
        `.keras` file.
      normalise: from pixels as float32, 0 to 255, to what the stem reads; one of
        `tfft.backbones.image.normalization`, so that a `.keras` file can hold it.
      name: the kind of backbone.
      pooling: "avg" or "max" over all places; "flatten" for every value; of tokens, as a ViT has
        them, "cls" too, the first of them.
      preset: where it came from, as it was asked for.
      notes: lines for a person.

    Raises:
      ConfigError: the backbone has no blocks, or no such pooling.
    """

    modality = "image"

    def __init__(
        self,
        model: Any,
        blocks: Sequence[Block],
        preprocessor: ImagePreprocessor | None,
        normalise: Callable[[Any], Any],
        *,
        name: str,
        pooling: str = "avg",
        preset: str = "",
        notes: Sequence[str] = (),
    ):
        if len(blocks) < 2:
            raise ConfigError(
                f"{name} has no blocks that could be frozen one by one.",
                valid="a model whose layers are named after blocks, such as VGG16 or ResNet50",
            )
        self.model, self.blocks, self.preprocessor = model, tuple(blocks), preprocessor
        quicken(model._flatten_layers(include_self=False))
        self.normalise = normalise
        self.name, self.preset, self.pooling = name, preset or name, pooling
        self.notes = tuple(notes)
        self.depth = len(blocks) - 1
        top = self.blocks[-1].shape
        valid = ("avg", "max", "flatten", *(("cls",) if len(top) == 2 else ()))
        if pooling not in valid:
            raise ConfigError(
                f"pooling={pooling!r} is no pooling of {name}.", valid=", ".join(valid)
            )
        self.dim = math.prod(top) if pooling == "flatten" else top[-1]
        self.groups = tuple(Group(block.name, block.layers) for block in self.blocks)
        self.levels: dict[str, int] = {}  # numbers of the blocks whose outputs a task reads

    def _read_for(self, task: Any) -> ImageBackbone:
        output = task.backbone_output
        if output.instances or output.kind not in self.offers:
            raise ConfigError(
                f"{task.name} reads what {self.name} does not give: {output.kind}"
                + (" of several instances." if output.instances else "."),
                set_in="train.backbone",
                valid=", ".join(self.offers),
            )
        read = copy.copy(self)
        read.preprocessor = task.build_preprocessor(self.preprocessor)
        read.pools = output.kind == "pooled"
        read.levels = self._pyramid() if output.kind == "pyramid" else {}
        return read

    @property
    def offers(self) -> tuple[str, ...]:
        """The kinds of `BackboneOutput` that there are: feature maps where blocks give them."""
        maps = len(self.blocks[-1].shape) == 3
        return ("pooled", *(("spatial", "pyramid") if maps else ()))

    def _pyramid(self) -> dict[str, int]:
        """Returns the number of the last block of each resolution, by the level "P2", "P3", ..."""
        height = self.require_preprocessor().shape[0]
        return {
            f"P{round(math.log2(height / block.shape[0]))}": number
            for number, block in enumerate(self.blocks)
            if len(block.shape) == 3
        }

    def get_config(self) -> dict[str, Any]:
        """Returns what a `.keras` file holds of the backbone, see `Backbone.get_config`.

        Raises:
          ConfigError: layers have adapters, or `normalise` is a function of Python.
        """
        if not hasattr(self.normalise, "get_config"):
            raise ConfigError(
                f"a .keras file cannot hold the function that normalizes pixels for {self.name}.",
                valid="a class of tfft.backbones.image.normalization",
            )
        own = {"name": self.name, "normalise": self.normalise, "levels": dict(self.levels)}
        return {**super().get_config(), **own, "blocks": [block.name for block in self.blocks]}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> ImageBackbone:
        """Returns a backbone without preprocessor, its weights still to be loaded.

        Raises:
          WeightsError: the model is divided into other blocks.
        """
        model = cls._model_from(config)
        blocks = blocks_of(model)
        if [block.name for block in blocks] != list(config["blocks"]):
            raise WeightsError(
                f"the blocks of {config['name']} are others than in the file.",
                valid="the versions of tfft, Keras and KerasHub that the file was written with",
            )
        own = {name: config[name] for name in ("name", "pooling", "preset")}
        backbone = cls(model, blocks, None, deserialize(config["normalise"]), **own)
        vars(backbone).update({name: config[name] for name in (*READING, "levels")})
        return backbone

    @property
    def reads(self) -> Reads:
        preprocessor = self.require_preprocessor()
        return {preprocessor.reads: (preprocessor.shape, "uint8")}

    def shape_at(self, depth: int, pooled: bool = False) -> tuple[int | None, ...]:
        if pooled:
            return (self.dim,)
        shapes = self._crossing(depth)
        return self.blocks[depth].shape if len(shapes) == 1 else (flat_size(shapes),)

    def boundary(self, depth: int, pooled: bool = False) -> Mapping[str, keras.KerasTensor]:
        if pooled:
            return super().boundary(depth, pooled)
        return {
            name: keras.KerasTensor((None, *shape), self.compute_dtype)
            for name, shape in self._crossing(depth).items()
        }

    def _crossing(self, depth: int) -> dict[str, tuple[int, ...]]:
        """Returns the shapes of what the blocks above `depth` and the head read from below."""
        levels = {name: number for name, number in self.levels.items() if number < depth}
        below = {name: self.blocks[number].shape for name, number in levels.items()}
        return {"hidden": self.blocks[depth].shape, **below}

    @property
    def head_shape(self) -> Any:
        """The shape of what a head reads: [b d], [b h w c], or such maps by level."""
        if not self.levels:
            return super().head_shape
        return {name: (None, *self.blocks[number].shape) for name, number in self.levels.items()}

    def settings(self) -> dict[str, Any]:
        size = list(self.require_preprocessor().shape)
        return {"keras": keras.__version__, "image_size": size, "preset": self.preset}

    def describe_splits(self, splits: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        height, width, channels = self.require_preprocessor().shape
        size = f"{height} x {width} x {channels}"
        rows = [[split, f"{part.size:,}", size] for split, part in splits.items()]
        return [("Images", ["split", "images", "as they are read"], rows)], []

    def embed(self, batch: Batch, training: Mode = None) -> Any:
        """From pixels, uint8 [b h w c], through the stem to the input of block 0."""
        pixels = keras.ops.cast(batch[ImagePreprocessor.reads], "float32")
        return self.blocks[0].call(self.normalise(pixels), training)

    def layers(
        self, first: int, hidden: Any, padding_mask: Any, modes: Modes, pooled_next: bool = False
    ) -> Any:
        """From the input of block `first` to the output of the last of `len(modes)` blocks.

        The maps of lower levels that a task reads are a part of both, see `boundary`.
        """
        tensors = self._apart(hidden, first)
        for number, mode in enumerate(modes, first):
            for name in [name for name, level in self.levels.items() if level == number]:
                tensors[name] = tensors["hidden"]
            tensors["hidden"] = self.blocks[number + 1].call(tensors["hidden"], mode)
        return tensors["hidden"] if len(tensors) == 1 else to_row(tensors)

    def _apart(self, hidden: Any, depth: int) -> dict[str, Any]:
        shapes = self._crossing(depth)
        return {"hidden": hidden} if len(shapes) == 1 else from_row(hidden, shapes)

    def pool(self, hidden: Any, padding_mask: Any, training: Mode = None) -> Any:
        """From the top block's output, [b h w c] or [b t d], to one vector an image, [b d].

        Computed in float32: a sum over many places leaves float16's range. Where a task reads a
        pyramid, to its maps by level.
        """
        if self.levels:
            maps = self._apart(hidden, self.depth)
            return {name: maps.get(name, maps["hidden"]) for name in self.levels}
        if not self.pools:
            return hidden
        if self.pooling == "cls":
            return hidden[:, 0, :]
        if self.pooling == "flatten":
            return keras.ops.reshape(hidden, (-1, self.dim))
        over = tuple(range(1, len(hidden.shape) - 1))
        pool = keras.ops.max if self.pooling == "max" else keras.ops.mean
        return keras.ops.cast(pool(keras.ops.cast(hidden, "float32"), axis=over), hidden.dtype)


def draw_weights(model: Any, seed: int) -> None:
    """Sets kernels by name and seed (He et al., 2015); Keras' own seed is not used nor changed."""
    for index, variable in enumerate(model.weights):
        if len(variable.shape) > 1:
            draw = np.random.default_rng([seed, index, zlib.crc32(variable.name.encode())])
            scale = math.sqrt(2 / math.prod(variable.shape[:-1]))
            variable.assign(draw.normal(0.0, scale, variable.shape).astype("float32"))
