"""Outputs of every form, put together from batches."""

import numpy as np
import pytest
import tensorflow as tf

from tfft.data.encoded_split import Encoded, Ragged
from tfft.evaluation.inference import predict

LENGTHS = np.array([3, 5, 4, 2, 5])


def texts():
    offsets = np.concatenate([[0], np.cumsum(LENGTHS)]).astype(np.int64)
    tokens = Ragged(np.arange(1, 1 + offsets[-1], dtype=np.int32), offsets)
    return Encoded(tokens, None, LENGTHS, 0)


def test_outputs_by_token_are_trimmed_and_those_of_a_fixed_shape_are_not():
    def model(inputs, training=False):
        ids = tf.cast(inputs["token_ids"], tf.float32)
        total = tf.reduce_sum(ids, axis=1)
        grid = total[:, None, None] * tf.ones([1, 5, 3])  # as many cells as tokens
        return {"ids": ids, "by": {"token": ids[..., None], "grid": grid, "total": total}}

    data = texts()
    found = predict(model, data, batch_size=2)
    sums = [row.sum() for row in data.tokens.rows()]
    assert found.keys() == {"ids", "by"} and found["by"].keys() == {"token", "grid", "total"}
    assert found["by"]["total"].tolist() == sums
    assert found["by"]["grid"].shape == (5, 5, 3) and found["by"]["grid"][:, 4, 2].tolist() == sums
    for row, ids, token in zip(data.tokens.rows(), found["ids"], found["by"]["token"], strict=True):
        assert ids.tolist() == row.tolist() and token.tolist() == row[:, None].tolist()


def test_outputs_of_images_are_arrays():
    values = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)
    images = Ragged(values, np.arange(6, dtype=np.int64))
    data = Encoded(images, None, np.ones(5, np.int32), 0, name="pixels", padded=False)

    def model(inputs, training=False):
        mask = tf.image.resize(tf.cast(inputs["pixels"], tf.float32), tf.shape(values)[1:3])
        return {"mask": mask, "cells": tf.reshape(mask, [-1, 16, 3])}

    found = predict(model, data, batch_size=2)
    np.testing.assert_allclose(found["mask"], values.astype("f4"))
    np.testing.assert_allclose(found["cells"], values.reshape(5, 16, 3).astype("f4"))


def test_an_output_that_follows_no_length_needs_a_fixed_shape():
    def model(inputs, training=False):
        return tf.repeat(inputs["token_ids"], 2, axis=1)

    with pytest.raises(ValueError, match="each of the 5 tokens.*tf.ensure_shape"):
        predict(model, texts(), batch_size=5)
