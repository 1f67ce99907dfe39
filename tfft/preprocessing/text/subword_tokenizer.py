"""Byte-level BPE and SentencePiece through KerasHub's tokenizers, in the graph.

Called eagerly, a KerasHub 0.32 tokenizer runs Python packages; inside a `tf.function` it runs
TensorFlow operations. Training and serving must not differ, so `Subwords` only runs it in one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_text
from tensorflow_text.python.ops import sentencepiece_tokenizer

from tfft.preprocessing.fingerprints import digest
from tfft.preprocessing.text.keras_hub_offsets import tokens
from tfft.preprocessing.text.offsets import Characters, Origins, Ragged, Tokens
from tfft.storage.protobuf_fields import fields

# What ALBERT's tokenizer makes a straight quote, and a mark that fills up its length until marks
# are removed.
QUOTES, FILLER = "``|''", "\U000e01ef"
TEXTS = tf.TensorSpec([None], tf.string)


class Subwords(tf.Module):
    """Cuts texts into pieces, in the graph; subclasses give `_ids` and `_ids_with_offsets`.

    Each is traced once for all that calls it, eager code and other functions: what it takes to
    trace and to start byte-level BPE is seconds.
    """

    _ids: Any  # tf.functions of strings [b]
    _ids_with_offsets: Any

    @property
    def boundary(self) -> str | None:
        """The regular expression of `served_texts.shorten`; None if no text may be cut."""
        raise NotImplementedError

    def ids(self, texts: Any) -> Ragged:
        """From strings [b] to int32 [b (t)], without special tokens at the ends.

        Args:
          texts: strings [b]. Bytes that are no UTF-8 count as U+FFFD.
        """
        return self._traced(self._ids, texts)

    def ids_with_offsets(self, texts: Any) -> Tokens:
        """Does what `ids` does, and says where each token stands in the text as given.

        Args:
          texts: strings [b]. Bytes that are no UTF-8 count as U+FFFD.

        Returns:
          int32 [b (t)], three times: ids; the first Unicode character of each token; the one after
          its last.
        """
        return self._traced(self._ids_with_offsets, texts)

    def _traced(self, function: Any, texts: Any) -> Any:
        return function.get_concrete_function(TEXTS)(tf.convert_to_tensor(texts, tf.string))


class _SharedModel(sentencepiece_tokenizer._SentencepieceModelResource):
    """A SentencePiece model that TensorFlow keeps until the process ends.

    TensorFlow Text ties the model to the cached operation that made it: `tf.random.set_seed` and
    `keras.utils.set_random_seed` empty that cache and free the model, and the tokenizer fails from
    then on. A model with a shared name stays. The name is the digest of the model, so tokenizers
    share a model only if they have the same one, in a server of several exports too.
    """

    def _create_resource(self) -> Any:
        name = f"sentencepiece_{digest(self._model)}"
        return sentencepiece_tokenizer.gen_sentencepiece_tokenizer.sentencepiece_op(
            model=self._model, shared_name=name
        )


class HubTokenizer(Subwords):
    """A tokenizer of KerasHub, for backbones that do not use WordPiece.

    Args:
      tokenizer: gives token ids, without adding special ones.
      fold: do first what ALBERT's own tokenizer does before SentencePiece: straight quotes, one
        space for many, compatibility decomposition, no accents; lower-casing with `lowercase`.
    """

    def __init__(self, tokenizer: Any, fold: bool = False, lowercase: bool = False):
        super().__init__(name="hub_tokenizer")
        self.tokenizer = tokenizer
        if getattr(tokenizer, "_sentence_piece", None) is not None:
            tokenizer._sentence_piece._model_resource = _SharedModel(tokenizer.proto, None)
        self.fold, self.lowercase = fold, lowercase
        vocabulary = getattr(tokenizer, "vocabulary", None)
        self._unknown = vocabulary.get("<unk>") if isinstance(vocabulary, dict) else None

    @property
    def boundary(self) -> str | None:
        """A text with a space between two letters at which it may be cut, see `served_texts`.

        Byte-level BPE splits texts there first. So does SentencePiece, if no piece goes on behind
        a space: then the best pieces of what stands before it are the same whatever follows.
        """
        if hasattr(self.tokenizer, "merges"):
            tokens = getattr(self.tokenizer, "unsplittable_tokens", None) or ()
            crosses = any(set(token) & set(" \t\n\r") for token in tokens)
        else:
            crosses = any(piece.lstrip(b" ").count(b" ") for piece in _pieces(self.tokenizer.proto))
        return None if crosses else r"(\C*[A-Za-z])() [A-Za-z]\C*"

    def mask_id(self) -> int | None:
        """Returns the id that stands for a hidden token, if there is one."""
        return getattr(self.tokenizer, "mask_token_id", None)

    def names(self) -> tuple[str, ...]:
        """Returns what each id stands for, as a person reads it."""
        tokens = map(self.tokenizer.id_to_token, range(self.tokenizer.vocabulary_size()))
        if not hasattr(self.tokenizer, "merges"):
            return tuple(token.replace("\u2581", " ").strip() for token in tokens)
        bytes_of = (bytes(BYTES[letter] for letter in token) for token in tokens)
        return tuple(each.decode("utf-8", "replace").strip() for each in bytes_of)

    @tf.function(autograph=False)
    def _ids(self, texts):
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        return self._known(tf.cast(self.tokenizer.tokenize(self._prepare(texts)), tf.int32))

    def texts(self, ids: Ragged) -> tf.Tensor:
        """From int32 [b (t)] to the strings that such tokens are of, [b]; in a graph."""
        assert not tf.executing_eagerly()
        return self.tokenizer.detokenize(ids)

    @tf.function(autograph=False)
    def _ids_with_offsets(self, texts):
        """Spaces around a token do not belong to it: a token for a space alone is empty.

        Several tokens for one character each have the whole of it.
        """
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        if self.fold:
            texts = tf.strings.regex_replace(texts, QUOTES, f'"{FILLER}')
        prepared = self._prepare(texts)
        characters = Characters(prepared)
        ids, starts, ends = tokens(self.tokenizer, prepared, characters)
        if self.fold or self.lowercase:
            origins = Origins(texts, self._prepare, FILLER)
            starts, ends = origins.spans(characters.codes, characters.first, starts, ends)
        else:
            starts, ends = characters.within(starts), characters.within(ends)
        return self._known(ids), starts, ends

    def _prepare(self, texts: tf.Tensor) -> tf.Tensor:
        texts = fold(texts) if self.fold else texts
        return lower(texts) if self.lowercase else texts

    def _known(self, ids: Ragged) -> Ragged:
        if self._unknown is None:
            return ids
        # KerasHub's byte-pair tokenizer gives -1 for a piece that the vocabulary lacks.
        return ids.with_values(tf.where(ids.values < 0, self._unknown, ids.values))

    def settings(self) -> dict[str, Any]:
        """Returns what fixes every id; large parts as their SHA-256."""
        parts = {n: getattr(self.tokenizer, n, None) for n in ("proto", "vocabulary", "merges")}
        parts = {name: digest(part) for name, part in parts.items() if part is not None}
        names = ("add_prefix_space", "add_bos", "add_eos")
        flags = {name: getattr(self.tokenizer, name, None) for name in names}
        special = getattr(self.tokenizer, "unsplittable_tokens", None)
        flags["unsplittable_tokens"] = special and sorted(special)  # KerasHub has them from a set
        kind = type(self.tokenizer).__name__
        return {"kind": kind, "fold": self.fold, "lowercase": self.lowercase, **parts, **flags}


# The letter for each byte in a byte-level vocabulary (Radford et al., 2019): itself if it is seen.
_SEEN = [*range(33, 127), *range(161, 173), *range(174, 256)]
_UNSEEN = [byte for byte in range(256) if byte not in _SEEN]
BYTES = {**{chr(n): n for n in _SEEN}, **{chr(256 + i): n for i, n in enumerate(_UNSEEN)}}


def fold(texts: tf.Tensor) -> tf.Tensor:
    """Straightens quotes, collapses white space, decomposes (NFKD) and removes marks."""
    texts = tf.strings.regex_replace(texts, r"[\s\p{Z}]+", " ")
    texts = tf.strings.regex_replace(tf.strings.strip(texts), QUOTES, '"')
    return tf.strings.regex_replace(tensorflow_text.normalize_utf8(texts, "NFKD"), r"\p{Mn}+", "")


def lower(texts: tf.Tensor, marks: bool = False) -> tf.Tensor:
    """Lower-cases character by character, whatever the machine's language settings are.

    `tf.strings.lower` follows the locale of the process (under Turkish settings "TITLE" would
    become dotless) and gives a sigma at a word's end its other form; tokenizers do neither.

    Args:
      texts: UTF-8 strings.
      marks: whether combining marks may be left in them.
    """
    special = {"Σ": "σ", "I": "i"}
    if marks:
        # Letters with a form of their own under Turkish, Azeri or Lithuanian settings.
        special |= {"İ": "i̇", "J": "j", "Į": "į", "Ì": "ì", "Í": "í", "Ĩ": "ĩ"}
    for upper, small in special.items():
        texts = tf.strings.regex_replace(texts, upper, small)
    return tf.strings.lower(texts, encoding="utf-8")


def _pieces(proto: bytes) -> Iterator[bytes]:
    """Yields the pieces of a serialized SentencePiece model, with spaces as they are."""
    for number, piece in fields(memoryview(proto)):
        if number == 1 and not isinstance(piece, int):
            for part, text in fields(piece):
                if part == 1 and not isinstance(text, int):
                    yield bytes(text).replace("\u2581".encode(), b" ")
