"""A quicker gradient of convolutions on a CPU."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import keras
import tensorflow as tf


def quicken(layers: Iterable[Any]) -> int:
    """Gives convolutions their input's gradient as a convolution with the turned kernel.

    On a CPU TensorFlow's own operation for it, Conv2DBackpropInput, takes a time an image that
    hardly falls with the number of places: with 512 channels on few of them, most of a step. Both
    compute the same sums. On a GPU the layers are left as they are.

    Args:
      layers: of a model; those that qualify are changed in place.

    Returns:
      How many do: of 3 x 3 places or other odd numbers, with steps of 1 and as large an output.
    """
    if tf.config.list_physical_devices("GPU"):
        return 0
    convolutions = [layer for layer in layers if _qualifies(layer)]
    for layer in convolutions:
        layer.convolution_op = functools.partial(_convolve, layer)
    return len(convolutions)


def _qualifies(layer: Any) -> bool:
    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.padding == "same"
        and layer.groups == 1
        and {*layer.strides, *layer.dilation_rate} == {1}
        and all(size % 2 for size in layer.kernel_size)
        and max(layer.kernel_size) > 1
    )


def _convolve(layer: Any, inputs: Any, kernel: Any) -> Any:
    """Returns the layer's output, [b h w o], with a gradient of its own."""

    @tf.custom_gradient
    def convolved(x: Any, weights: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            turned = tf.transpose(tf.reverse(weights, [0, 1]), (0, 1, 3, 2))
            to_weights = tf.raw_ops.Conv2DBackpropFilter(
                input=x,
                filter_sizes=tf.shape(weights),
                out_backprop=upstream,
                strides=[1, 1, 1, 1],
                padding="SAME",
            )
            return tf.nn.conv2d(upstream, turned, 1, "SAME"), to_weights

        return keras.layers.Conv2D.convolution_op(layer, x, weights), gradients

    # Keras' own conversion, which minds the precision, leaves a variable what it is.
    read = (tf.convert_to_tensor(keras.ops.convert_to_tensor(each)) for each in (inputs, kernel))
    return convolved(*read)
