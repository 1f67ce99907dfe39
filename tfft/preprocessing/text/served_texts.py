"""Served texts without the part that no token is read of.

Whoever sends a text to a server chooses its length, and tokenizing takes 60 times the bytes of the
text. Training measures the whole length of texts and does not use this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

MOST_BYTES = 4 * 2**20  # of a text that cannot be shortened
MOST_CHOICES = 1000
BYTES_PER_TOKEN = 64
LEAST = 4096
TAIL = 1024  # bytes in which the place to cut is looked for


def shorten(
    texts: Any, tokens: int, count: Callable[[tf.Tensor], tf.Tensor], boundary: str | None
) -> tf.Tensor:
    """Returns texts without most of what stands behind their first tokens, strings [b].

    The first `tokens` tokens are those of the whole texts, at the same places. A text is cut at a
    boundary, if what stands before it has more tokens; any other text is left as it is.

    Args:
      texts: strings, [b].
      tokens: the most that are read of a text.
      count: from texts, strings [k], to how many tokens each has, int [k].
      boundary: a regular expression of a text with a place at which no token is changed if the
        text ends there. Its groups are what stands before the place. None if the tokenizer has no
        such places.

    Raises:
      tf.errors.InvalidArgumentError: a text that cannot be cut has more than 4 MiB.
    """
    texts = tf.convert_to_tensor(texts, tf.string)
    if boundary is None:
        return limited(texts)
    size = LEAST + BYTES_PER_TOKEN * tokens
    long = tf.strings.length(texts) > size

    def cut() -> tf.Tensor:
        rows = tf.where(long)
        whole = tf.gather_nd(texts, rows)
        tails = tf.strings.substr(whole, size - TAIL, TAIL)
        found = tf.strings.regex_full_match(tails, boundary)
        tails = tf.strings.regex_replace(tails, boundary, r"\1\2")
        heads = tf.strings.join([tf.strings.substr(whole, 0, size - TAIL), tails])
        found &= tf.cast(count(heads), tf.int64) > tokens
        return tf.tensor_scatter_nd_update(texts, rows, limited(tf.where(found, heads, whole)))

    return tf.cond(tf.reduce_any(long), cut, lambda: texts)


def limited(texts: Any) -> tf.Tensor:
    """Returns texts, strings [b], of at most 4 MiB each.

    Raises:
      tf.errors.InvalidArgumentError: a text has more.
    """
    texts = tf.convert_to_tensor(texts, tf.string)
    message = f"a text has more than {MOST_BYTES:,} bytes and cannot be shortened"
    fits = tf.debugging.assert_less_equal(tf.strings.length(texts), MOST_BYTES, message=message)
    with tf.control_dependencies([] if fits is None else [fits]):
        return tf.identity(texts)
