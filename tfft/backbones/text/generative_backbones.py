"""Backbones that write text: decoders, and encoders with a decoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import keras
import tensorflow as tf

from tfft.backbones.base import Batch, Group, Mode, Modes
from tfft.backbones.text.decoder_architectures import Generator
from tfft.backbones.text.encoder_decoder_architectures import norms_above
from tfft.backbones.text.text_backbone import TextBackbone

ops = keras.ops


class _Writer(TextBackbone):
    """What both kinds share: scores of the vocabulary, and KerasHub's complete model.

    Args:
      settings: as in `TextBackbone`; such a backbone has no pooling.
    """

    architecture: Generator

    def __init__(self, model: Any, architecture: Any, preprocessor: Any, **settings: Any):
        super().__init__(model, architecture, preprocessor, **settings)
        self.pools, self.packed = False, False
        self.lm = architecture.lm(backbone=model, preprocessor=None)

    @property
    def may_average(self) -> bool:
        return False

    def scores(self, hidden: Any) -> Any:
        """From the output of the norm above the layers, [b t d], to logits, [b t v]."""
        return self.embedding(hidden, reverse=True)

    def outputs(self, batch: Batch, training: Mode = None) -> dict[str, Any]:
        """Returns `tokens`, [b t d], after the norm above the layers."""
        return {"tokens": self.call(batch, training)}

    def config(self) -> dict[str, Any]:
        return {name: value for name, value in super().config().items() if name != "pooling"}

    def _set_cache_dtype(self) -> None:
        """Makes KerasHub's model cache keys and values in the dtype that the layers compute in."""
        self.lm.dtype_policy = self.groups[1].layers[0].dtype_policy


@keras.saving.register_keras_serializable("tfft")
class Decoder(_Writer):
    """A backbone whose tokens know what stands before them alone: GPT-2, Llama, Gemma and others.

    Groups from bottom to top: embeddings, layer_0 and so on, norm. Where the scores of the
    vocabulary have weights of their own, these belong to the embeddings. `padding_mask` numbers the
    examples of a row from 1, 0 at padding; tokens of one example do not see those of another.
    """

    offers: ClassVar[tuple[str, ...]] = ("causal",)

    def layers(
        self, first: int, hidden: Any, padding_mask: Any, modes: Modes, pooled_next: bool = False
    ) -> Any:
        same = ops.equal(padding_mask[:, :, None], padding_mask[:, None, :])
        for i, mode in enumerate(modes, first):
            hidden = self.architecture.layer(self.model, i, hidden, same, mode)
        return hidden

    def pool(self, hidden: Any, padding_mask: Any, training: Mode = None) -> Any:
        """Returns the norm above the top layer, [b t d]."""
        return self.model.layer_norm(hidden)

    def begin(self, prompts: Any, room: int) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
        """Reads prompts before something is written behind them.

        Args:
          prompts: int32 [b t].
          room: for how many more tokens.

        Returns:
          The keys and values of all layers, [b layers 2 t+room heads size], and a `Step`.
        """
        self._set_cache_dtype()
        cache = self.lm._build_cache(prompts)[1]
        cache = tf.pad(cache, [[0, 0]] * 3 + [[0, room]] + [[0, 0]] * 2)

        def step(last: Any, cache: Any, place: Any) -> tuple[Any, Any]:
            logits, _, cache = self.lm.call_with_cache(last, cache, place)
            return logits[:, 0], cache

        return cache, step

    def _groups(self) -> tuple[Group, ...]:
        return (*super()._groups(), Group("norm", (self.model.layer_norm,)))


@keras.saving.register_keras_serializable("tfft")
class EncoderDecoder(_Writer):
    """A backbone of an encoder that reads a text and a decoder that writes another: T5, BART.

    Groups from bottom to top: embeddings, encoder_layer_0 and so on, decoder_layer_0 and so on,
    norm. Both sides and the scores of the vocabulary share the embeddings of tokens. A frozen
    prefix is a part of the encoder or all of it.
    """

    offers: ClassVar[tuple[str, ...]] = ("decoder",)
    beside: ClassVar[tuple[str, ...]] = ("decoder_token_ids", "decoder_padding_mask")

    def __init__(self, model: Any, architecture: Any, preprocessor: Any, **settings: Any):
        super().__init__(model, architecture, preprocessor, **settings)
        self.depth = 2 * int(model.num_layers)

    @property
    def sides(self) -> Any:
        """How the encoder and the decoder are called, `Sides`."""
        return self.architecture.sides

    @property
    def prefix_depth(self) -> int:
        return self.depth // 2

    def embed(self, batch: Batch, training: Mode = None) -> Any:
        return self.sides.embed(self.model, "encoder", batch["token_ids"], training)

    def layers(
        self,
        first: int,
        hidden: Any,
        padding_mask: Any,
        modes: Modes,
        pooled_next: bool = False,
        beside: Batch | None = None,
    ) -> Any:
        """From the input of layer `first`, of the encoder or the decoder's lowest, [b t d].

        Args:
          beside: the ids that the decoder reads and their mask, int32 [b u].

        Returns:
          [b t d] where the last of the layers is the encoder's, else [b u d].
        """
        below = max(0, min(len(modes), self.prefix_depth - first))
        hidden = self.sides.encode(self.model, first, hidden, padding_mask, modes[:below])
        above = modes[below:]
        if not above:
            return hidden
        assert beside is not None and first + below == self.prefix_depth
        ids, mask = (beside[name] for name in self.beside)
        decoded = self.sides.embed(self.model, "decoder", ids, above[0])
        return self.sides.decode(self.model, decoded, mask, hidden, padding_mask, above)

    def pool(self, hidden: Any, padding_mask: Any, training: Mode = None) -> Any:
        """Returns the norm above the decoder's top layer, [b u d], where there is one."""
        return norms_above(self.model, self.sides.norms[1], hidden, training)

    def scores(self, hidden: Any) -> Any:
        return self.sides.scores(self.model, hidden)

    def begin(
        self, batch: Batch, room: int, beams: int = 1
    ) -> tuple[Any, Callable[..., tuple[Any, Any]]]:
        """Reads texts before their answers are written.

        Args:
          batch: token_ids and padding_mask, int32 [b t], and what the decoder begins with.
          room: for how many more tokens.
          beams: answers to a text that are followed at once.

        Returns:
          The keys and values of the decoder's layers, [b layers 2 u+room heads size], and a `Step`.
        """
        self._set_cache_dtype()
        ids, mask = batch["token_ids"], batch["padding_mask"]
        begun = batch["decoder_token_ids"]
        source = self.layers(0, self.embed(batch, False), mask, [False] * self.prefix_depth)
        longest = tf.pad(begun, [[0, 0], [0, room]])
        own, cross = self.lm._initialize_cache(ids, longest)
        call = self.lm.call_decoder_with_cache
        _, _, own, cross = call(source, mask, begun, own, 0, cross, 0)
        source, mask, cross = (tf.repeat(each, beams, axis=0) for each in (source, mask, cross))

        def step(last: Any, own: Any, place: Any) -> tuple[Any, Any]:
            logits, _, own, _ = call(source, mask, last, own, place, cross, None)
            return logits[:, 0], own

        return own, step

    def _stack(self) -> Sequence[tuple[Any, ...]]:
        return ()

    def _groups(self) -> tuple[Group, ...]:
        model, norms = self.model, self.sides.norms
        groups = list(super()._groups())
        for side, more in zip(("encoder", "decoder"), norms, strict=True):
            layers = getattr(model, f"{side}_transformer_layers")
            groups += [Group(f"{side}_layer_{i}", (each,)) for i, each in enumerate(layers)]
            extra = tuple(getattr(model, name) for name in more)
            if side == "encoder":  # frozen with the top layer, so that its output is the encoder's
                groups[-1] = Group(groups[-1].name, (*groups[-1].layers, *extra))
            elif extra:
                groups.append(Group("norm", extra))
        return tuple(groups)


def kind_of(architecture: Any) -> type[TextBackbone]:
    """Returns the class of a backbone of some architecture."""
    if not isinstance(architecture, Generator):
        return TextBackbone
    return Decoder if architecture.sides is None else EncoderDecoder


def body_of(model: Any, architecture: Any, preprocessor: Any, **settings: Any) -> TextBackbone:
    """Returns the backbone of a KerasHub model; arguments as in `TextBackbone`."""
    return kind_of(architecture)(model, architecture, preprocessor, **settings)
