"""Texts of which some words are hidden, to be guessed from the others (Devlin et al., 2019)."""

from __future__ import annotations

import dataclasses
import re
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.preprocessing.text.served_texts import shorten
from tfft.preprocessing.text.text_preprocessor import Ragged, Rows, Tensors, TextPreprocessor
from tfft.preprocessing.text.word_spans import word_spans

MASK = "[MASK]"  # marks a word of a text to be guessed, whatever the backbone's own token is
NO_WORD = -1


class MaskingPreprocessor(TextPreprocessor):
    """Hides words of texts, those of a text always the same.

    `rows` also gives, for each token, `truth`, the id that is hidden there or 0, and `words`, the
    number of the word that it belongs to, -1 for special tokens. The model is given `truth` too
    and does not read it: figures do.

    Args:
      rate: the share of a text's tokens that is hidden; 0 hides nothing but what the text itself
        marks by "[MASK]".
      whole_words: hide all tokens of a word or none.
      settings: as of `TextPreprocessor`.

    Raises:
      ConfigError: the backbone's vocabulary has no token that stands for a hidden one.
    """

    inputs = ("truth",)

    def __init__(self, rate: float = 0.15, whole_words: bool = True, **settings: Any):
        super().__init__(**settings)
        mask_id = self.subwords.mask_id()
        if mask_id is None:
            raise ConfigError(
                "the vocabulary of this backbone has no token for a hidden word.",
                set_in="train.backbone",
                valid="a backbone that was pretrained on hidden words, such as BERT's",
            )
        self.mask_id, self.rate, self.whole_words = int(mask_id), float(rate), whole_words

    def words(self, texts: Any) -> tuple[Ragged, Ragged, tf.Tensor]:
        """Returns ids and numbers of words, int32 [b (t)], cut, and full lengths, int64 [b].

        Args:
          texts: strings, [b]; "[MASK]" stands for a hidden token.
        """
        texts = tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8")
        pieces = tf.strings.split(texts, MASK)
        ids, *spans = self.subwords.ids_with_offsets(pieces.values)
        starts = word_spans(pieces.values, *spans)[0]
        begins = tf.cast(starts.values >= 0, tf.int32)
        # A hidden token behind each piece, and then none behind a text's last one.
        ids, begins = (
            self.between(values, None, last).with_row_splits_dtype(tf.int64)
            for values, last in ((ids, self.mask_id), (ids.with_values(begins), -1))
        )
        splits = tf.gather(ids.row_splits, pieces.row_splits)
        ids, begins = (
            Ragged.from_row_splits(each.values, splits)[:, :-1] for each in (ids, begins)
        )
        numbers = _numbers(begins)
        ids = self.between(ids, self.start_id, self.end_id)
        numbers = self.between(numbers, NO_WORD, NO_WORD)
        full = ids.row_lengths()
        return self.truncate(ids), self.truncate(numbers), full

    def rows(self, *inputs: tf.Tensor) -> Tensors:
        """Returns the stored form of texts, see `TextPreprocessor.rows`."""
        ids, words, full = self.words(*inputs)
        seen, truth = ids.values.numpy(), np.zeros(len(ids.values), np.int32)
        numbers, ends = words.values.numpy(), ids.row_splits.numpy()
        for text, begin, end in zip(inputs[0].numpy(), ends[:-1], ends[1:], strict=True):
            rng = np.random.default_rng(zlib.crc32(text))
            hidden = begin + np.flatnonzero(self.hide(numbers[begin:end], rng))
            truth[hidden], seen[hidden] = seen[hidden], self.mask_id
        stored = {"full": full, "ids": tf.constant(seen), "lengths": ids.row_lengths()}
        return {**stored, "truth": tf.constant(truth), "words": words.values}

    def hide(self, words: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Returns which tokens of a text to hide: bool [t].

        Words are taken in random order while `rate` of the tokens leaves room for them, the first
        one in any case; a text without words has nothing to hide.

        Args:
          words: the number of each token's word, int [t]; -1 for a token that is never hidden.
          rng: of the order.
        """
        there = words >= 0
        if not self.rate or not there.any():
            return np.zeros(len(words), bool)
        if not self.whole_words:
            words = np.where(there, np.cumsum(there) - 1, NO_WORD)
        sizes = np.bincount(words[there])
        room = self.rate * there.sum()
        taken: list[int] = []
        for word in rng.permutation(np.flatnonzero(sizes)):
            if taken and sizes[word] > room:
                continue
            taken.append(word)
            room -= sizes[word]
            if room < 1:
                break
        return np.isin(words, taken)

    def targets(self, encoded: Any) -> Any:
        """Returns the hidden token's id, or -1, and the number of the word: int32, [t 2] a text.

        Args:
          encoded: what `rows` gave, `Encoded`.
        """
        truth, words = (encoded.extra[name] for name in ("truth", "words"))
        hidden = np.where(truth.values > 0, truth.values, -1)
        values = np.stack([hidden, words.values], axis=1).astype(np.int32)
        return dataclasses.replace(truth, values=values)

    def augment(
        self, inputs: Mapping[str, Any], targets: np.ndarray, rng: np.random.Generator, tokens: int
    ) -> tuple[dict[str, Any], np.ndarray]:
        """Returns a batch with other words hidden.

        Four in five become the mask token, one in ten another token, one in ten itself.

        Args:
          inputs: arrays [b t] by name.
          targets: as of `targets`, int32 [b t 2].
          tokens: the size of the vocabulary.
        """
        hidden, words = targets[..., 0], targets[..., 1]
        ids = np.where(hidden >= 0, hidden, inputs["token_ids"])
        chosen = np.stack([self.hide(row, rng) for row in words])
        draw, other = rng.random(ids.shape), rng.integers(tokens, size=ids.shape)
        seen = np.where(draw < 0.8, self.mask_id, np.where(draw < 0.9, other, ids))
        tokens_seen = np.where(chosen, seen, ids).astype(np.int32)
        truth = np.stack([np.where(chosen, ids, -1), words], axis=-1).astype(np.int32)
        return {**inputs, "token_ids": tokens_seen}, truth

    def read(self, *inputs: Any) -> Rows:
        """Returns the rows of texts as they are, with nothing hidden."""
        ids, _, full = self.words(*inputs)
        return Rows(ids, full, {"truth": ids.with_values(tf.zeros_like(ids.values))})

    def shorten_inputs(self, *inputs: Any) -> tuple[tf.Tensor, ...]:
        most, boundary = self.sequence_length, self.subwords.boundary
        (texts,) = inputs
        return (shorten(texts, most, lambda heads: self.words(heads)[2], boundary),)

    def config(self) -> Mapping[str, Any]:
        rule = {"rate": self.rate, "whole_words": self.whole_words, "mask_id": self.mask_id}
        return {**super().config(), **rule, "masking": 1}  # the version of the rule


def _numbers(begins: Ragged) -> Ragged:
    """Returns the number of the word that each token belongs to, int32 [b (t)].

    Args:
      begins: 1 where a word begins, 0 where it goes on, -1 at a token that is of no word.
    """
    padded = begins.to_tensor(0)
    counted = tf.cumsum(tf.maximum(padded, 0), axis=1) - 1
    numbers = tf.where(padded < 0, NO_WORD, counted)
    return Ragged.from_tensor(numbers, begins.row_lengths())


def places(text: str, words: np.ndarray, chances: np.ndarray) -> list[dict[str, Any]]:
    """Returns the places that a text marks, in characters, with the most probable words there.

    Places behind the tokens that were read have no words.

    Args:
      text: as it was given.
      words: of the places that were read, in their order, str or bytes [m k].
      chances: their probabilities, [m k].
    """
    result = []
    for number, place in enumerate(re.finditer(re.escape(MASK), text)):
        pairs = zip(words[number], chances[number], strict=True) if number < len(words) else ()
        guesses = [
            {"word": w.decode() if isinstance(w, bytes) else str(w), "probability": float(p)}
            for w, p in pairs
            if p > 0
        ]
        result.append({"start": place.start(), "end": place.end(), "words": guesses})
    return result
