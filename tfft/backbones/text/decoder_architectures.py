"""Architectures of KerasHub that write text, as those in `encoder_architectures`.

Text is generated one token after another by KerasHub's own complete model, which keeps the keys and
values of the tokens before. It calls the same layers and owns no weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import keras_hub

from tfft.backbones.base import Batch, Mode
from tfft.backbones.text.encoder_architectures import (
    ARCHITECTURES,
    Architecture,
    mode_of,
    of_family,
)
from tfft.backbones.text.encoder_decoder_architectures import Sides, T5Sides


@dataclasses.dataclass(frozen=True)
class Generator(Architecture):
    """How one kind of model that writes text is taken apart.

    `layer` takes an attention mask, [b t t], in place of a padding mask.

    Attributes:
      lm: KerasHub's complete model.
      sides: how the encoder and the decoder are called; None where there is a decoder alone.
      types: Transformers' `model_type`s whose folders KerasHub reads into this model.
    """

    lm: Any = None
    sides: Sides | None = None
    types: tuple[str, ...] = ()


def _embed_plain(model: Any, batch: Batch, training: Mode) -> Any:
    """Token embeddings alone; the layers turn positions into angles."""
    return model.token_embedding(batch["token_ids"])


def _embed_scaled(model: Any, batch: Batch, training: Mode) -> Any:
    """Token embeddings times the root of their size, as in Gemma."""
    hidden = model.token_embedding(batch["token_ids"])
    return hidden * keras.ops.cast(keras.ops.sqrt(model.hidden_dim), hidden.dtype)


def _embed_positions(model: Any, batch: Batch, training: Mode) -> Any:
    """Token + position embeddings, as in GPT-2; each example of a packed row begins at 0."""
    tokens = model.token_embedding(batch["token_ids"])
    positions = model.position_embedding(tokens, positions=_places(batch["padding_mask"]))
    return model.embeddings_dropout(model.embeddings_add((tokens, positions)), **mode_of(training))


def _places(padding_mask: Any) -> Any:
    """Returns how many tokens of the same example stand before each, int32 [b t].

    Args:
      padding_mask: int32 [b t], the number of the example in the row, 0 at padding.
    """
    ops = keras.ops
    one, other = padding_mask[:, :, None], padding_mask[:, None, :]
    before = ops.sum(ops.cast((other > 0) & (other < one), "int32"), axis=2)
    return ops.arange(ops.shape(padding_mask)[1], dtype="int32")[None] - before


def _layer_masked(model: Any, index: int, hidden: Any, mask: Any, training: Mode) -> Any:
    layer = model.transformer_layers[index]
    return layer(hidden, decoder_attention_mask=mask, **mode_of(training))


def _layer_gemma(model: Any, index: int, hidden: Any, mask: Any, training: Mode) -> Any:
    """What `GemmaDecoderBlock.call` computes, which takes no attention mask."""
    block, mode, ops = model.transformer_layers[index], mode_of(training), keras.ops
    normal = block.pre_attention_norm(hidden)
    causal = block._compute_attention_mask(normal, None, None, 0)
    mixed = block.attention(normal, attention_mask=ops.logical_and(causal, mask), **mode)
    if block.use_post_attention_norm:
        mixed = block.post_attention_norm(mixed)
    if block.dropout:
        mixed = block.attention_dropout(mixed, **mode)
    hidden = hidden + mixed
    normal = block.pre_ffw_norm(hidden)
    inner = keras.activations.gelu(block.gating_ffw(normal), approximate=True)
    outer = block.ffw_linear(inner * block.gating_ffw_2(normal))
    return hidden + (block.post_ffw_norm(outer) if block.use_post_ffw_norm else outer)


_BART = ("position_embedding", "embeddings_add", "embeddings_layer_norm", "embeddings_dropout")
_GPT2 = ("token_embedding", "position_embedding", "embeddings_add", "embeddings_dropout")
_T5 = ("token_embedding", "encoder_embedding_dropout", "decoder_embedding_dropout")
_SIDES = [f"{side}_{part}" for side in ("encoder", "decoder") for part in _BART]
_PLAIN = ("token_embedding",), _embed_plain


def _generator(name: str, family: str, embeddings: Any = _PLAIN, **settings: Any) -> Generator:
    kind = "Seq2SeqLM" if "sides" in settings else "CausalLM"
    lm = getattr(keras_hub.models, family + kind)
    settings = {"layer": _layer_masked, **settings}
    return Generator(**of_family(name, family, embeddings, lm=lm, **settings))


GENERATORS: Mapping[str, Generator] = {
    one.name: one
    for one in (
        _generator("gpt2", "GPT2", (_GPT2, _embed_positions), types=("gpt2",)),
        _generator("llama", "Llama"),
        _generator("llama3", "Llama3", types=("llama",)),
        _generator("mistral", "Mistral", types=("mistral",)),
        _generator("qwen2", "Qwen", types=("qwen2",)),
        _generator("qwen3", "Qwen3", types=("qwen3",)),
        _generator(
            *("gemma", "Gemma", (("token_embedding",), _embed_scaled)),
            layer=_layer_gemma,
            types=("gemma", "gemma2"),
        ),
        _generator("t5", "T5", (_T5, _embed_plain), sides=T5Sides()),
        _generator(
            *("bart", "Bart", (("token_embedding", *_SIDES), _embed_plain)),
            sides=Sides(),
            types=("bart",),
        ),
    )
}
ALL: Mapping[str, Architecture] = {**ARCHITECTURES, **GENERATORS}


def of_class(name: str) -> Architecture | None:
    """Returns the architecture whose KerasHub class has this name."""
    return next((one for one in ALL.values() if one.model.__name__ == name), None)


def of_type(name: str) -> Generator | None:
    """Returns the architecture that KerasHub reads folders of a Transformers' `model_type` into."""
    return next((one for one in GENERATORS.values() if name in one.types), None)
