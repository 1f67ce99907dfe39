"""Where tokens stand in a text: from bytes of prepared texts to characters of the original ones.

Tokenizers count bytes of what they cut, a text that was cleaned, decomposed or lower-cased. People
count Unicode characters (code points) of the text as they wrote it. All of it is done on flat
tensors of whole batches, in the graph: [n] stands for all characters of a batch end to end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import tensorflow as tf

Ragged: TypeAlias = tf.RaggedTensor
Spans = tuple[Ragged, Ragged]  # starts and ends, int32 [b (t)] each
Tokens = tuple[Ragged, Ragged, Ragged]  # ids, starts and ends
SPACE = ord(" ")
VERTICAL_TAB = 0x0B


class Characters:
    """The characters of a batch, end to end.

    Args:
      texts: valid UTF-8, strings [b].

    Attributes:
      codes: code points, int32 [n].
      lengths: of the texts in characters, int32 [b].
      first: the place of each text's first character among all, int32 [b].
    """

    def __init__(self, texts: tf.Tensor):
        data = tf.io.decode_raw(tf.strings.reduce_join(texts), tf.uint8)
        leads = tf.cast(tf.bitwise.bitwise_and(data, 0xC0) != 0x80, tf.int32)
        self._leads = tf.concat([leads, [1]], axis=0)
        self._begun = tf.cumsum(self._leads)
        self._bytes = tf.cumsum(tf.strings.length(texts), exclusive=True)
        codes = tf.strings.unicode_decode(texts, "UTF-8")
        self.codes = codes.values
        self.lengths = tf.cast(codes.row_lengths(), tf.int32)
        self.first = tf.cumsum(self.lengths, exclusive=True)

    def spans(self, starts: Ragged, ends: Ragged) -> Spans:
        """From bytes within each text to places among all characters, both int32 [b (t)].

        A character of which a token has a part belongs to the token.
        """
        offset = tf.gather(self._bytes, starts.value_rowids())
        left, right = (tf.cast(each.values, tf.int32) + offset for each in (starts, ends))
        left = tf.gather(self._begun, left) - 1
        right = tf.gather(self._begun - self._leads, right)
        return starts.with_values(left), ends.with_values(tf.maximum(left, right))

    def trim(self, inked: tf.Tensor, starts: Ragged, ends: Ragged) -> Spans:
        """Takes characters that are not `inked`, bool [n], off both ends of spans as of `spans`.

        Where nothing is left, the span is the empty one at the old end.
        """
        before = counted(inked)
        places = tf.cast(tf.where(inked)[:, 0], tf.int32)
        places = tf.concat([[-1], places, tf.shape(inked)], axis=0)
        following = tf.gather(places, tf.gather(before, starts.values) + 1)
        left = tf.minimum(following, ends.values)
        right = tf.gather(places, tf.gather(before, ends.values)) + 1
        return starts.with_values(left), ends.with_values(tf.maximum(left, right))

    def within(self, places: Ragged) -> Ragged:
        """From places among all characters to places within each text, int32 [b (t)]."""
        return places.with_values(places.values - tf.gather(self.first, places.value_rowids()))


class Origins:
    """Which character of a given text each one of the prepared text comes from.

    White space is left out: it is collapsed, stripped and added between words (the vertical tab
    only stripped), and no token begins or ends with it. Every other character is prepared by
    itself, which fixes how many it becomes; `prepare` must give as many for a whole text, in the
    same order.

    Args:
      texts: the given texts, strings [b], valid UTF-8.
      prepare: from strings [k] to strings [k].
      filler: a character of `texts` that belongs to the one before it.
    """

    def __init__(
        self, texts: tf.Tensor, prepare: Callable[[tf.Tensor], tf.Tensor], filler: str | None = None
    ):
        codes = tf.strings.unicode_decode(texts, "UTF-8")

        def lengths(letters: tf.Tensor) -> tf.Tensor:
            made = tf.strings.regex_replace(prepare(letters), "[ \v]", "")
            return tf.strings.length(made, unit="UTF8_CHAR")

        made = of_letters(codes.values, lengths)
        starts = tf.cast(tf.ragged.range(codes.row_lengths()).values, tf.int32)
        ends = starts + 1
        if filler is not None:
            filled = tf.concat([codes.values == ord(filler), [False]], axis=0)[1:]
            ends += tf.cast(filled & (tf.concat([starts, [0]], axis=0)[1:] > 0), tf.int32)
        self._starts, self._ends = tf.repeat(starts, made), tf.repeat(ends, made)
        self._first = tf.gather(counted(made), codes.row_starts())

    def spans(self, codes: tf.Tensor, first: tf.Tensor, starts: Ragged, ends: Ragged) -> Spans:
        """From places among all prepared characters to places within each given text.

        An empty span lands behind the last character before it.

        Args:
          codes: all prepared characters, int32 [n].
          first: the place of each text's first one, int32 [b].
          starts, ends: int32 [b (t)].

        Returns:
          starts and ends, int32 [b (t)].
        """
        before = counted((codes != SPACE) & (codes != VERTICAL_TAB))
        rows = starts.value_rowids()
        mine = tf.gather(self._first, rows)
        shift = mine - tf.gather(before, tf.gather(first, rows))
        left, right = (tf.gather(before, each.values) + shift for each in (starts, ends))
        right = tf.where(right > mine, _at(self._ends, right - 1), 0)
        left = tf.where(ends.values > starts.values, _at(self._starts, left), right)
        return starts.with_values(left), ends.with_values(right)


def with_marks(texts: tf.Tensor, starts: Ragged, ends: Ragged) -> Ragged:
    """Moves the ends of tokens behind the marks that follow and that no token has, int32 [b (t)].

    Of a letter with an accent in a character of its own, a tokenizer that strips accents has the
    letter alone; cut there, a text would lose the accent, or the vowel in Thai.

    Args:
      texts: strings [b], valid UTF-8.
      starts, ends: where the tokens stand, in characters of each text, int32 [b (t)].
    """
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    solid = ~matches(codes.values, r"\p{M}")
    places = tf.cast(tf.where(solid)[:, 0], tf.int32)
    places = tf.concat([places, tf.shape(solid)], axis=0)
    lengths = tf.cast(codes.row_lengths(), tf.int32)
    first, length = (
        tf.gather(each, ends.value_rowids())
        for each in (tf.cumsum(lengths, exclusive=True), lengths)
    )
    reach = tf.gather(places, tf.gather(counted(solid), ends.values + first)) - first
    following = tf.concat([starts.values, [0]], axis=0)[1:]
    rows = tf.concat([ends.value_rowids(), [-1]], axis=0)
    reach = tf.minimum(reach, tf.where(rows[1:] == rows[:-1], following, length))
    moved = (starts.values < ends.values) & (reach > ends.values)
    return ends.with_values(tf.where(moved, reach, ends.values))


def of_letters(codes: tf.Tensor, function: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Returns the values of a function from strings [k] at characters, [n]; equal ones are one.

    Args:
      codes: code points, int32 [n].
    """
    distinct, which = tf.unique(codes)
    letters = tf.strings.unicode_encode(distinct[:, tf.newaxis], "UTF-8")
    return tf.gather(function(letters), which)


def matches(codes: tf.Tensor, pattern: str) -> tf.Tensor:
    """Returns which characters match a pattern, bool [n]."""
    return of_letters(codes, lambda letters: tf.strings.regex_full_match(letters, pattern))


def counted(each: tf.Tensor) -> tf.Tensor:
    """Returns the sums of what stands before each place, and of all: int32 [n + 1]."""
    return tf.concat([[0], tf.cumsum(tf.cast(each, tf.int32))], axis=0)


def bind(ids: Ragged, starts: Ragged, ends: Ragged) -> Ragged:
    """Puts ids and spans side by side, so that rows are moved once: int32 [b (t) 3]."""
    columns = [tf.cast(each.values, tf.int32) for each in (ids, starts, ends)]
    return ids.with_values(tf.stack(columns, axis=1))


def unbind(bound: Ragged) -> Tokens:
    """Undoes `bind`."""
    ids, starts, ends = tf.unstack(bound.values, num=3, axis=1)
    return bound.with_values(ids), bound.with_values(starts), bound.with_values(ends)


def _at(values: tf.Tensor, places: tf.Tensor) -> tf.Tensor:
    """Gathers, and stays inside."""
    padded = tf.concat([values, [0]], axis=0)
    return tf.gather(padded, tf.clip_by_value(places, 0, tf.shape(values)[0]))
