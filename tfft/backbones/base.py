"""The base class of backbones: inputs, layers, outputs and groups of layers.

Other code uses a backbone through this class alone and does not ask which one it is.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from tfft.backbones.layer_settings import layer_settings, refuse_adapters, set_layer_settings
from tfft.errors import ConfigError
from tfft.layers.inspection import unnumbered
from tfft.layers.serialization import deserialize

Mode = bool | None  # `training` of a layer; None is the mode of the calling layer
Modes = Sequence[Mode]
Batch = Mapping[str, Any]  # the inputs of a model by name, [b ...]
Reads = Mapping[str, tuple[tuple[int | None, ...], str]]  # shapes and dtypes of inputs by name
READING = ("pools", "pools_beside", "average", "absent")  # what `Backbone.read_for` sets


def without_folders(preset: str) -> str:
    """Returns the name of a preset, absolute paths in it without their folders.

    What is given to others, such as an export, does not say where files are on this machine.
    """
    if os.path.isabs(preset) and os.path.lexists(preset):
        return os.path.basename(os.path.normpath(preset))
    return re.sub(r"(^|\s)(?:/|[A-Za-z]:\\)(?:[^\s/\\]+[/\\])*", r"\1", preset)


@dataclasses.dataclass(frozen=True)
class Group:
    """What is frozen or trained together.

    Attributes:
      name: "embeddings", "layer_0", ..., "pooler".
      layers: the Keras layers in it.
    """

    name: str
    layers: tuple[Any, ...]


class Backbone:
    """A pretrained model in groups of layers; a subclass says what it reads.

    `embed`, then `layers` from 0 to depth - 1, then `pool` is the whole computation. They work on
    Keras' symbolic tensors, on eager ones and within another layer's `call`, and create no
    variable. Without `training` it is the mode of the calling layer.

    Attributes:
      modality: what it reads, such as "text", "image", "audio" or "number", as `Input.modality`.
      model: the Keras model whose weights it has.
      preprocessor: from what a person has to the model's inputs; None in a backbone out of a
        `.keras` file.
      name: the kind of backbone.
      preset: where it came from, as it was requested.
      pooling: how the top layer's output becomes one vector.
      notes: lines for a person.
      depth: how many layers can be frozen one by one; of several towers the largest number.
      dim: the size of a pooled vector.
      groups: what is frozen or trained together, from bottom to top: what is below the layers,
        each layer, and what is above them.
      average: what is averaged over the rows of an example, see `tfft.training.model.answer`.
      pools: whether the task reads one vector a row.
      pools_beside: whether it reads that vector and those of the tokens behind it, [b 1+t d].
      absent: the output of a row that an example does not have.
      packed: whether layers without padding may be used (see `unpadded_encoder`); a stage sets it.
      beside: names of the inputs that layers above the frozen prefix read.
      levels: the layers whose outputs a task reads too, by name.
    """

    modality = "text"
    beside: ClassVar[tuple[str, ...]] = ()

    model: Any
    preprocessor: Any
    name: str
    preset: str
    pooling: str
    notes: tuple[str, ...] = ()
    depth: int
    dim: int
    groups: tuple[Group, ...]
    average: str | None = None
    pools = True
    pools_beside = False
    absent = 0.0
    packed = False
    levels: Mapping[str, int] = {}

    @property
    def title(self) -> str:
        """The name for reports: the preset or folder that was requested, and the architecture."""
        preset = getattr(self, "preset", "") or self.name
        folder = pathlib.Path(preset).expanduser()
        if "://" not in preset and folder.is_dir():
            preset = folder.absolute().name
        words = re.split(r"[^a-z0-9]+", preset.lower())
        same = preset == self.name or self.name.lower() in words
        return preset if same else f"{preset} ({self.name})"

    def read_for(self, task: Any) -> Any:
        """Returns this backbone, the same weights, as a task reads it.

        Raises:
          ConfigError: the task reads something else, or the backbone has no preprocessor.
        """
        self.require_preprocessor()
        modality = " and ".join(sorted({each.modality for each in task.inputs}))
        if modality != self.modality:
            raise ConfigError(
                f"{task.name} reads {modality}s, and {self.name} reads {self.modality}s.",
                set_in="train.backbone",
                valid=f"a backbone that reads {modality}s",
                see="tfft list",
            )
        return self._read_for(task)

    def _read_for(self, task: Any) -> Any:
        raise NotImplementedError

    def embed(self, batch: Batch, training: Mode = None) -> Any:
        """From the model's inputs, [b ...], to the input of layer 0."""
        raise NotImplementedError

    def layers(
        self, first: int, hidden: Any, padding_mask: Any, modes: Modes, pooled_next: bool = False
    ) -> Any:
        """From the input of layer `first` to the output of the last of `len(modes)` layers.

        Args:
          first: the number of the lowest layer.
          hidden: [b ...].
          padding_mask: int32 [b t]; None for a backbone that has none among its `reads`.
          modes: `training` of each layer.
          pooled_next: only `pool` reads the output of the top layer, the last one here.
        """
        raise NotImplementedError

    def pool(self, hidden: Any, padding_mask: Any, training: Mode = None) -> Any:
        """From the top layer's output to one vector an example, [b d], of the same dtype."""
        raise NotImplementedError

    @property
    def towers(self) -> Mapping[str, Backbone]:
        """The parts that read different inputs of an example, by name; one is called ""."""
        return {"": self}

    def call(self, batch: Batch, training: Mode = None) -> Any:
        """From the model's inputs, [b ...], to what a head reads; a backbone of one tower."""
        beside: Any = {"beside": {n: batch[n] for n in self.beside}} if self.beside else {}
        mask, modes = batch.get("padding_mask"), [training] * self.depth
        hidden = self.layers(0, self.embed(batch, training), mask, modes, self.pools, **beside)
        return self.pool(hidden, mask, training) if self.has_top else hidden

    @property
    def has_top(self) -> bool:
        """Whether `pool` stands between the top layer and a head."""
        above = len(self.groups) > self.depth + 1
        return self.pools or self.pools_beside or above or bool(self.levels)

    def boundary(self, depth: int, pooled: bool = False) -> Mapping[str, keras.KerasTensor]:
        """Returns what crosses the cut between a frozen prefix of `depth` layers and the rest.

        Several tensors cross as one, [b n], see `tfft.backbones.boundary`; then `shape_at` is the
        shape of that one.
        """
        shape = (None, *self.shape_at(depth, pooled))
        return {"pooled" if pooled else "hidden": keras.KerasTensor(shape, self.compute_dtype)}

    def check_depth(self, layers: int) -> None:
        """Refuses a depth that the weights do not allow."""

    @property
    def reads(self) -> Reads:
        """Shape, without the batch's axis, and dtype of what the model reads, by name."""
        raise NotImplementedError

    def shape_at(self, depth: int, pooled: bool = False) -> tuple[int | None, ...]:
        """Returns the shape that an example has at the input of layer `depth`, or pooled.

        None stands for the tokens, of which each has a vector of its own.
        """
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Returns what, beside weights, the outputs of frozen layers depend on, JSON-able."""
        raise NotImplementedError

    def describe_splits(self, splits: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        """Returns tables of what encoded splits hold, and lines on what would read more."""
        raise NotImplementedError

    @property
    def prefix_depth(self) -> int:
        """How many layers read nothing of `beside`, and may belong to the frozen prefix."""
        return self.depth

    @property
    def head_shape(self) -> tuple[int | None, ...]:
        """The shape of what a head reads: [b d], or [b t d] of tokens."""
        return (None, *self.shape_at(self.depth, self.pools))

    @property
    def compute_dtype(self) -> str:
        """The dtype that the layers compute in."""
        return str(self.groups[1].layers[0].compute_dtype)

    def require_preprocessor(self) -> Any:
        """Returns the preprocessor.

        Raises:
          ConfigError: the backbone comes out of a `.keras` file, which holds none.
        """
        if self.preprocessor is None:
            raise ConfigError(
                f"this backbone ({self.title}) has no preprocessor: a .keras file holds none.",
                set_in="train.backbone",
                valid="the backbone that the run was trained with, such as "
                'tfft.backbones.keras_hub("minilm_l6")',
            )
        return self.preprocessor

    def config(self) -> dict[str, Any]:
        """Returns a JSON-able description."""
        names = ("name", "preset", "depth", "dim", "pooling")
        return {
            **{name: getattr(self, name) for name in names},
            "parameters": int(self.model.count_params()),
            "preprocessor": dict(self.require_preprocessor().config()),
            **({"window_average": self.average} if self.average else {}),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns what a `.keras` file holds of the backbone beside weights.

        The preprocessor is left out. A subclass adds what its `from_config` needs.

        Returns:
          `model`, which Keras serializes, the settings of its layers, and how a task reads it.

        Raises:
          ConfigError: layers of the model have adapters.
        """
        refuse_adapters(self.model)
        return {
            "model": self.model,
            "layer_settings": layer_settings(self.model),
            "pooling": self.pooling,
            "preset": without_folders(self.preset),
            **{name: getattr(self, name) for name in READING},
        }

    @staticmethod
    def _model_from(config: Mapping[str, Any]) -> Any:
        """Returns the model of a `get_config`, nothing frozen, its weights still to be loaded."""
        model = deserialize(config["model"])
        for layer in model._flatten_layers():
            layer.trainable = True  # KerasHub's configs do not have it either
        set_layer_settings(model, config["layer_settings"])
        return model

    def fingerprint(self) -> str:
        """Returns the SHA-256, in hex, over the weights as they are now, names and shapes too."""
        digest = hashlib.sha256()
        for variable in self.model.weights:
            array = keras.ops.convert_to_numpy(variable.value)
            digest.update(f"{unnumbered(variable.path)} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
        return digest.hexdigest()
