"""A model that writes text: its head and loss, the probability of an answer, and its texts.

`body` is a body that offers "causal" or "decoder", see `BackboneOutput`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from tfft.layers.beam_search import Search, search
from tfft.layers.inspection import inner
from tfft.layers.serialization import Configured, deserialize


@keras.saving.register_keras_serializable("tfft")
class Scores(Configured, keras.layers.Layer):
    """The scores of the vocabulary by the body's own embedding: [b t d] to float32 [b t v]."""

    settings = ("body",)

    def __init__(self, body: Any, **kwargs: Any):
        super().__init__(**kwargs)
        self.body, self.embedding = body, body.embedding

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Scores:
        return super().from_config({**config, "body": deserialize(config["body"])})

    def call(self, hidden: Any) -> Any:
        return keras.ops.cast(self.body.scores(hidden), "float32")


def body_of(model: keras.Model) -> Any:
    """Returns the body whose scores a model gives."""
    return inner(model, Scores).body


def log_probability(body: Any, hidden: Any, targets: Any) -> Any:
    """Returns the sum of the logarithms of the right tokens' probabilities, float32 [b].

    The scores of one example at a time, and of its answer alone: those of a batch do not fit memory
    where a vocabulary is large.

    Args:
      hidden: output of the body, [b t d].
      targets: int32 [b t], -1 where there is none.
    """

    def one(parts: Any) -> Any:
        hidden, targets = parts
        places = tf.where(targets >= 0)[:, 0]
        logits = tf.cast(body.scores(tf.gather(hidden, places)[None])[0], tf.float32)
        right = tf.gather(targets, places)
        return -tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits))

    return tf.map_fn(one, (hidden, targets), fn_output_signature=tf.float32)


def _outputs(body: Any, inputs: Any, targets: Any, ids: Any, counts: Any) -> dict[str, Any]:
    """Returns the outputs of a batch; without answers nothing is computed of them."""
    known = tf.reduce_sum(tf.cast(targets >= 0, tf.int32), axis=1)
    sums = tf.cond(
        tf.reduce_any(known > 0),
        lambda: log_probability(body, body.outputs(inputs, training=False)["tokens"], targets),
        lambda: tf.zeros_like(known, tf.float32),
    )
    text = body.require_preprocessor().texts(ids, counts)
    return {"text": text, "log_probability": sums, "tokens": known}


def following(body: Any, settings: Search) -> Callable[..., dict[str, Any]]:
    """Returns the function from rows of prompts, answers behind them or not, to outputs.

    It returns `text`, the text behind each prompt, strings [b]; `log_probability` and `tokens`
    of the right answer, float32 and int32 [b], 0 without one.

    Raises:
      ConfigError: the body has no preprocessor.
    """
    end = body.require_preprocessor().end_id

    def call(inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        ids, marks = inputs["token_ids"], inputs["answer_mask"]
        lengths = tf.reduce_sum(tf.cast((inputs["padding_mask"] > 0) & (marks == 0), tf.int32), 1)
        prompts = ids[:, : tf.reduce_max(lengths)]
        state, step = body.begin(prompts, settings.longest)
        written, counts = search(step, state, prompts, lengths, end, settings)
        return _outputs(body, inputs, _next(ids, marks > 0), written, counts)

    return call


def answering(body: Any, settings: Search) -> Callable[..., dict[str, Any]]:
    """Returns the function from texts, with the inputs of a decoder, to outputs.

    As `following`; the decoder's rows are its first tokens, and the answer where it is known.

    Raises:
      ConfigError: the body has no preprocessor.
    """
    preprocessor = body.require_preprocessor()
    begins, end = len(preprocessor.begins), preprocessor.end_id

    def call(inputs: Mapping[str, Any], training: bool = False) -> dict[str, Any]:
        ids, mask = inputs["decoder_token_ids"], inputs["decoder_padding_mask"]
        prompts = ids[:, :begins]
        begun = {**inputs, "decoder_token_ids": prompts}
        state, step = body.begin(begun, settings.longest, settings.beams)
        lengths = tf.fill([tf.shape(prompts)[0]], begins)
        written, counts = search(step, state, prompts, lengths, end, settings)
        answer = (mask > 0) & (tf.range(tf.shape(ids)[1]) >= begins)
        return _outputs(body, inputs, _next(ids, answer), written, counts)

    return call


def _next(ids: Any, answer: Any) -> Any:
    """Returns the right token behind each token, int32 [b t], -1 where none is of the answer."""
    after = tf.where(answer[:, 1:], ids[:, 1:], -1)
    return tf.pad(after, [[0, 0], [0, 1]], constant_values=-1)
