"""Names of variables that do not depend on the layers that were made before."""

import types

import keras
import pytest

from tfft.layers.inspection import named_variables

NO_BODY = types.SimpleNamespace(groups=())
DENSE = ["kernel", "bias"]


class Gate(keras.layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.inner = keras.layers.Dense(2)
        self.named = keras.layers.Dense(2, name="dense_of_the_gate")

    def build(self, input_shape):
        self.inner.build(input_shape)
        self.named.build(input_shape)


def several():
    dense = keras.layers.Dense
    return keras.Sequential([dense(3), keras.layers.LayerNormalization(), dense(1)])


@pytest.mark.parametrize(
    "make,expected",
    [
        (
            several,
            [
                *(f"head/sequential/dense/{name}" for name in DENSE),
                *(f"head/sequential/layer_normalization/{name}" for name in ("gamma", "beta")),
                *(f"head/sequential/dense/{name}#1" for name in DENSE),
            ],
        ),
        (
            Gate,
            [
                *(f"head/gate/dense/{name}" for name in DENSE),
                *(f"head/gate/dense_of_the_gate/{name}" for name in DENSE),
            ],
        ),
        (
            lambda: keras.layers.Dense(2, name="units_2"),
            [f"head/units_2/{name}" for name in DENSE],
        ),
    ],
)
def test_layers_of_a_head_without_names_have_the_same_ones_each_time(make, expected):
    for _ in range(2):
        head = make()
        head.build((None, 4))
        assert list(named_variables(NO_BODY, head)) == expected
