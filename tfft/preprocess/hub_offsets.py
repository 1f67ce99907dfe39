"""Where the tokens of KerasHub's byte-level BPE and SentencePiece stand in a text."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import tensorflow as tf
import tensorflow_text

from tfft.preprocess.offsets import SPACE, Characters, counted

# SentencePiece's normalisation composes a character with what may follow it: marks, the vowels and
# final consonants of Hangul, and the half-width voicing marks of Katakana.
CLUSTER = r"(?s).[\p{M}\x{1160}-\x{11FF}\x{FF9E}\x{FF9F}]*"
BLANK = "\u2581"  # what SentencePiece writes for a space

Found = tuple[tf.RaggedTensor, tf.RaggedTensor, tf.RaggedTensor]


def tokens(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Found:
    """Returns ids, -1 where the vocabulary has none, and spans without the spaces around words.

    Args:
      tokenizer: of KerasHub.
      texts: strings [b], valid UTF-8.
      characters: of `texts`.

    Returns:
      Three times int32 [b (t)]: ids, starts and ends, the latter two as places among all characters
      of the batch.
    """
    if getattr(tokenizer, "proto", None) is not None:
        return _sentence_pieces(tokenizer, texts, characters)
    return _byte_pairs(tokenizer, texts, characters)


def _byte_pairs(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Found:
    """A token of byte-level BPE has a character for each of its bytes; nothing is normalised."""
    with _strings_out(tokenizer):
        pieces = tokenizer.tokenize(texts)
    ids = tf.cast(pieces.with_values(tokenizer.token_to_id_map.lookup(pieces.values)), tf.int32)
    ends = _sums(pieces.with_values(tf.strings.length(pieces.values, unit="UTF8_CHAR")))
    starts = tf.concat([tf.zeros_like(ends[:, :1]), ends[:, :-1]], axis=1)
    if tokenizer.add_prefix_space:
        starts, ends = (tf.maximum(each - 1, 0) for each in (starts, ends))
    starts, ends = characters.spans(starts, ends)
    return ids, *characters.trim(characters.codes != SPACE, starts, ends)


@contextlib.contextmanager
def _strings_out(tokenizer: Any) -> Iterator[None]:
    """Lets a tokenizer give pieces rather than ids, which lack the length of unknown pieces."""
    policy = tokenizer.dtype_policy
    tokenizer.dtype_policy = "string"
    try:
        yield
    finally:
        tokenizer.dtype_policy = policy


def _sentence_pieces(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Found:
    """SentencePiece knows the bytes of the text that a piece begins with, and those it ends with
    except within a character that became several, such as a ligature: see `_whole_ends`."""
    ids = tf.cast(tokenizer.tokenize(texts), tf.int32)
    # The same model, as it gives its pieces as strings.
    model = copy.copy(tokenizer._sentence_piece)
    model.out_type = tf.string
    pieces, starts, ends = model.tokenize_with_offsets(texts)
    starts, ends = characters.spans(starts, ends)
    distinct, which = tf.unique(characters.codes)
    made = _written(model, tf.strings.unicode_encode(distinct[:, tf.newaxis], "UTF-8"))
    ends = tf.cond(
        tf.reduce_all(characters.codes < 128),
        lambda: ends,
        lambda: _whole_ends(model, texts, characters, pieces, starts, ends),
    )
    return ids, *characters.trim(tf.gather(made, which) > 0, starts, ends)


def _whole_ends(
    model: Any,
    texts: tf.Tensor,
    characters: Characters,
    pieces: tf.RaggedTensor,
    starts: tf.RaggedTensor,
    ends: tf.RaggedTensor,
) -> tf.RaggedTensor:
    """Gives a piece the whole of the character that it and the next piece share.

    SentencePiece ends a piece where the next one begins, and so "f" of a ligature "fi" before it.
    Pieces up to one that shares hold more than all characters before its end become.
    """
    clusters = tensorflow_text.regex_split(texts, CLUSTER, CLUSTER)
    distinct, which = tf.unique(clusters.values)
    made = clusters.with_values(tf.gather(_written(model, distinct), which))
    sizes = tf.strings.length(clusters.values, unit="UTF8_CHAR")
    places = tf.cumsum(sizes, exclusive=True)
    count = tf.shape(characters.codes)
    # For each character: what the clusters before it in its text become; -1 within a cluster.
    before = tf.scatter_nd(places[:, tf.newaxis], _sums(made).values - made.values + 1, count) - 1
    size = tf.scatter_nd(places[:, tf.newaxis], sizes, count)
    held = _sums(pieces.with_values(_content(pieces.values)))
    rows = pieces.value_rowids()
    # Where the sums of a text disagree, its characters become something else together.
    agree = tf.reduce_sum(made, axis=1) == tf.reduce_sum(
        pieces.with_values(_content(pieces.values)), axis=1
    )
    last = tf.gather(characters.first + characters.lengths, rows)
    inside = tf.minimum(ends.values, count[0] - 1)
    known = tf.gather(before, inside)
    shares = tf.gather(agree, rows) & (ends.values < last) & (known >= 0) & (held.values > known)
    return ends.with_values(ends.values + tf.where(shares, tf.gather(size, inside), 0))


def _written(model: Any, texts: tf.Tensor) -> tf.Tensor:
    """Returns how many characters that are not blank texts become: int32 [k]."""
    pieces = model.tokenize(texts)
    return tf.reduce_sum(pieces.with_values(_content(pieces.values)), axis=1)


def _content(pieces: tf.Tensor) -> tf.Tensor:
    """Returns the characters in each piece; of several pieces for bytes the first has it."""
    first = tf.strings.regex_full_match(pieces, "<0x([0-7C-F]).>")
    byte = tf.strings.regex_full_match(pieces, "<0x[0-9A-F]{2}>")
    length = tf.strings.length(tf.strings.regex_replace(pieces, BLANK, ""), unit="UTF8_CHAR")
    return tf.where(byte, tf.cast(first, tf.int32), length)


def _sums(ragged: tf.RaggedTensor) -> tf.RaggedTensor:
    """Adds up within rows, each value included."""
    sums = tf.cumsum(ragged.values)
    start = tf.gather(counted(ragged.values), ragged.row_starts())
    return ragged.with_values(sums - tf.gather(start, ragged.value_rowids()))
