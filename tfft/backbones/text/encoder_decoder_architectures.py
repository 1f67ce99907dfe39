"""How the encoder and the decoder of one KerasHub model are called, a layer at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from tfft.backbones.base import Mode, Modes
from tfft.backbones.text.encoder_architectures import mode_of

ops = keras.ops


def norms_above(model: Any, names: Sequence[str], hidden: Any, training: Mode) -> Any:
    """Applies a norm and a dropout above the top layer."""
    for name in names:
        layer = getattr(model, name)
        mode = mode_of(training) if isinstance(layer, keras.layers.Dropout) else {}
        hidden = layer(hidden, **mode)
    return hidden


class Sides:
    """The encoder and the decoder of BART; a subclass is another architecture.

    Attributes:
      norms: the attributes of the layers above the top layer of the encoder, and of the decoder.
      starts: whether a text begins with the start token.
    """

    norms: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    starts = True

    def begins(self, tokenizer: Any) -> tuple[int, ...]:
        """Returns the ids that the decoder begins with."""
        return (tokenizer.end_token_id, tokenizer.start_token_id)

    def embed(self, model: Any, side: str, ids: Any, training: Mode) -> Any:
        """From ids [b t] to the input of the first layer of "encoder" or "decoder", [b t d]."""
        names = ("position_embedding", "embeddings_add", "embeddings_layer_norm")
        position, add, norm = (getattr(model, f"{side}_{name}") for name in names)
        tokens = model.token_embedding(ids)
        dropout = getattr(model, f"{side}_embeddings_dropout")
        return dropout(norm(add((tokens, position(tokens)))), **mode_of(training))

    def encode(self, model: Any, first: int, hidden: Any, padding_mask: Any, modes: Modes) -> Any:
        """From the input of the encoder's layer `first` to the output of the last of some layers.

        Args:
          hidden: [b t d].
          padding_mask: [b t].
          modes: one for each layer. The norm above the top layer belongs to it.
        """
        for i, mode in enumerate(modes, first):
            layer = model.encoder_transformer_layers[i]
            hidden = layer(hidden, padding_mask=padding_mask, **mode_of(mode))
        return hidden

    def decode(
        self, model: Any, hidden: Any, mask: Any, source: Any, source_mask: Any, modes: Modes
    ) -> Any:
        """From the input of the decoder's first layer to the output of the last of some layers.

        Args:
          hidden, mask: of the decoder, [b u d] and [b u].
          source, source_mask: of the encoder's output, [b t d] and [b t].
          modes: one for each layer.
        """
        masks = {"decoder_padding_mask": mask, "encoder_padding_mask": source_mask}
        for layer, mode in zip(model.decoder_transformer_layers, modes, strict=False):
            hidden = layer(hidden, source, **masks, **mode_of(mode))
        return hidden

    def scores(self, model: Any, hidden: Any) -> Any:
        """From the decoder's output, [b u d], to logits, [b u v]."""
        return model.token_embedding(hidden, reverse=True)


class T5Sides(Sides):
    """The encoder and the decoder of T5."""

    norms = (("encoder_layer_norm", "encoder_dropout"), ("decoder_layer_norm", "decoder_dropout"))
    starts = False

    def begins(self, tokenizer: Any) -> tuple[int, ...]:
        return (tokenizer.pad_token_id,)

    def embed(self, model: Any, side: str, ids: Any, training: Mode) -> Any:
        dropout = getattr(model, f"{side}_embedding_dropout")
        return dropout(model.token_embedding(ids), **mode_of(training))

    def encode(self, model: Any, first: int, hidden: Any, padding_mask: Any, modes: Modes) -> Any:
        mask, bias = padding_mask[:, None, :], None
        layers = model.encoder_transformer_layers
        if first:  # the first layer computes the bias of all of them
            length = ops.shape(hidden)[1]
            bias = ops.cast(layers[0].self_attention.compute_bias(length, length), hidden.dtype)
            bias += (1.0 - ops.cast(mask[:, None], bias.dtype)) * -1e9
        settings = {"attention_mask": mask, "use_causal_mask": False}
        for i, mode in enumerate(modes, first):
            hidden, bias = layers[i](hidden, position_bias=bias, **settings, **mode_of(mode))
        if modes and first + len(modes) == model.num_layers:
            hidden = norms_above(model, self.norms[0], hidden, modes[-1])
        return hidden

    def decode(
        self, model: Any, hidden: Any, mask: Any, source: Any, source_mask: Any, modes: Modes
    ) -> Any:
        bias = None
        settings = {
            "attention_mask": mask[:, None, :],
            "encoder_hidden_states": source,
            "encoder_attention_mask": source_mask[:, None, :],
            "use_causal_mask": True,
        }
        for layer, mode in zip(model.decoder_transformer_layers, modes, strict=False):
            hidden, bias = layer(hidden, position_bias=bias, **settings, **mode_of(mode))
        return hidden

    def scores(self, model: Any, hidden: Any) -> Any:
        if model.tie_embedding_weights:  # as in KerasHub's T5Seq2SeqLM
            hidden *= ops.cast(model.hidden_dim**-0.5, hidden.dtype)
        return super().scores(model, hidden)
