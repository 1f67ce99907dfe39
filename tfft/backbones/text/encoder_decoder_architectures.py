"""How the encoder and the decoder of one KerasHub body are called, a layer at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import keras

from tfft.argument_checks.validated import validated
from tfft.backbones.text.encoder_architectures import mode_of

ops = keras.ops


@validated()
@dataclasses.dataclass(frozen=True)
class Sides:
    """The two sides of a body.

    Attributes:
      embed: from the body, "encoder" or "decoder", ids [b t] and a mode to the input of that side's
        first layer, [b t d].
      encode: from the body, the number of the first layer, its input [b t d], the mask [b t] and a
        mode for each layer to the output of the last of them; with the norm above the top layer.
      decode: from the body, the input of the first layer [b u d], its mask [b u], the encoder's
        output [b t d], its mask [b t] and a mode for each layer to the output of the last of them.
      scores: from the body and the decoder's output, [b u d], to logits, [b u v].
      norms: the attributes of the layers above the top layer of the encoder, and of the decoder.
      starts: whether a text begins with the start token.
      begins: from a tokenizer to the ids that the decoder begins with.
    """

    embed: Callable[..., Any]
    encode: Callable[..., Any]
    decode: Callable[..., Any]
    scores: Callable[[Any, Any], Any]
    norms: tuple[tuple[str, ...], tuple[str, ...]]
    starts: bool
    begins: Callable[[Any], tuple[int, ...]]


def above(body: Any, names: Sequence[str], hidden: Any, training: bool | None) -> Any:
    """Applies a norm and a dropout above the top layer."""
    for name in names:
        layer = getattr(body, name)
        mode = mode_of(training) if isinstance(layer, keras.layers.Dropout) else {}
        hidden = layer(hidden, **mode)
    return hidden


# T5 -----------------------------------------------------------------------------------------------

_T5_NORMS = (
    ("encoder_layer_norm", "encoder_dropout"),
    ("decoder_layer_norm", "decoder_dropout"),
)


def _t5_embed(body: Any, side: str, ids: Any, training: bool | None) -> Any:
    dropout = getattr(body, f"{side}_embedding_dropout")
    return dropout(body.token_embedding(ids), **mode_of(training))


def _t5_encode(
    body: Any, first: int, hidden: Any, padding_mask: Any, modes: Sequence[bool | None]
) -> Any:
    mask, bias = padding_mask[:, None, :], None
    if first:  # the first layer computes the bias of all of them
        attention, length = body.encoder_transformer_layers[0].self_attention, ops.shape(hidden)[1]
        bias = ops.cast(attention.compute_bias(length, length), hidden.dtype)
        bias += (1.0 - ops.cast(mask[:, None], bias.dtype)) * -1e9
    for i, mode in enumerate(modes, first):
        layer = body.encoder_transformer_layers[i]
        hidden, bias = layer(
            hidden, attention_mask=mask, position_bias=bias, use_causal_mask=False, **mode_of(mode)
        )
    if modes and first + len(modes) == body.num_layers:
        hidden = above(body, _T5_NORMS[0], hidden, modes[-1])
    return hidden


def _t5_decode(
    body: Any,
    hidden: Any,
    padding_mask: Any,
    source: Any,
    source_mask: Any,
    modes: Sequence[bool | None],
) -> Any:
    bias = None
    for layer, mode in zip(body.decoder_transformer_layers, modes, strict=False):
        hidden, bias = layer(
            hidden,
            attention_mask=padding_mask[:, None, :],
            position_bias=bias,
            encoder_hidden_states=source,
            encoder_attention_mask=source_mask[:, None, :],
            use_causal_mask=True,
            **mode_of(mode),
        )
    return hidden


def _t5_scores(body: Any, hidden: Any) -> Any:
    if body.tie_embedding_weights:  # as in KerasHub's T5Seq2SeqLM
        hidden *= ops.cast(body.hidden_dim**-0.5, hidden.dtype)
    return body.token_embedding(hidden, reverse=True)


T5 = Sides(
    _t5_embed,
    _t5_encode,
    _t5_decode,
    _t5_scores,
    _T5_NORMS,
    starts=False,
    begins=lambda tokenizer: (tokenizer.pad_token_id,),
)

# BART ---------------------------------------------------------------------------------------------


def _bart_embed(body: Any, side: str, ids: Any, training: bool | None) -> Any:
    parts = ("position_embedding", "embeddings_add", "embeddings_layer_norm", "embeddings_dropout")
    position, add, norm, dropout = (getattr(body, f"{side}_{part}") for part in parts)
    tokens = body.token_embedding(ids)
    return dropout(norm(add((tokens, position(tokens)))), **mode_of(training))


def _bart_encode(
    body: Any, first: int, hidden: Any, padding_mask: Any, modes: Sequence[bool | None]
) -> Any:
    for i, mode in enumerate(modes, first):
        layer = body.encoder_transformer_layers[i]
        hidden = layer(hidden, padding_mask=padding_mask, **mode_of(mode))
    return hidden


def _bart_decode(
    body: Any,
    hidden: Any,
    padding_mask: Any,
    source: Any,
    source_mask: Any,
    modes: Sequence[bool | None],
) -> Any:
    for layer, mode in zip(body.decoder_transformer_layers, modes, strict=False):
        hidden = layer(
            hidden,
            source,
            decoder_padding_mask=padding_mask,
            encoder_padding_mask=source_mask,
            **mode_of(mode),
        )
    return hidden


BART = Sides(
    _bart_embed,
    _bart_encode,
    _bart_decode,
    lambda body, hidden: body.token_embedding(hidden, reverse=True),
    ((), ()),
    starts=True,
    begins=lambda tokenizer: (tokenizer.end_token_id, tokenizer.start_token_id),
)
