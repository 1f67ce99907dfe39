"""One adapter per body of KerasHub: which attribute holds what, and in which order it is called.

An adapter owns no weight and no state; it calls the layers of the KerasHub model that it is given,
so a chain of its calls is that model's own computation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
import keras_hub


def mode_of(training: bool | None) -> dict[str, bool]:
    """Returns the argument that gives a layer a mode; none where it has that of the layer around.

    A `training=None` given explicitly would hide the mode of the calling layer.
    """
    return {} if training is None else {"training": training}


def _embed_sum(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token + position + segment embeddings, as in BERT."""
    mode = mode_of(training)
    token_ids = batch["token_ids"]
    tokens = body.token_embedding(token_ids)
    positions = body.position_embedding(tokens)
    segments = batch.get("segment_ids", keras.ops.zeros_like(token_ids))
    segments = body.segment_embedding(segments)
    hidden = body.embeddings_add((tokens, positions, segments))
    hidden = body.embeddings_dropout(body.embeddings_layer_norm(hidden), **mode)
    projection = getattr(body, "embeddings_projection", None)
    return hidden if projection is None else projection(hidden)


def _embed_joint(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token + position embeddings in one layer, as in RoBERTa and DistilBERT."""
    hidden = body.embeddings_layer_norm(body.embeddings(batch["token_ids"]))
    return body.embeddings_dropout(hidden, **mode_of(training))


def _embed_tokens(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token embeddings alone; DeBERTa's layers hold the positions."""
    hidden = body.embeddings_layer_norm(body.token_embedding(batch["token_ids"]))
    return body.embeddings_dropout(hidden, **mode_of(training))


def _layer_plain(body: Any, index: int, hidden: Any, mask: Any, training: bool | None) -> Any:
    return body.transformer_layers[index](hidden, padding_mask=mask, **mode_of(training))


def _layer_shared(body: Any, index: int, hidden: Any, mask: Any, training: bool | None) -> Any:
    for inner in body.transformer_layers[index // (body.num_layers // body.num_groups)]:
        hidden = inner(hidden, padding_mask=mask, **mode_of(training))
    return hidden


def _layer_relative(body: Any, index: int, hidden: Any, mask: Any, training: bool | None) -> Any:
    relative = body.relative_embeddings(hidden)
    return body.transformer_layers[index](
        hidden, rel_embeddings=relative, padding_mask=mask, **mode_of(training)
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """How one kind of body is taken apart.

    Attributes:
      name: Transformers' `model_type`, with underscores.
      model: the KerasHub class.
      tokenizer: the KerasHub class of its tokenizer.
      embeddings: attributes of the layers below layer 0; absent ones are left out.
      embed: from a batch to the input of layer 0, [b t d].
      layer: from the input of a layer to its output, [b t d].
      word_piece: whether texts are tokenised by our own WordPiece.
      pooler: whether the body has a dense layer over the first token.
      segments: whether two texts are told apart by a segment.
      double_end: whether two end tokens stand between them.
      converter: KerasHub's module for weights in Transformers' layout; None: it has none.
      keys: how the tensors are called there before their own names, "" if not at all.
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
    converter: str | None = None
    keys: str = ""


_SUMMED = (
    "token_embedding",
    "position_embedding",
    "segment_embedding",
    "embeddings_layer_norm",
    "embeddings_dropout",
    "embeddings_projection",
)
_JOINT = ("embeddings", "embeddings_layer_norm", "embeddings_dropout")
_RELATIVE = (
    "token_embedding",
    "embeddings_layer_norm",
    "embeddings_dropout",
    "relative_embeddings",
)
_MODELS = keras_hub.models

ARCHITECTURES: Mapping[str, Architecture] = {
    one.name: one
    for one in (
        Architecture(
            "bert",
            _MODELS.BertBackbone,
            _MODELS.BertTokenizer,
            _SUMMED,
            _embed_sum,
            word_piece=True,
            pooler=True,
            segments=True,
            converter="convert_bert",
            keys="bert.",
        ),
        Architecture(
            "distilbert",
            _MODELS.DistilBertBackbone,
            _MODELS.DistilBertTokenizer,
            _JOINT,
            _embed_joint,
            word_piece=True,
            converter="convert_distilbert",
            keys="distilbert.",
        ),
        Architecture(
            "roberta",
            _MODELS.RobertaBackbone,
            _MODELS.RobertaTokenizer,
            _JOINT,
            _embed_joint,
            double_end=True,
            converter="convert_roberta",
            keys="roberta.",
        ),
        Architecture(
            "xlm_roberta",
            _MODELS.XLMRobertaBackbone,
            _MODELS.XLMRobertaTokenizer,
            _JOINT,
            _embed_joint,
            double_end=True,
            converter="convert_xlm_roberta",
            keys="roberta.",
        ),
        Architecture(
            "albert",
            _MODELS.AlbertBackbone,
            _MODELS.AlbertTokenizer,
            _SUMMED,
            _embed_sum,
            layer=_layer_shared,
            pooler=True,
            segments=True,
            converter="convert_albert",
            keys="albert.",
        ),
        Architecture(
            "electra",
            _MODELS.ElectraBackbone,
            _MODELS.ElectraTokenizer,
            _SUMMED,
            _embed_sum,
            word_piece=True,
            pooler=True,
            segments=True,
        ),
        Architecture(
            "deberta_v3",
            _MODELS.DebertaV3Backbone,
            _MODELS.DebertaV3Tokenizer,
            _RELATIVE,
            _embed_tokens,
            layer=_layer_relative,
        ),
    )
}


def encoder_layers(body: Any) -> list[tuple[Any, ...]]:
    """Returns the layers of each depth, bottom to top; ALBERT names the same ones many times."""
    if hasattr(body, "num_groups"):
        times = body.num_layers // body.num_groups
        return [tuple(group) for group in body.transformer_layers for _ in range(times)]
    return [(layer,) for layer in body.transformer_layers]
