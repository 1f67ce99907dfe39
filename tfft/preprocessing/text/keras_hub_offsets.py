"""Where the tokens of KerasHub's byte-level BPE and SentencePiece stand in a text."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfft.preprocessing.text.offsets import (
    SPACE,
    Characters,
    Ragged,
    Tokens,
    counted,
    matches,
    of_letters,
)

# SentencePiece's normalisation composes a character with what may follow it: marks, the vowels and
# final consonants of Hangul, and the half-width voicing marks of Katakana.
FOLLOWING = r"[\p{M}\x{1160}-\x{11FF}\x{FF9E}\x{FF9F}]"
BLANK = "\u2581"  # what SentencePiece writes for a space


def tokens(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Tokens:
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


def _byte_pairs(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Tokens:
    """A token of byte-level BPE has a character for each of its bytes; nothing is normalised."""
    # Pieces rather than ids, which lack the length of unknown pieces.
    with _replaced(tokenizer, "dtype_policy", "string"):
        pieces = tokenizer.tokenize(texts)
    ids = tf.cast(pieces.with_values(tokenizer.token_to_id_map.lookup(pieces.values)), tf.int32)
    ends = _sums(pieces.with_values(tf.strings.length(pieces.values, unit="UTF8_CHAR")))
    starts = tf.concat([tf.zeros_like(ends[:, :1]), ends[:, :-1]], axis=1)
    # KerasHub loses a "\u096c" that stands alone, with which it marks words for itself, and reads
    # "\u0134A" to "\u0134D" as special tokens; what follows them in a text is then off by so much.
    most = tf.gather(tf.strings.length(texts), starts.value_rowids())
    shift = 1 if tokenizer.add_prefix_space else 0
    starts, ends = (
        each.with_values(tf.clip_by_value(each.values - shift, 0, most)) for each in (starts, ends)
    )
    starts, ends = characters.spans(starts, ends)
    starts, ends = characters.trim(characters.codes != SPACE, starts, ends)
    return ids, starts, ends


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Gives an object another attribute for a while."""
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)


def _sentence_pieces(tokenizer: Any, texts: tf.Tensor, characters: Characters) -> Tokens:
    """SentencePiece says with which byte of the text a piece begins, and ends it where the next one
    begins; that falls short of a character that both have a part of, see `_whole_ends`."""
    model = tokenizer._sentence_piece
    recorder = _SpanRecorder(model)
    with _replaced(tokenizer, "_sentence_piece", recorder):
        ids = tf.cast(tokenizer.tokenize(texts), tf.int32)
    starts, ends = characters.spans(*recorder.spans)
    # The same model, as it gives its pieces as strings.
    written = copy.copy(model)
    written.out_type = tf.string
    ascii = tf.strings.regex_full_match(texts, r"[\x00-\x7F]*")
    ends = tf.cond(
        tf.reduce_all(ascii), lambda: ends, lambda: _corrected(written, texts, ~ascii, ends)
    )
    inked = of_letters(characters.codes, lambda letters: _written(written, letters) > 0)
    starts, ends = characters.trim(inked, starts, ends)
    return ids, starts, ends


class _SpanRecorder:
    """Records the starts and ends of what KerasHub makes ids of, by its own rules for them."""

    def __init__(self, model: Any):
        self._model = model

    def tokenize(self, texts: tf.Tensor) -> Ragged:
        ids, *self.spans = self._model.tokenize_with_offsets(texts)
        return ids


def _corrected(model: Any, texts: tf.Tensor, which: tf.Tensor, ends: Ragged) -> Ragged:
    """Corrects the ends of some texts, bool [b], whose characters may become several."""
    some = tf.boolean_mask(texts, which)
    characters = Characters(some)
    pieces = model.tokenize(some)
    ours = tf.where(tf.gather(which, ends.value_rowids()))
    lengths = tf.cast(tf.strings.length(texts, unit="UTF8_CHAR"), tf.int32)
    skipped = tf.cumsum(tf.where(which, 0, lengths))
    skipped = tf.gather(tf.boolean_mask(skipped, which), pieces.value_rowids())
    old = pieces.with_values(tf.gather_nd(ends.values, ours) - skipped)
    made = of_letters(characters.codes, lambda letters: _written(model, letters))
    joins = matches(characters.codes, FOLLOWING)
    whole = _whole_ends(characters, _composed(model, characters, made, joins), pieces, old)
    return ends.with_values(tf.tensor_scatter_nd_update(ends.values, ours, whole.values + skipped))


def _composed(model: Any, characters: Characters, made: tf.Tensor, joins: tf.Tensor) -> tf.Tensor:
    """Returns what each character adds to those before it, where some are composed: int32 [n].

    Args:
      made: what each character becomes by itself, int32 [n].
      joins: whether it may be composed with those before it, bool [n].
    """
    count = tf.shape(made)
    heads = tf.scatter_nd(
        characters.first[:, tf.newaxis], tf.ones_like(characters.first), count + 1
    )
    heads = (heads[:-1] > 0) | ~joins
    starts = tf.gather(tf.where(heads)[:, 0], tf.cumsum(tf.cast(heads, tf.int32)) - 1)
    rest = tf.where(~heads)[:, 0]
    places = tf.ragged.range(tf.gather(starts, rest), rest + 1)
    groups = places.with_values(tf.gather(characters.codes, places.values))
    distinct, which = tf.unique(tf.strings.unicode_encode(groups, "UTF-8"))
    whole = tf.gather(_written(model, distinct), which)
    sums = tf.tensor_scatter_nd_update(made, rest[:, tf.newaxis], whole)
    return sums - tf.where(heads, 0, tf.concat([[0], sums[:-1]], axis=0))


def _whole_ends(characters: Characters, made: tf.Tensor, pieces: Ragged, ends: Ragged) -> Ragged:
    """Gives a piece the whole of the character that it and the next piece have parts of.

    So "f" of the ligature "fi" does not end before it. The pieces up to such a one hold more than
    the characters before its end become.

    Args:
      made: what each character adds to the normalised text, int32 [n].
    """
    held = _sums(pieces.with_values(_content(pieces.values)))
    sums, rows = counted(made), held.value_rowids()
    first = tf.gather(sums, characters.first)
    last = characters.first + characters.lengths
    # Where the sums of a text disagree, its characters become something that is not foreseen.
    agree = tf.gather(sums, last) - first == tf.reduce_max(held, axis=1)
    known = tf.gather(sums, ends.values) - tf.gather(first, rows)
    shares = tf.gather(agree, rows) & (held.values > known) & (pieces.values != BLANK)
    units = tf.concat([tf.cast(tf.where(made > 0)[:, 0], tf.int32), tf.shape(made)], axis=0)
    following = tf.gather(counted(made > 0), ends.values) + 1
    following = tf.gather(units, tf.minimum(following, tf.shape(units)[0] - 1))
    whole = tf.minimum(following, tf.gather(last, rows))
    return ends.with_values(tf.where(shares, whole, ends.values))


def _written(model: Any, texts: tf.Tensor) -> tf.Tensor:
    """Returns how many characters that are not blank texts become: int32 [k]."""
    pieces = model.tokenize(texts)
    return tf.reduce_sum(pieces.with_values(_content(pieces.values)), axis=1)


def _content(pieces: tf.Tensor) -> tf.Tensor:
    """Returns the characters in each piece; of several pieces for bytes the first has it."""
    pieces, which = tf.unique(pieces)
    first = tf.strings.regex_full_match(pieces, "<0x[0-7C-F].>")
    byte = tf.strings.regex_full_match(pieces, "<0x[0-9A-F]{2}>")
    length = tf.strings.length(tf.strings.regex_replace(pieces, BLANK, ""), unit="UTF8_CHAR")
    return tf.gather(tf.where(byte, tf.cast(first, tf.int32), length), which)


def _sums(ragged: Ragged) -> Ragged:
    """Adds up within rows, each value included."""
    sums = tf.cumsum(ragged.values)
    start = tf.gather(counted(ragged.values), ragged.row_starts())
    return ragged.with_values(sums - tf.gather(start, ragged.value_rowids()))
