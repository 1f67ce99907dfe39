"""Spans of tokens: the best one of each example in the graph.

Marks and positions are those of `tfft.metrics.text.answer_span_scores`.
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from tfft.metrics.text.answer_span_scores import NEVER


def best_spans(
    logits: tf.Tensor, starts: tf.Tensor, ends: tf.Tensor, longest: int
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the best span of each example, in the graph, as `metrics.answer_spans.best` does.

    Args:
      logits: of both ends, float32 [b r t 2].
      starts, ends: the characters of each token, int32 [b r t]; -1 where it is none of the text.
      longest: the most tokens of a span.

    Returns:
      The characters that it begins with and ends before, int32 [b], -1 where there is no position
      in the text; its log-probability, and that of no span, float32 [b].
    """
    batch, length = tf.shape(starts)[0], tf.shape(starts)[2]
    inside = (starts >= 0) & (ends > starts)
    first = tf.one_hot(0, tf.reduce_prod(tf.shape(starts)[1:]), True, False, dtype=tf.bool)
    flat = tf.reshape(inside, [batch, -1]) | first
    scores = tf.where(flat[:, :, tf.newaxis], tf.reshape(logits, [batch, -1, 2]), NEVER)
    scores -= tf.reduce_logsumexp(scores, axis=1, keepdims=True)
    none = tf.reduce_sum(scores[:, 0], axis=-1)
    scores = tf.where(inside[..., tf.newaxis], tf.reshape(scores, tf.shape(logits)), NEVER)
    begins, closes = scores[..., 0], scores[..., 1]
    padded = tf.pad(closes, [[0, 0], [0, 0], [0, longest - 1]], constant_values=NEVER)
    pairs = tf.stack([begins + padded[:, :, n : n + length] for n in range(longest)], axis=1)
    pairs = tf.reshape(pairs, [batch, longest, -1])
    place = tf.argmax(tf.reshape(pairs, [batch, -1]), axis=1, output_type=tf.int32)
    size = tf.shape(pairs)[2]
    left = place % size
    best = tf.reduce_max(pairs, axis=[1, 2])
    starts, ends = tf.reshape(starts, [batch, -1]), tf.reshape(ends, [batch, -1])
    chosen = tf.gather(starts, left, batch_dims=1)
    closing = tf.gather(ends, tf.minimum(left + place // size, size - 1), batch_dims=1)
    return chosen, closing, best, none


def served(
    logits: tf.Tensor, read: Mapping[str, tf.Tensor], longest: int, limit: float
) -> dict[str, tf.Tensor]:
    """Returns each example's best span of the second text, in the graph: [b] each.

    Args:
      logits, longest: as in `best_spans`.
      read: the output of `PairWindows` for texts.
      limit: how much more probable no span has to be, as a difference of logarithms.

    Returns:
      `answer`, a string, `start` and `end`, int32, and `probability`, float32; "" and -1 for none.
    """
    start, end, best, none = best_spans(logits, read["starts"], read["ends"], longest)
    empty = (none - best > limit) | (start < 0)
    begin, length = (tf.where(empty, 0, each) for each in (start, end - start))
    return {
        "answer": tf.strings.substr(read["second"], begin, length, unit="UTF8_CHAR"),
        "start": tf.where(empty, -1, start),
        "end": tf.where(empty, -1, end),
        "probability": tf.exp(tf.where(empty, none, best)),
    }
