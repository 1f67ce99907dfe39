"""AdamW's fused update against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfft.optimizer import AdamW
from tfft.stage import Stage, make_optimizer


def trained(kind, **arguments):
    """Three variables after twenty steps; the first is not decayed."""
    variables = [
        keras.Variable(np.random.default_rng(i).normal(size=(5, 4)).astype("float32"))
        for i in range(3)
    ]
    optimizer = kind(learning_rate=0.01, weight_decay=0.1, **arguments)
    optimizer.build(variables)
    optimizer.exclude_from_weight_decay(var_list=variables[:1])
    for step in range(20):
        rng = np.random.default_rng([step])
        gradients = [tf.constant(rng.normal(size=(5, 4)).astype("float32")) for _ in variables]
        optimizer.apply(gradients, variables)
    return variables, optimizer


@pytest.mark.parametrize(
    "arguments",
    [{}, {"global_clipnorm": 1.0}, {"clipnorm": 0.5}, {"amsgrad": True}, {"epsilon": 1e-3}],
)
def test_same_numbers_as_keras(arguments):
    ours, own = trained(AdamW, **arguments)
    theirs, other = trained(keras.optimizers.AdamW, **arguments)
    pairs = zip([*ours, *own.variables], [*theirs, *other.variables], strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_that_is_not_finite_is_not_hidden():
    variable = keras.Variable(np.ones((2, 2), "float32"))
    optimizer = AdamW(0.1, global_clipnorm=1.0)
    optimizer.build([variable])
    optimizer.apply([tf.constant([[np.inf, 0.0], [0.0, 0.0]], tf.float32)], [variable])
    assert np.isnan(np.asarray(variable)).any()


def test_a_stage_takes_it_for_adamw():
    assert type(make_optimizer(Stage(), 10)) is AdamW
    assert type(make_optimizer(Stage(optimizer="adam"), 10)) is keras.optimizers.Adam
