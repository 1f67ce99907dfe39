"""Convolutions whose input's gradient is a convolution: the numbers of Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfft.backbones.image.fast_convolution import quicken
from tfft.backbones.image.tiny_image import tiny_image

Conv2D = keras.layers.Conv2D


def gradients(layer, x):
    """Returns the layer's output and the gradients of all that it is made of."""
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x)
        loss = tf.reduce_sum(tf.sin(tf.cast(y, tf.float32)))
    found = [y, *tape.gradient(loss, [x, *(v.value for v in layer.trainable_variables)])]
    return [tf.cast(each, tf.float32).numpy() for each in found]


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("size", [3, 5, (1, 3)])
def test_output_and_gradients_are_those_of_keras(size, dtype):
    layers = [Conv2D(6, size, padding="same", activation="relu", dtype=dtype) for _ in range(2)]
    x = tf.random.stateless_normal((2, 5, 4, 3), (1, 2))
    for layer in layers:
        layer.build(x.shape)
    layers[1].set_weights(layers[0].get_weights())
    assert quicken(layers[1:]) == 1
    one, other = (gradients(layer, x) for layer in layers)
    assert np.array_equal(one[0], other[0])
    near = {"float32": 1e-5, "mixed_bfloat16": 0.1}[dtype]
    for first, second in zip(one, other, strict=True):
        np.testing.assert_allclose(first, second, atol=near)


def test_other_convolutions_are_left_alone():
    others = [
        Conv2D(4, 1, padding="same"),
        Conv2D(4, 2, padding="same"),
        Conv2D(4, 3, padding="valid"),
        Conv2D(4, 3, strides=2, padding="same"),
        Conv2D(4, 3, dilation_rate=2, padding="same"),
        Conv2D(4, 3, groups=2, padding="same"),
        keras.layers.DepthwiseConv2D(3, padding="same"),
        keras.layers.Dense(4),
    ]
    assert quicken(others) == 0
    assert all("convolution_op" not in vars(layer) for layer in others)


def test_bodies_of_images_have_them():
    layers = tiny_image().model._flatten_layers()
    assert any("convolution_op" in vars(layer) for layer in layers)


def test_a_gpu_keeps_its_own(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    assert quicken([Conv2D(4, 3, padding="same")]) == 0
