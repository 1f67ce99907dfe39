"""Bodies of KerasHub that write text: one adapter each, as in `encoder_architectures`.

What a body writes one token after another goes through KerasHub's own model of the whole, which
keeps the keys and values of the tokens before. It calls the same layers and owns no weight.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import keras
import keras_hub

from tfft.backbones.text.encoder_architectures import ARCHITECTURES, Architecture, mode_of
from tfft.backbones.text.encoder_decoder_architectures import BART, T5, Sides


@dataclasses.dataclass(frozen=True)
class Generator(Architecture):
    """How one kind of body that writes text is taken apart.

    `layer` takes an attention mask, [b t t], in place of a padding mask.

    Attributes:
      lm: KerasHub's model of the whole.
      sides: how the encoder and the decoder are called; None where there is a decoder alone.
      types: Transformers' `model_type`s whose folders KerasHub reads into this body.
    """

    lm: Any = None
    sides: Sides | None = None
    types: tuple[str, ...] = ()


def _embed_plain(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token embeddings alone; the layers turn positions into angles."""
    return body.token_embedding(batch["token_ids"])


def _embed_scaled(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token embeddings times the root of their size, as in Gemma."""
    hidden = body.token_embedding(batch["token_ids"])
    return hidden * keras.ops.cast(keras.ops.sqrt(body.hidden_dim), hidden.dtype)


def _embed_positions(body: Any, batch: Mapping[str, Any], training: bool | None) -> Any:
    """Token + position embeddings, as in GPT-2; each example of a packed row begins at 0."""
    tokens = body.token_embedding(batch["token_ids"])
    positions = body.position_embedding(tokens, positions=_places(batch["padding_mask"]))
    return body.embeddings_dropout(body.embeddings_add((tokens, positions)), **mode_of(training))


def _places(padding_mask: Any) -> Any:
    """Returns how many tokens of the same example stand before each, int32 [b t].

    Args:
      padding_mask: int32 [b t], the number of the example in the row, 0 at padding.
    """
    ops = keras.ops
    one, other = padding_mask[:, :, None], padding_mask[:, None, :]
    before = ops.sum(ops.cast((other > 0) & (other < one), "int32"), axis=2)
    return ops.arange(ops.shape(padding_mask)[1], dtype="int32")[None] - before


def _layer_masked(body: Any, index: int, hidden: Any, mask: Any, training: bool | None) -> Any:
    layer = body.transformer_layers[index]
    return layer(hidden, decoder_attention_mask=mask, **mode_of(training))


def _layer_gemma(body: Any, index: int, hidden: Any, mask: Any, training: bool | None) -> Any:
    """What `GemmaDecoderBlock.call` computes, which takes no attention mask."""
    block, mode, ops = body.transformer_layers[index], mode_of(training), keras.ops
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


_MODELS = keras_hub.models
_BART = ("position_embedding", "embeddings_add", "embeddings_layer_norm", "embeddings_dropout")
_GPT2 = ("token_embedding", "position_embedding", "embeddings_add", "embeddings_dropout")


def _rotary(name: str, family: str, **more: Any) -> Generator:
    model, tokenizer, lm = (
        getattr(_MODELS, family + kind) for kind in ("Backbone", "Tokenizer", "CausalLM")
    )
    tokens = ("token_embedding",)
    settings: dict[str, Any] = {"layer": _layer_masked, **more}
    embed = settings.pop("embed", _embed_plain)
    return Generator(name, model, tokenizer, tokens, embed, lm=lm, **settings)


GENERATORS: Mapping[str, Generator] = {
    one.name: one
    for one in (
        Generator(
            "gpt2",
            _MODELS.GPT2Backbone,
            _MODELS.GPT2Tokenizer,
            _GPT2,
            _embed_positions,
            layer=_layer_masked,
            lm=_MODELS.GPT2CausalLM,
            types=("gpt2",),
        ),
        _rotary("llama", "Llama"),
        _rotary("llama3", "Llama3", types=("llama",)),
        _rotary("mistral", "Mistral", types=("mistral",)),
        _rotary("qwen2", "Qwen", types=("qwen2",)),
        _rotary("qwen3", "Qwen3", types=("qwen3",)),
        _rotary(
            "gemma",
            "Gemma",
            embed=_embed_scaled,
            layer=_layer_gemma,
            types=("gemma", "gemma2"),
        ),
        Generator(
            "t5",
            _MODELS.T5Backbone,
            _MODELS.T5Tokenizer,
            ("token_embedding", "encoder_embedding_dropout", "decoder_embedding_dropout"),
            _embed_plain,
            lm=_MODELS.T5Seq2SeqLM,
            sides=T5,
        ),
        Generator(
            "bart",
            _MODELS.BartBackbone,
            _MODELS.BartTokenizer,
            (
                "token_embedding",
                *(f"{side}_{part}" for side in ("encoder", "decoder") for part in _BART),
            ),
            _embed_plain,
            lm=_MODELS.BartSeq2SeqLM,
            sides=BART,
            types=("bart",),
        ),
    )
}
ALL: Mapping[str, Architecture] = {**ARCHITECTURES, **GENERATORS}


def of_class(name: str) -> Architecture | None:
    """Returns the architecture whose KerasHub class has this name."""
    found = [one for one in ALL.values() if one.model.__name__ == name]
    return found[0] if found else None


def of_type(name: str) -> Generator | None:
    """Returns the body that KerasHub reads folders of a Transformers' `model_type` into."""
    found = [one for one in GENERATORS.values() if name in one.types]
    return found[0] if found else None
