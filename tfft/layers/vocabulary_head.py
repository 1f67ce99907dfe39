"""Heads that write words: from a token's vector to scores of the vocabulary, by its embedding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.layers.inspection import inner
from tfft.layers.serialization import Configured, deserialize


@keras.saving.register_keras_serializable("tfft")
class VocabularyHead(Configured, keras.layers.Layer):
    """BERT's masked language model head, whose scores are computed where they are needed.

    A call gives the vectors [b t e] that score the vocabulary: Dense, GELU, layer norm (Devlin et
    al., 2019). `scores` multiplies them with the body's embedding of tokens, tied, and adds a bias
    a token. The scores of all tokens of a batch would be most of what a step computes, and the loss
    needs those of the hidden ones alone.

    Args:
      body: a Backbone; its `embedding` is read, whose weights belong to the body.
      mask_id: the token that stands for a hidden one.
      tokens: how many of the embedding's rows are of the vocabulary.

    Raises:
      ConfigError: the embedding has no row for the hidden token.
    """

    settings = ("body", "mask_id", "tokens")

    def __init__(self, body: Any, mask_id: int, tokens: int, **kwargs: Any):
        super().__init__(**{"name": "head", "dtype": "float32"} | kwargs)
        embedding = body.embedding
        if mask_id >= embedding.input_dim:
            raise ConfigError(
                f"this body has {embedding.input_dim} embeddings, and none for the hidden token.",
                set_in="train.backbone",
                valid="a body that was pretrained on hidden words, such as BERT's",
            )
        self.body = body  # not its embedding, which would be a weight of the head
        self.mask_id, self.tokens = mask_id, min(tokens, embedding.input_dim)
        size = embedding.output_dim
        self.dense = keras.layers.Dense(size, activation="gelu", dtype="float32", name="dense")
        self.norm = keras.layers.LayerNormalization(epsilon=1e-5, dtype="float32", name="norm")

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> VocabularyHead:
        return super().from_config({**config, "body": deserialize(config["body"])})

    def build(self, shape: Any) -> None:
        self.dense.build(shape)
        self.norm.build((*shape[:-1], self.dense.units))
        self.bias = self.add_weight(shape=(self.tokens,), initializer="zeros", name="bias")

    def call(self, hidden: Any) -> Any:
        return self.norm(self.dense(hidden))

    def compute_output_shape(self, shape: Any) -> Any:
        return (*shape[:-1], self.dense.units)

    def scores(self, vectors: Any) -> Any:
        """Returns the scores of the vocabulary for vectors [m e], float32 [m v]."""
        table = tf.convert_to_tensor(self.body.embedding.embeddings)
        table = tf.cast(table[: self.tokens], tf.float32)
        return tf.matmul(vectors, table, transpose_b=True) + tf.convert_to_tensor(self.bias)


def guessed(model: keras.Model, most: int) -> Any:
    """Returns a function from a model's inputs to predictions of hidden tokens.

    Its result is float32 [b t 2 * most + 1]: the ids of the most probable tokens, their
    probabilities, and the logarithm of the probability of `truth`; 0 where nothing is hidden.
    """
    head = inner(model, VocabularyHead)

    def call(inputs: Any, training: bool = False) -> Any:
        vectors = model(inputs, training=training)
        places = tf.where(inputs["token_ids"] == head.mask_id)
        logs = tf.nn.log_softmax(head.scores(tf.gather_nd(vectors, places)))
        best, ids = tf.math.top_k(logs, most)
        truth = tf.gather_nd(inputs["truth"], places)
        right = tf.gather(logs, truth, axis=1, batch_dims=1)[:, None]
        values = tf.concat([tf.cast(ids, tf.float32), tf.exp(best), right], axis=1)
        shape = tf.concat([tf.shape(inputs["token_ids"]), [2 * most + 1]], axis=0)
        return tf.scatter_nd(places, values, tf.cast(shape, tf.int64))

    return call


def marked_words(outputs: Any, names: Sequence[str], most: int) -> dict[str, Any]:
    """Returns the most probable words of the places marked in each text, filled up with "" and 0.

    Args:
      outputs: of the function that `guessed` returns, [b t 2 * most + 1].
      names: the words of the vocabulary's tokens.

    Returns:
      `words`, string [b m k], and `probabilities`, float32.
    """
    marked = outputs[:, :, most] > 0
    rows = tf.ragged.boolean_mask(tf.RaggedTensor.from_tensor(outputs), marked).to_tensor()
    rows = tf.reshape(rows, [tf.shape(outputs)[0], -1, 2 * most + 1])
    probabilities = rows[..., most:-1]
    words = tf.gather(tf.constant(list(names)), tf.cast(rows[..., :most], tf.int32))
    return {"words": tf.where(probabilities > 0, words, ""), "probabilities": probabilities}


def words_of(outputs: Any, names: Sequence[str], most: int) -> dict[str, list[np.ndarray]]:
    """Returns the result of `marked_words`, a text each: [m k] of the places that it has.

    Args:
      outputs: of the function that `guessed` returns, [t 2 * most + 1] a text.
    """
    marked = [output[output[:, most] > 0] for output in outputs]
    words = np.array(names)
    return {
        "words": [words[rows[:, :most].astype(int)] for rows in marked],
        "probabilities": [rows[:, most:-1] for rows in marked],
    }
