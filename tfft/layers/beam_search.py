"""From a model of the next token to the most probable text: greedy and beam search in the graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfft.argument_checks.validated import COUNT, NON_NEGATIVE, validated

NEVER = -1e9  # the logarithm of a probability that is none
# From the last tokens, int32 [n 1], the state and their place to logits [n v] and the state.
Step = Callable[[Any, Any, Any], tuple[Any, Any]]


@validated(longest=COUNT, beams=COUNT, penalty=NON_NEGATIVE)
@dataclasses.dataclass(frozen=True)
class Search:
    """How an answer is looked for.

    Attributes:
      longest: the most tokens of an answer, the end token included.
      beams: how many answers are followed at once; 1 takes the most probable token at each step.
      penalty: alpha of the length penalty ((5 + tokens) / 6) ** alpha, by which the logarithm of an
        answer's probability is divided (Wu et al., 2016); above 0 it favours longer ones.

    Raises:
      ConfigError: a number is too small.
    """

    longest: int
    beams: int = 1
    penalty: float = 0.0


def search(
    step: Step, state: Any, prompts: Any, lengths: Any, end_id: int, settings: Search
) -> tuple[Any, Any]:
    """Returns the most probable texts behind prompts.

    All rows are at the same place at a time. A row whose prompt is longer reads it there; so no row
    has padding before a token, and each is continued as if it were alone. An answer that has ended
    stays among the `beams` best ones with its probability; the search is over when all of them
    have.

    Args:
      step: the model, on n = b x beams rows.
      state: its state behind the prompts, tensors [b ...], with room for `longest` more tokens;
        the rest of a prompt's row is written over.
      prompts: int32 [b t].
      lengths: of them, int32 [b], 1 or more.
      end_id: the token that ends an answer.
      settings: how to look.

    Returns:
      int32 [b longest], the tokens, 0 behind the end; int32 [b], how many there are before it.
    """
    rows, beams, longest = tf.shape(prompts)[0], settings.beams, settings.longest
    total = tf.shape(prompts)[1] + longest
    places = tf.range(total)
    known = tf.pad(prompts, [[0, 0], [0, longest]])
    known = tf.where(places < lengths[:, None], known, 0)
    itself = tf.broadcast_to(tf.range(beams), [rows, beams])
    sums = tf.where(itself == 0, 0.0, NEVER)
    if beams > 1:
        state = tf.nest.map_structure(lambda x: tf.repeat(x, beams, axis=0), state)

    def goes_on(place: Any, written: Any, sums: Any, counts: Any, ended: Any, state: Any) -> Any:
        through = tf.reduce_all(ended, axis=1) | (place >= lengths + longest)
        return tf.reduce_any(~through)

    def body(place: Any, written: Any, sums: Any, counts: Any, ended: Any, state: Any) -> Any:
        last = tf.reshape(tf.gather(written, place - 1, axis=2), [-1, 1])
        logits, state = step(last, state, place - 1)
        chosen = _best(logits, sums, counts, ended, settings)
        free = ((place >= lengths) & (place < lengths + longest))[:, None]
        parents = tf.where(free, chosen[0], itself)
        tokens = tf.where(free, chosen[1], tf.gather(known, place, axis=1)[:, None])
        sums = tf.where(free, chosen[2], sums)
        before = tf.gather(ended, parents, batch_dims=1)
        counts = tf.gather(counts, parents, batch_dims=1) + tf.cast(free & ~before, tf.int32)
        written = tf.gather(written, parents, batch_dims=1)
        written = tf.where(places == place, tokens[..., None], written)
        if beams > 1:
            flat = tf.reshape(parents + tf.range(rows)[:, None] * beams, [-1])
            state = tf.nest.map_structure(lambda x: tf.gather(x, flat), state)
        return place + 1, written, sums, counts, before | (free & (tokens == end_id)), state

    written = tf.repeat(known[:, None], beams, axis=1)
    counts, ended = tf.zeros_like(itself), tf.zeros_like(itself, tf.bool)
    first = (tf.reduce_min(lengths), written, sums, counts, ended, state)
    shapes = tf.nest.map_structure(lambda x: tf.TensorShape([None] * x.shape.rank), first)
    _, written, _, counts, ended, _ = tf.while_loop(goes_on, body, first, shapes)
    answer = lengths[:, None] + tf.range(longest)
    count = counts[:, 0] - tf.cast(ended[:, 0], tf.int32)
    tokens = tf.gather(written[:, 0], answer, batch_dims=1)
    return tf.where(tf.range(longest) < count[:, None], tokens, 0), count


def _best(
    logits: Any, sums: Any, counts: Any, ended: Any, settings: Search
) -> tuple[Any, Any, Any]:
    """Returns of the best next answers, [b k], which they continue, the token, and the sum.

    Args:
      logits: [b*k v].
      sums: of the logarithms of the probabilities so far, [b k].
      counts: their tokens, [b k].
      ended: whether they are at their end, [b k]; they are continued by token 0 for nothing.
    """
    rows, beams = tf.shape(sums)[0], settings.beams
    logs = tf.nn.log_softmax(tf.cast(logits, tf.float32))
    size = tf.shape(logs)[1]
    logs = tf.reshape(logs, [rows, beams, size])
    stays = tf.where(tf.range(size) == 0, 0.0, NEVER)
    sums = sums[..., None] + tf.where(ended[..., None], stays, logs)
    counts = tf.cast(counts + tf.cast(~ended, tf.int32), tf.float32)
    ranked = sums / (((5.0 + counts) / 6.0) ** settings.penalty)[..., None]
    places = tf.math.top_k(tf.reshape(ranked, [rows, beams * size]), beams).indices
    best = tf.gather(tf.reshape(sums, [rows, beams * size]), places, batch_dims=1)
    return places // size, places % size, best
