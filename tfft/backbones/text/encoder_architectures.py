"""The encoders of KerasHub: the attributes that hold their layers, and the order of the calls.

An architecture owns no weight and no state; it calls the layers of a KerasHub model, so a chain of
its calls is that model's own computation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_hub

from tfft.backbones.base import Batch, Mode


def mode_of(training: Mode) -> dict[str, bool]:
    """Returns the argument that gives a layer a mode; none where it has that of the layer around.

    An explicit `training=None` would hide the mode of the calling layer.
    """
    return {} if training is None else {"training": training}


def _embed_sum(model: Any, batch: Batch, training: Mode) -> Any:
    """Token + position + segment embeddings, as in BERT."""
    token_ids = batch["token_ids"]
    tokens = model.token_embedding(token_ids)
    positions = model.position_embedding(tokens)
    segments = batch.get("segment_ids", keras.ops.zeros_like(token_ids))
    segments = model.segment_embedding(segments)
    hidden = model.embeddings_layer_norm(model.embeddings_add((tokens, positions, segments)))
    hidden = model.embeddings_dropout(hidden, **mode_of(training))
    projection = getattr(model, "embeddings_projection", None)
    return hidden if projection is None else projection(hidden)


def _embed_joint(model: Any, batch: Batch, training: Mode) -> Any:
    """Token + position embeddings in one layer, as in RoBERTa and DistilBERT."""
    hidden = model.embeddings_layer_norm(model.embeddings(batch["token_ids"]))
    return model.embeddings_dropout(hidden, **mode_of(training))


def _embed_tokens(model: Any, batch: Batch, training: Mode) -> Any:
    """Token embeddings alone; DeBERTa's layers hold the positions."""
    hidden = model.embeddings_layer_norm(model.token_embedding(batch["token_ids"]))
    return model.embeddings_dropout(hidden, **mode_of(training))


def _layer_plain(model: Any, index: int, hidden: Any, mask: Any, training: Mode) -> Any:
    return model.transformer_layers[index](hidden, padding_mask=mask, **mode_of(training))


def _layer_shared(model: Any, index: int, hidden: Any, mask: Any, training: Mode) -> Any:
    for inner in model.transformer_layers[index // (model.num_layers // model.num_groups)]:
        hidden = inner(hidden, padding_mask=mask, **mode_of(training))
    return hidden


def _layer_relative(model: Any, index: int, hidden: Any, mask: Any, training: Mode) -> Any:
    more = {"rel_embeddings": model.relative_embeddings(hidden), **mode_of(training)}
    return model.transformer_layers[index](hidden, padding_mask=mask, **more)


@dataclasses.dataclass(frozen=True)
class Architecture:
    """How one kind of KerasHub model is taken apart.

    Attributes:
      name: Transformers' `model_type`, with underscores.
      model: the KerasHub class.
      tokenizer: the KerasHub class of its tokenizer.
      embeddings: attributes of the layers below layer 0; absent ones are left out.
      embed: from a batch to the input of layer 0, [b t d].
      layer: from the input of a layer to its output, [b t d].
      word_piece: whether texts are tokenised by our own WordPiece.
      pooler: whether the model has a dense layer over the first token.
      segments: whether a segment tells two texts apart.
      double_end: whether two end tokens stand between them.
      keys: the prefix of the tensors' names in Transformers' layout; "" where KerasHub has no
        module for weights in that layout.
    """

    name: str
    model: Any
    tokenizer: Any
    embeddings: tuple[str, ...]
    embed: Callable[..., Any]
    layer: Callable[..., Any] = _layer_plain
    word_piece: bool = False
    pooler: bool = False
    segments: bool = False
    double_end: bool = False
    keys: str = ""

    @property
    def converter(self) -> str | None:
        """KerasHub's module for weights in Transformers' layout; None without one."""
        return f"convert_{self.name}" if self.keys else None


def of_family(
    name: str, family: str, embeddings: tuple[tuple[str, ...], Callable[..., Any]], **settings: Any
) -> dict[str, Any]:
    """Returns the arguments of an `Architecture` for a family of KerasHub's classes, by name.

    Args:
      family: the start of the names of its classes, such as "Bert".
      embeddings: the attributes below layer 0, and the function that calls them.
    """
    classes = {kind: getattr(keras_hub.models, family + kind) for kind in ("Backbone", "Tokenizer")}
    own = {"name": name, "model": classes["Backbone"], "tokenizer": classes["Tokenizer"]}
    return {**own, "embeddings": embeddings[0], "embed": embeddings[1], **settings}


_AFTER = ("embeddings_layer_norm", "embeddings_dropout")
_TABLES = ("token_embedding", "position_embedding", "segment_embedding")
_SUMMED = (*_TABLES, *_AFTER, "embeddings_projection"), _embed_sum
_JOINT = ("embeddings", *_AFTER), _embed_joint
_RELATIVE = ("token_embedding", *_AFTER, "relative_embeddings"), _embed_tokens
_PAIRS = {"pooler": True, "segments": True}  # trained to read two texts

ARCHITECTURES: Mapping[str, Architecture] = {
    one["name"]: Architecture(**one)
    for one in (
        of_family("bert", "Bert", _SUMMED, word_piece=True, keys="bert.", **_PAIRS),
        of_family("distilbert", "DistilBert", _JOINT, word_piece=True, keys="distilbert."),
        of_family("roberta", "Roberta", _JOINT, double_end=True, keys="roberta."),
        of_family("xlm_roberta", "XLMRoberta", _JOINT, double_end=True, keys="roberta."),
        of_family("albert", "Albert", _SUMMED, layer=_layer_shared, keys="albert.", **_PAIRS),
        of_family("electra", "Electra", _SUMMED, word_piece=True, **_PAIRS),
        of_family("deberta_v3", "DebertaV3", _RELATIVE, layer=_layer_relative),
    )
}


def encoder_layers(model: Any) -> list[tuple[Any, ...]]:
    """Returns the layers of each depth, bottom to top; ALBERT names the same ones many times."""
    if hasattr(model, "num_groups"):
        times = model.num_layers // model.num_groups
        return [tuple(group) for group in model.transformer_layers for _ in range(times)]
    return [(layer,) for layer in model.transformer_layers]
