"""Bodies of a few thousand random weights, for tests, `check` and tasks' own test cases."""

from __future__ import annotations

import functools
import io
import itertools
import string
import zlib
from typing import Any, Literal

import keras_hub
import numpy as np

from tfft.backbones.architectures import ARCHITECTURES, Architecture
from tfft.backbones.base import Backbone
from tfft.backbones.body import TextBackbone
from tfft.backbones.tokenizers import from_hub
from tfft.errors import ConfigError, near
from tfft.preprocess.text import TextPreprocessor
from tfft.preprocess.windows import with_long_texts

WORDS = [
    *("a", "an", "and", "are", "bad", "be", "but", "film", "for", "good", "great", "in", "is"),
    *("it", "movie", "not", "of", "on", "one", "plot", "the", "this", "to", "was", "well"),
    *("with", "worst"),
]


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
    dtype: str | None = None,
    long_texts: Literal["cut", "windows"] = "cut",
    window_overlap: int | None = None,
    most_windows: int = 8,
    window_average: Literal["features", "probabilities"] = "features",
) -> Backbone:
    """Returns a body with random weights and a vocabulary of letters and a few words.

    Args:
      architecture: bert, distilbert, roberta, xlm_roberta, albert, electra or deberta_v3.
      layers: its depth.
      dim: its hidden size, a multiple of `heads`.
      heads: attention heads.
      sequence_length: the most tokens a text may have.
      pooling: "cls", "mean", "max", or "pooler" where the body has one.
      dropout: the share of dropped activations while training.
      seed: of the weights; the vocabulary is always the same.
      dtype: a Keras dtype policy.
      long_texts, window_overlap, most_windows, window_average: as in `hub`.

    Raises:
      ConfigError: an unknown architecture or pooling, or windows that cannot be.
    """
    if architecture not in ARCHITECTURES:
        raise ConfigError(
            f"architecture={architecture!r} is not known.",
            valid=near(architecture, ARCHITECTURES, 7),
        )
    kind = ARCHITECTURES[architecture]
    settings, vocabulary_size = _preprocessor(architecture)
    sizes: dict[str, Any] = {
        "vocab_size" if architecture == "electra" else "vocabulary_size": (vocabulary_size),
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
    preprocessor = TextPreprocessor(**{**settings, "sequence_length": sequence_length})
    model = kind.model(**sizes)
    _fill(model, seed)
    return TextBackbone(
        model,
        kind,
        with_long_texts(preprocessor, long_texts, window_overlap, most_windows),
        pooling=pooling,
        preset=f"tiny {architecture}",
        notes=("random weights, for tests",),
        average=window_average,
    )


@functools.cache
def _preprocessor(architecture: str) -> tuple[dict[str, Any], int]:
    """Returns a preprocessor's settings and the size of its vocabulary.

    Bodies share what cuts a text into pieces, and with it what TensorFlow has traced of it.
    """
    tokenizer = hub_tokenizer(architecture)
    made = from_hub(ARCHITECTURES[architecture], tokenizer, 64)
    return made.settings(), tokenizer.vocabulary_size()


def hub_tokenizer(architecture: str) -> Any:
    """Returns the KerasHub tokenizer behind `tiny(architecture)`."""
    return _TOKENIZERS[architecture]()


def _fill(model: Any, seed: int) -> None:
    """Sets matrices by name and seed; Keras' global seed is neither used nor changed."""
    for index, variable in enumerate(model.weights):
        if len(variable.shape) > 1:
            draw = np.random.default_rng([seed, index, zlib.crc32(variable.name.encode())])
            variable.assign(draw.normal(0.0, 0.2, variable.shape).astype("float32"))


def _word_piece(architecture: Architecture) -> Any:
    letters = string.ascii_lowercase + string.digits
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    singles = [*letters, *string.punctuation]
    tokens += [t for t in singles if t not in tokens] + [f"##{letter}" for letter in letters]
    return architecture.tokenizer(vocabulary=tokens, lowercase=True)


def _byte_pairs() -> Any:
    # The printable stand-ins of bytes, as in GPT-2's vocabulary.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [chr(256 + i) for i in range(256 - len(plain))]
    merges = ["Ġ t", "h e", "Ġt he", "o o", "Ġ m", "i n", "e r", "Ġ a"]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *map(chr, plain), *others]
    tokens += [merge.replace(" ", "") for merge in merges] + ["<mask>"]
    vocabulary = dict(zip(tokens, itertools.count(), strict=False))
    return keras_hub.models.RobertaTokenizer(vocabulary=vocabulary, merges=merges)


def _sentence_piece(tokenizer: type, **pieces: Any) -> Any:
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
        **pieces,
    )
    return tokenizer(proto=model.getvalue())


def _deberta_pieces() -> dict[str, Any]:
    ids = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3}
    names = {"pad": "[PAD]", "bos": "[CLS]", "eos": "[SEP]", "unk": "[UNK]"}
    return {**ids, **{f"{key}_piece": name for key, name in names.items()}}


def _albert_pieces() -> dict[str, Any]:
    ids = {"pad_id": 0, "unk_id": 1, "bos_id": 2, "eos_id": 3}
    names = {"pad": "<pad>", "unk": "<unk>", "bos": "[CLS]", "eos": "[SEP]"}
    named = {f"{key}_piece": name for key, name in names.items()}
    return {**ids, **named, "user_defined_symbols": "[MASK]"}


_MODELS = keras_hub.models
_TOKENIZERS = {
    "bert": lambda: _word_piece(ARCHITECTURES["bert"]),
    "distilbert": lambda: _word_piece(ARCHITECTURES["distilbert"]),
    "electra": lambda: _word_piece(ARCHITECTURES["electra"]),
    "roberta": _byte_pairs,
    "xlm_roberta": lambda: _sentence_piece(
        _MODELS.XLMRobertaTokenizer, unk_id=0, bos_id=1, eos_id=2
    ),
    "albert": lambda: _sentence_piece(_MODELS.AlbertTokenizer, **_albert_pieces()),
    "deberta_v3": lambda: _sentence_piece(_MODELS.DebertaV3Tokenizer, **_deberta_pieces()),
}
