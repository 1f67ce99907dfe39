"""Backbones of a few thousand random weights, for tests, `check` and tasks' own test cases."""

from __future__ import annotations

import functools
import inspect
import io
import string
import zlib
from typing import Any, Literal

import numpy as np

from tfft.argument_checks.validated import (
    COUNT,
    FRACTION,
    NON_NEGATIVE,
    SEED,
    Range,
    each,
    validated,
)
from tfft.backbones.base import Backbone
from tfft.backbones.text.decoder_architectures import ALL, Generator
from tfft.backbones.text.generative_backbones import body_of
from tfft.backbones.text.tokenizer_loading import from_hub
from tfft.errors import ConfigError, near
from tfft.preprocessing.text.long_text_windows import with_long_texts
from tfft.preprocessing.text.subword_tokenizer import BYTES
from tfft.preprocessing.text.text_preprocessor import TextPreprocessor

WORDS = [
    *("a", "an", "and", "are", "bad", "be", "but", "film", "for", "good", "great", "in", "is"),
    *("it", "movie", "not", "of", "on", "one", "plot", "the", "this", "to", "was", "well"),
    *("with", "worst"),
]


@validated(
    **each("layers dim heads most_windows", COUNT),
    sequence_length=Range(least=3),
    dropout=FRACTION,
    seed=SEED,
    window_overlap=NON_NEGATIVE,
)
def tiny(
    architecture: str = "bert",
    layers: int = 2,
    dim: int = 16,
    *,
    heads: int = 2,
    sequence_length: int = 64,
    pooling: str = "mean",
    dropout: float = 0.1,
    seed: int = 0,
    dtype: Literal["float32", "float16", "bfloat16", "mixed_float16", "mixed_bfloat16"]
    | None = None,
    long_texts: Literal["cut", "windows"] = "cut",
    window_overlap: int | None = None,
    most_windows: int = 8,
    window_average: Literal["features", "probabilities"] = "features",
) -> Backbone:
    """Returns a backbone with random weights and a vocabulary of letters and a few words.

    Args:
      architecture: bert, distilbert, roberta, xlm_roberta, albert, electra or deberta_v3; gpt2,
        llama, llama3, mistral, qwen2, qwen3 or gemma; t5 or bart.
      layers: its depth.
      dim: its hidden size, a multiple of `heads`.
      heads: attention heads.
      sequence_length: the most tokens a text may have.
      pooling: "cls", "mean", "max", or "pooler" where the model has one.
      dropout: the share of dropped activations while training.
      seed: of the weights; the vocabulary is always the same.
      dtype: a Keras dtype policy.
      long_texts, window_overlap, most_windows, window_average: as in `keras_hub`.

    Raises:
      ConfigError: an unknown architecture or pooling, or windows that cannot be.
    """
    if architecture not in ALL:
        raise ConfigError(
            f"architecture={architecture!r} is not known.", valid=near(architecture, ALL, len(ALL))
        )
    if dim % heads:
        raise ConfigError(
            f"tiny.dim must be a multiple of heads. Received: dim={dim}, heads={heads}.",
            valid=f"{heads}, {2 * heads}, {3 * heads}, ...",
        )
    kind = ALL[architecture]
    reader, settings, vocabulary_size = _preprocessor(architecture)
    sizes: dict[str, Any] = {
        "vocab_size" if architecture == "electra" else "vocabulary_size": vocabulary_size,
        "num_layers": layers,
        "num_heads": heads,
        "hidden_dim": dim,
        "intermediate_dim": 2 * dim,
        "max_sequence_length": sequence_length,
        "dropout": dropout,
        "dtype": dtype,
        **({"embedding_dim": dim} if architecture in ("albert", "electra") else {}),
        **({"bucket_size": 8} if architecture == "deberta_v3" else {}),
    }
    preprocessor = reader(**{**settings, "sequence_length": sequence_length})
    if isinstance(kind, Generator):
        # Where heads share keys, all share one's.
        sizes |= {"num_query_heads": heads, "num_key_value_heads": 1, "head_dim": dim // heads}
        known = inspect.signature(kind.model).parameters
        sizes = {name: value for name, value in sizes.items() if name in known}
    model = kind.model(**sizes)
    _fill(model, seed)
    return body_of(
        model,
        kind,
        with_long_texts(preprocessor, long_texts, window_overlap, most_windows),
        pooling=pooling,
        preset=f"tiny {architecture}",
        notes=("random weights, for tests",),
        average=window_average,
    )


@functools.cache
def _preprocessor(architecture: str) -> tuple[type[TextPreprocessor], dict[str, Any], int]:
    """Returns a preprocessor's class and settings, and the size of its vocabulary.

    Backbones share the tokenizer, and with it what TensorFlow has traced of it.
    """
    tokenizer = hub_tokenizer(architecture)
    made = from_hub(ALL[architecture], tokenizer, 64)
    return type(made), made.settings(), tokenizer.vocabulary_size()


def hub_tokenizer(architecture: str) -> Any:
    """Returns the KerasHub tokenizer behind `tiny(architecture)`."""
    tokenizer = ALL[architecture].tokenizer
    if architecture in _PIECES:
        return _sentence_piece(tokenizer, _PIECES[architecture])
    if architecture in _BYTE_PAIRS:
        return _byte_pairs(tokenizer, _BYTE_PAIRS[architecture])
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    singles = [*letters, *string.punctuation]
    tokens += [t for t in singles if t not in tokens] + [f"##{letter}" for letter in letters]
    return tokenizer(vocabulary=tokens, lowercase=True)


def _fill(model: Any, seed: int) -> None:
    """Sets matrices by name and seed; Keras' global seed is neither used nor changed."""
    for index, variable in enumerate(model.weights):
        if len(variable.shape) > 1:
            draw = np.random.default_rng([seed, index, zlib.crc32(variable.name.encode())])
            values = draw.normal(0.0, 0.2, variable.shape).astype("float32")
            if "query_projector" in variable.path:  # T5 has no scale in its attention
                values *= (model.hidden_dim / model.num_heads) ** -0.5
            variable.assign(values)


def _byte_pairs(tokenizer: Any, special: tuple[str, ...]) -> Any:
    merges = ["Ġ t", "h e", "Ġt he", "o o", "Ġ m", "i n", "e r", "Ġ a"]
    tokens = [*special, *BYTES, *(merge.replace(" ", "") for merge in merges), "<mask>"]
    return tokenizer(vocabulary={token: i for i, token in enumerate(tokens)}, merges=merges)


def _sentence_piece(tokenizer: Any, settings: dict[str, Any]) -> Any:
    import sentencepiece

    lines = [" ".join(WORDS[i:] + WORDS[:i]) for i in range(len(WORDS))]
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*lines, string.ascii_lowercase, string.digits + ".,!?'\""]),
        model_writer=model,
        vocab_size=90,
        hard_vocab_limit=False,
        num_threads=1,
        minloglevel=2,
        **settings,
    )
    return tokenizer(proto=model.getvalue())


def _ids(**pieces: str) -> dict[str, Any]:
    """Returns SentencePiece's settings for special tokens, which get the first ids in order."""
    places = {f"{key}_id": place for place, key in enumerate(pieces)}
    return {**places, **{f"{key}_piece": name for key, name in pieces.items()}}


_LLAMA = _ids(unk="<unk>", bos="<s>", eos="</s>")
_PIECES: dict[str, dict[str, Any]] = {
    "xlm_roberta": {"unk_id": 0, "bos_id": 1, "eos_id": 2},
    "albert": _ids(pad="<pad>", unk="<unk>", bos="[CLS]", eos="[SEP]")
    | {"user_defined_symbols": "[MASK]"},
    "deberta_v3": _ids(pad="[PAD]", bos="[CLS]", eos="[SEP]", unk="[UNK]"),
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "gemma": _ids(pad="<pad>", eos="<eos>", bos="<bos>", unk="<unk>"),
    "t5": {"bos_id": -1, **_ids(pad="<pad>", eos="</s>", unk="<unk>")},
}
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>")
_BYTE_PAIRS: dict[str, tuple[str, ...]] = {
    "roberta": _ROBERTA,
    "bart": _ROBERTA,
    "gpt2": ("<|endoftext|>",),
    "llama3": (
        *("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"),
        *("<|start_header_id|>", "<|end_header_id|>"),
    ),
    "qwen2": ("<|endoftext|>",),
    "qwen3": ("<|endoftext|>", "<|im_end|>"),
}
