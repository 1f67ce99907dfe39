"""What every pretrained body says of itself: what it reads, its layers, what they give, its groups.

Nothing outside asks which body it is, or whether it reads texts: it asks these questions.
"""

from __future__ import annotations

import dataclasses
import hashlib
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras

from tfft.backbones.layer_settings import layer_settings, refuse_adapters, set_layer_settings
from tfft.errors import ConfigError
from tfft.layers.inspection import unnumbered
from tfft.layers.serialization import deserialize

READING = ("pools", "pools_beside", "average", "absent")  # what `Backbone.read_for` sets


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
    """A body as tasks, stages and stored features see it; a subclass says what it reads.

    `embed`, then `layers` from 0 to depth - 1, then `pool` is the whole computation. They work on
    Keras' symbolic tensors, on eager ones and within another layer's `call`, and create no
    variable. `training` not given means the mode of the calling layer.

    Attributes:
      modality: what an example is, "text" or "image"; a task says the same.
      model: the Keras model whose weights it has.
      preprocessor: from what a person has to the model's inputs; None in a backbone out of a
        `.keras` file.
      name: the kind of body.
      preset: where it came from, as it was asked for.
      pooling: how the top layer's output becomes one vector.
      notes: lines for a person.
      depth: how many layers can be frozen one by one.
      dim: the size of a pooled vector.
      groups: what is frozen or trained together, from bottom to top: what is below the layers,
        each layer, and what is above them.
      average: what is averaged over the rows of an example, see `tfft.training.model.answer`.
      pools: whether the task reads one vector a row.
      pools_beside: whether it reads that vector and those of the tokens behind it, [b 1+t d].
      absent: the output of a row that an example does not have.
      packed: whether layers without padding may be used (see `unpadded_encoder`); a stage sets it.
      beside: names of the inputs that layers above the frozen prefix read.
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

    @property
    def title(self) -> str:
        """The name for reports: the preset or folder that was asked for, and the architecture."""
        asked = getattr(self, "preset", "") or self.name
        if "://" not in asked and pathlib.Path(asked).expanduser().is_dir():
            asked = pathlib.Path(asked).expanduser().absolute().name
        words = re.split(r"[^a-z0-9]+", asked.lower())
        same = asked == self.name or self.name.lower() in words
        return asked if same else f"{asked} ({self.name})"

    def read_for(self, task: Any) -> Any:
        """Returns this body, the same weights, as a task reads it.

        Raises:
          ConfigError: the task reads something else, or the body has no preprocessor.
        """
        self.require_preprocessor()
        modality = task.inputs[0].modality
        if modality != self.modality:
            raise ConfigError(
                f"{task.name} reads {modality}s, and {self.name} is a body of {self.modality}s.",
                set_in="train.backbone",
                valid=f"a backbone that reads {modality}s",
                see="tfft list",
            )
        return self._read_for(task)

    def _read_for(self, task: Any) -> Any:
        raise NotImplementedError

    def embed(self, batch: Mapping[str, Any], training: bool | None = None) -> Any:
        """From the model's inputs, [b ...], to the input of layer 0."""
        raise NotImplementedError

    def layers(
        self,
        first: int,
        hidden: Any,
        padding_mask: Any,
        modes: Sequence[bool | None],
        pooled_next: bool = False,
    ) -> Any:
        """From the input of layer `first` to the output of the last of `len(modes)` layers.

        Args:
          first: the number of the lowest layer.
          hidden: [b ...].
          padding_mask: int32 [b t]; None for a body that has none among its `reads`.
          modes: `training` of each layer.
          pooled_next: only `pool` reads the output of the top layer, the last one here.
        """
        raise NotImplementedError

    def pool(self, hidden: Any, padding_mask: Any, training: bool | None = None) -> Any:
        """From the top layer's output to one vector an example, [b d], of the same dtype."""
        raise NotImplementedError

    def check_depth(self, layers: int) -> None:
        """Refuses a depth that the weights do not allow."""

    @property
    def reads(self) -> Mapping[str, tuple[tuple[int | None, ...], str]]:
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

    def told(self, splits: Mapping[str, Any]) -> tuple[Any, list[str]]:
        """Returns a table of what encoded splits hold, and lines on what would read more."""
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
        return {
            "name": self.name,
            "preset": self.preset,
            "depth": self.depth,
            "dim": self.dim,
            "pooling": self.pooling,
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
            "preset": self.preset,
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
