"""Lists of strings in JSON (RFC 8259) as ragged strings, in the graph, for training and serving."""

from __future__ import annotations

import tensorflow as tf

# No valid JSON string holds a control character, so that these can stand for others meanwhile.
BACKSLASH, QUOTE, END = "\x01", "\x02", "\x03"
SHORT = (("n", "\n"), ("t", "\t"), ("r", "\r"), ("b", "\b"), ("f", "\f"), ("/", "/"))
ESCAPE = 6  # characters of \uXXXX


@tf.function(input_signature=(tf.TensorSpec([None], tf.string, name="texts"),), autograph=False)
def strings(texts):
    """Returns the strings of each list: [b (r)], in UTF-8.

    Args:
      texts: JSON of one list of strings each, [b]; of anything else the result is left open. Half a
        surrogate pair and bytes that are no UTF-8 count as U+FFFD.
    """
    replace = tf.strings.regex_replace
    lists = replace(texts, r"\\\\", BACKSLASH)
    lists = replace(lists, r'\\"', QUOTE)
    lists = replace(lists, r'^\s*\[\s*"?|"?\s*\]\s*$', "")
    lists = tf.strings.split(replace(lists, r'"\s*,\s*"', END), END)
    values = lists.values
    for letter, meant in SHORT:
        values = replace(values, rf"\\{letter}", meant)
    return lists.with_values(_without_numbers(values))


def _without_numbers(texts: tf.Tensor) -> tf.Tensor:
    r"""Puts characters in place of \uXXXX, where that is the only escape left, strings [n]."""
    codes = tf.strings.unicode_decode(texts, "UTF-8")
    values = codes.values
    padded = tf.pad(values, [[0, 2 * ESCAPE]])
    digits = _digits(padded)
    escaped = tf.equal(padded[:-ESCAPE], ord("\\"))
    size = tf.size(escaped)
    number = tf.zeros([size], tf.int32)
    for place in range(2, ESCAPE):
        number = number * 16 + digits[place : place + size]
    now, later = number[:-ESCAPE], number[ESCAPE:]
    first = escaped[:-ESCAPE] & (now >= 0xD800) & (now < 0xDC00)
    pair = first & escaped[ESCAPE:] & (later >= 0xDC00) & (later < 0xE000)
    whole = tf.where(pair, 0x10000 + (now - 0xD800) * 0x400 + later - 0xDC00, now)
    plain = tf.where(values == ord(BACKSLASH), ord("\\"), values)
    plain = tf.where(values == ord(QUOTE), ord('"'), plain)
    escaped = escaped[:-ESCAPE]
    within = _after(escaped, range(1, ESCAPE)) | _after(pair, range(ESCAPE, 2 * ESCAPE))
    decoded = codes.with_values(tf.where(escaped, whole, plain))
    remaining = tf.ragged.boolean_mask(decoded, codes.with_values(~within))
    return tf.strings.unicode_encode(remaining, "UTF-8")


def _digits(codes: tf.Tensor) -> tf.Tensor:
    """Returns the values of hexadecimal digits."""
    letter = codes | 0x20
    return tf.where(codes <= ord("9"), codes - ord("0"), letter - ord("a") + 10)


def _after(marks: tf.Tensor, steps: range) -> tf.Tensor:
    """Says of each place whether a mark stands one of so many steps before it."""
    size = tf.size(marks)
    wide = tf.pad(marks, [[2 * ESCAPE, 0]])
    begins = [2 * ESCAPE - step for step in steps]
    return tf.reduce_any([wide[begin : begin + size] for begin in begins], axis=0)
