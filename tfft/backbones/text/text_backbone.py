"""A pretrained backbone of texts: groups, an embedding, layers, a pooling."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfft.backbones.base import READING, Backbone, Batch, Group, Mode, Modes, Reads
from tfft.backbones.text import unpadded_encoder
from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.encoder_architectures import Architecture, encoder_layers
from tfft.data.truncation import lengths_table, notes
from tfft.errors import ConfigError, DepthError
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor

POOLINGS = ("cls", "mean", "max")
FIRST_TOKEN = ("cls", "pooler")  # what reads nothing else
WITHOUT_EFFECT = ("dropout", "name", "trainable", "dtype", "num_layers")  # on a frozen layer
OUTPUTS = {
    "pooled": "one vector a text",
    "tokens": "a vector a token",
    "both": "one vector a text and one a token",
    "causal": "a vector a token that knows what stands before it alone",
    "decoder": "a vector a token of an answer to a text",
    "spatial": "a feature map",
    "pyramid": "feature maps of several resolutions",
}


@keras.saving.register_keras_serializable("tfft")
class TextBackbone(Backbone):
    """A KerasHub model, taken apart so that a part of it can be frozen.

    `offers` are the kinds of `BackboneOutput` that it has; `beside` names the inputs that layers
    above the frozen prefix read.

    Args:
      model: a KerasHub backbone.
      architecture: how it is taken apart.
      preprocessor: from texts to its inputs; None if the backbone comes out of a `.keras` file.
      pooling: "cls" (the first token), "mean" or "max" over the tokens that are no padding, or
        "pooler" (a dense layer over the first token) where the model has one.
      preset: where it came from, as it was requested.
      notes: lines for a person.
      average: what is averaged over the windows of a text, "features" or "probabilities"; of no
        meaning where the preprocessor makes no windows.

    Raises:
      ConfigError: the model has no such pooling.
    """

    offers: ClassVar[tuple[str, ...]] = ("pooled", "tokens", "both")
    beside: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        model: Any,
        architecture: Architecture,
        preprocessor: TextPreprocessor | None,
        *,
        pooling: str = "mean",
        preset: str = "",
        notes: tuple[str, ...] = (),
        average: str = "features",
    ):
        valid = (*POOLINGS, *(("pooler",) if architecture.pooler else ()))
        if pooling not in valid:
            raise ConfigError(
                f"pooling={pooling!r} is no pooling of a backbone of kind {architecture.name}.",
                valid=", ".join(valid),
            )
        self.model, self.architecture = model, architecture
        if preprocessor is not None and getattr(model, "num_segments", 2) < 2:
            preprocessor.segments = False
        self.preprocessor = self._own_preprocessor = preprocessor
        self.name, self.preset, self.pooling = architecture.name, preset or model.name, pooling
        self.notes = tuple(notes)
        self._window_average = average
        self.average = average if getattr(preprocessor, "windowed", False) else None
        # Layers without padding (see `unpadded_encoder`); a stage under XLA turns it off.
        self.packed = not any(map(tf.config.list_logical_devices, ("GPU", "TPU")))
        self.depth, self.dim = int(model.num_layers), int(model.hidden_dim)
        self.groups = self._groups()

    def _read_for(self, task: Any) -> TextBackbone:
        """Returns this backbone as a task reads it.

        Args:
          task: its `build_preprocessor` makes the inputs, its `backbone_output` says what it reads.

        Raises:
          ConfigError: the backbone does not offer it, or windows are averaged, which gives the task
            nothing that it could read.
        """
        output = task.backbone_output
        if output.kind not in self.offers:
            offers = " or ".join(OUTPUTS[name] for name in self.offers)
            raise ConfigError(
                f"{task.name} reads {OUTPUTS[output.kind]}, and a backbone of kind {self.name} "
                f"gives {offers}.",
                set_in="train.backbone",
                valid=f"a backbone that gives {OUTPUTS[output.kind]} (docs/tasks.md)",
                see="tfft list presets",
            )
        read = copy.copy(self)
        read.preprocessor = task.build_preprocessor(self._own_preprocessor)
        read.pools, read.pools_beside = output.kind == "pooled", output.kind == "both"
        read.average, read.absent = None, output.padding_value
        if output.instances:
            read.average = "each"
        elif getattr(self._own_preprocessor, "windowed", False):
            if not read.pools or not getattr(read.preprocessor, "windowed", False):
                what = "reads tokens" if not read.pools else "cannot read them"
                raise ConfigError(
                    f'long_texts="windows" averages over windows, and {task.name} {what}.',
                    set_in="keras_hub.long_texts",
                    valid='long_texts="cut"',
                )
            read.average = self._window_average
        read.groups = read._groups()
        return read

    def embed(self, batch: Batch, training: Mode = None) -> Any:
        """From token_ids, int32 [b t], to the input of layer 0, [b t d].

        `segment_ids`, int32 [b t], are zero where the batch has none.
        """
        return self.architecture.embed(self.model, batch, training)

    def layers(
        self, first: int, hidden: Any, padding_mask: Any, modes: Modes, pooled_next: bool = False
    ) -> Any:
        """Returns [b t d]; values at padding are left open, see `Backbone.layers`.

        Or [b 1 d], where the pooling reads the first token alone.
        """
        parts = [group.layers for group in self.groups[first + 1 : first + 1 + len(modes)]]
        inner = [(layer, mode) for part, mode in zip(parts, modes, strict=True) for layer in part]
        if self.packed and unpadded_encoder.supports(hidden, inner):
            first_only = pooled_next and self.pools and self.pooling in FIRST_TOKEN
            return unpadded_encoder.encode(inner, hidden, padding_mask, first_only)
        for i, mode in enumerate(modes, first):
            hidden = self.architecture.layer(self.model, i, hidden, padding_mask, mode)
        return hidden

    def pool(self, hidden: Any, padding_mask: Any, training: Mode = None) -> Any:
        """From the top layer's output [b t d] to one vector a text, [b d], of the same dtype.

        Where the task reads both, to [b 1+t d]: that vector before those of the tokens.
        """
        del training  # No pooling has a mode.
        if self.pooling == "cls":
            pooled = hidden[:, 0, :]
        elif self.pooling == "pooler":
            pooled = self.model.pooled_dense(hidden[:, 0, :])
        else:
            pooled = pool_tokens(hidden, padding_mask, self.pooling)
        if not self.pools_beside:
            return pooled
        return keras.ops.concatenate([pooled[:, None], hidden], axis=1)

    def outputs(self, batch: Batch, training: Mode = None) -> dict[str, Any]:
        """Returns the named outputs: `tokens` [b t d] and `pooled` [b d]."""
        hidden = self.embed(batch, training)
        hidden = self.layers(0, hidden, batch["padding_mask"], [training] * self.depth)
        return {"tokens": hidden, "pooled": self.pool(hidden, batch["padding_mask"], training)}

    def check_depth(self, layers: int) -> None:
        """Refuses a depth that would freeze a part of weights that several layers share.

        Raises:
          DepthError: layers above and below `layers` are the same (ALBERT).
        """
        own = [{id(layer) for layer in group.layers} for group in self.groups[1 : self.depth + 1]]
        if 0 < layers < self.depth and own[layers - 1] & own[layers]:
            cuts = [n for n in range(1, self.depth) if not own[n - 1] & own[n]]
            raise DepthError(
                f"freeze_layers={layers}, but layers of this backbone ({self.name}) share their "
                f"weights: layer {layers - 1} and layer {layers} are the same.",
                valid=", ".join(map(str, [0, *cuts, self.depth])) + ', or "all"',
            )

    @property
    def embedding(self) -> Any:
        """The layer of the tokens' embedding; `layer(x, reverse=True)` scores the vocabulary."""
        return self.model.token_embedding

    @property
    def may_average(self) -> bool:
        """Whether what is read could be averaged over the windows of a text."""
        return self.pools and self.preprocessor is self._own_preprocessor

    @property
    def reads(self) -> Reads:
        names = ("token_ids", "padding_mask", *self.require_preprocessor().inputs)
        return {name: ((None,), "int32") for name in names}

    def shape_at(self, depth: int, pooled: bool = False) -> tuple[int | None, ...]:
        return (self.dim,) if pooled else (None, self.dim)

    def settings(self) -> dict[str, Any]:
        """Returns the numbers and names of the model's config that its layers depend on."""
        settings = {
            name: value
            for name, value in self.model.get_config().items()
            if isinstance(value, (bool, int, float, str))
            and not any(word in name for word in WITHOUT_EFFECT)
        }
        return {"keras-hub": metadata.version("keras-hub"), "settings": settings}

    def describe_splits(self, splits: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        limit = self.require_preprocessor().sequence_length
        longest = getattr(self.model, "max_sequence_length", limit)
        lines = notes(splits["train"], limit, self.dim, longest, self.may_average)
        return [lengths_table(splits)], lines

    def get_config(self) -> dict[str, Any]:
        """Returns what a `.keras` file holds of the backbone, see `Backbone.get_config`.

        Raises:
          ConfigError: layers have adapters, or the architecture is not one of `ALL`.
        """
        name = self.architecture.name
        if ALL.get(name) is not self.architecture:
            raise ConfigError(
                f"a .keras file names the architecture of a backbone, and {name!r} is not one that "
                "tfft has.",
                valid=", ".join(ALL),
            )
        own = {"architecture": name, "window_average": self._window_average}
        return {**super().get_config(), **own}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TextBackbone:
        """Returns a backbone without preprocessor, its weights still to be loaded.

        Raises:
          ConfigError: the architecture is not known.
        """
        name = config["architecture"]
        if name not in ALL:
            raise ConfigError(f"the architecture {name!r} is not known.", valid=", ".join(ALL))
        own = {"pooling": config["pooling"], "preset": config["preset"]}
        own["average"] = config["window_average"]
        backbone = cls(cls._model_from(config), ALL[name], None, **own)
        vars(backbone).update({name: config[name] for name in READING})
        backbone.groups = backbone._groups()
        return backbone

    def _stack(self) -> Sequence[tuple[Any, ...]]:
        """Returns the layers of each depth, bottom to top, that are named by their number."""
        return encoder_layers(self.model)

    def _groups(self) -> tuple[Group, ...]:
        below = [getattr(self.model, name, None) for name in self.architecture.embeddings]
        groups = [Group("embeddings", tuple(layer for layer in below if layer is not None))]
        groups += [Group(f"layer_{i}", layers) for i, layers in enumerate(self._stack())]
        if self.pooling == "pooler" and (self.pools or self.pools_beside):
            groups.append(Group("pooler", (self.model.pooled_dense,)))
        return tuple(groups)


def pool_tokens(hidden: Any, padding_mask: Any, pooling: str) -> Any:
    """Returns the mean or the maximum over the tokens that are no padding.

    Computed in float32: a sum over a long text leaves float16's range.

    Args:
      hidden: [b t d].
      padding_mask: int32 [b t].
      pooling: "mean" or "max".
    """
    ops = keras.ops
    mask = ops.expand_dims(ops.cast(padding_mask, "float32"), -1)
    wide = ops.cast(hidden, "float32")
    if pooling == "max":
        pooled = ops.max(ops.where(mask > 0, wide, -1e30), axis=1)
    else:
        pooled = ops.sum(wide * mask, axis=1) / ops.maximum(ops.sum(mask, axis=1), 1.0)
    return ops.cast(pooled, hidden.dtype)
