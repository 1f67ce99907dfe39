"""Byte-level BPE and SentencePiece through KerasHub's tokenizers, in the graph.

Called eagerly, a KerasHub 0.32 tokenizer runs Python packages; inside a `tf.function` it runs
TensorFlow operations. Training and serving must not differ, so `ids` is only called from one.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import tensorflow as tf
import tensorflow_text

from tfft.preprocess.hub_offsets import tokens
from tfft.preprocess.offsets import Characters, Origins

# What ALBERT's tokenizer makes a straight quote, and a mark that fills up its length until marks
# are removed.
QUOTES, FILLER = "``|''", "\U000e01ef"


class HubTokenizer(tf.Module):
    """A tokenizer of KerasHub, for bodies that do not use WordPiece.

    Args:
      tokenizer: gives token ids, without adding special ones.
      fold: do first what ALBERT's own tokenizer does before SentencePiece: straight quotes, one
        space for many, compatibility decomposition, no accents; lower-casing with `lowercase`.
    """

    def __init__(self, tokenizer: Any, fold: bool = False, lowercase: bool = False):
        super().__init__(name="hub_tokenizer")
        self.tokenizer = tokenizer
        self.fold, self.lowercase = fold, lowercase
        vocabulary = getattr(tokenizer, "vocabulary", None)
        self._unknown = vocabulary.get("<unk>") if isinstance(vocabulary, dict) else None

    def ids(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """From strings [b] to int32 [b (t)]."""
        assert not tf.executing_eagerly()
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        return self._known(tf.cast(self.tokenizer.tokenize(self._prepare(texts)), tf.int32))

    def texts(self, ids: tf.RaggedTensor) -> tf.Tensor:
        """From int32 [b (t)] to the strings that such tokens are of, [b]."""
        assert not tf.executing_eagerly()
        return self.tokenizer.detokenize(ids)

    def ids_with_offsets(
        self, texts: tf.Tensor
    ) -> tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]:
        """Does what `ids` does, and says where each token stands in the text as given.

        Args:
          texts: strings [b]. Bytes that are no UTF-8 count as U+FFFD.

        Returns:
          int32 [b (t)], three times: ids; the first Unicode character of each token; the one after
          its last. Spaces around a token do not belong to it: a token for a space alone is empty.
          Several tokens for one character each have the whole of it.
        """
        assert not tf.executing_eagerly()
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

    def _known(self, ids: tf.RaggedTensor) -> tf.RaggedTensor:
        if self._unknown is None:
            return ids
        # KerasHub's byte-pair tokenizer gives -1 for a piece that the vocabulary lacks.
        return ids.with_values(tf.where(ids.values < 0, self._unknown, ids.values))

    def settings(self) -> dict[str, Any]:
        """Returns what fixes every id; large parts as their SHA-256."""
        parts = {
            name: _digest(getattr(self.tokenizer, name))
            for name in ("proto", "vocabulary", "merges")
            if getattr(self.tokenizer, name, None) is not None
        }
        flags = {
            name: getattr(self.tokenizer, name, None)
            for name in ("add_prefix_space", "add_bos", "add_eos", "unsplittable_tokens")
        }
        kind = type(self.tokenizer).__name__
        return {"kind": kind, "fold": self.fold, "lowercase": self.lowercase, **parts, **flags}


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


def _digest(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part, sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()
