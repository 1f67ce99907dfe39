"""AdamW's fused update against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfft.optimizer import AdamW, make_optimizer, rated
from tfft.stage import Stage


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


def test_rows_of_an_embedding_are_summed_before_they_are_clipped():
    """Keras' own norm of these rows would be 5, as if both were of different tokens."""
    variable = keras.Variable(np.zeros((3, 2), "float32"))
    optimizer = AdamW(0.1, global_clipnorm=1.0, beta_1=0.0, epsilon=1.0, weight_decay=0.0)
    optimizer.build([variable])
    rows = tf.IndexedSlices(tf.constant([[3.0, 0.0], [4.0, 0.0]]), tf.constant([1, 1]), (3, 2))
    optimizer.apply([rows], [variable])
    # The sum is 7, clipped to 1: m = 1, v = 0.001, and both are corrected for their start.
    np.testing.assert_allclose(variable[1, 0], -0.1 * 1.0 / (1.0 + 1.0), rtol=0.05)
    np.testing.assert_allclose(optimizer._velocities[0][1, 0], 0.001, rtol=1e-5)


def test_a_stage_takes_it_for_adamw():
    assert type(make_optimizer(Stage(), 10)) is AdamW
    assert type(make_optimizer(Stage(optimizer="adam"), 10)) is keras.optimizers.Adam


@pytest.mark.parametrize("kind", [AdamW, keras.optimizers.AdamW, keras.optimizers.Lion])
def test_a_factor_is_a_rate_of_its_own(kind):
    """Each variable moves as in an optimizer that has the factor's rate for all of them."""
    factors = (1.0, 0.5, 0.1)

    def moved(rate, given):
        variables = [keras.Variable(np.full((3, 2), 1.0 + i, "float32")) for i in range(3)]
        optimizer = (rated(kind) if given else kind)(learning_rate=rate, weight_decay=0.1)
        optimizer.build(variables)
        if given:
            optimizer.factors = given
        for step in range(5):
            rng = np.random.default_rng(step)
            gradients = [tf.constant(rng.normal(size=(3, 2)).astype("float32")) for _ in range(3)]
            optimizer.apply(gradients, variables)
        return variables

    together = moved(0.01, factors)
    for place, factor in enumerate(factors):
        alone = moved(0.01 * factor, None)[place]
        np.testing.assert_allclose(together[place], alone, rtol=1e-6, atol=1e-7)


def test_factors_schedule_and_clipping_by_hand():
    """Two steps of gradient descent, computed on paper beside it."""
    stage = Stage(
        optimizer="sgd",
        learning_rate=0.1,
        warmup=2,
        weight_decay=0.0,
        clip_norm=1.0,
        rates={"a": 1},
    )
    optimizer = make_optimizer(stage, 10)
    variables = [keras.Variable(np.array([1.0, 2.0], "float32")) for _ in range(2)]
    optimizer.build(variables)
    optimizer.factors = (1.0, 0.25)
    gradients = [np.array([3.0, 0.0], "float32"), np.array([0.0, 4.0], "float32")]
    expected = [np.array([1.0, 2.0]) for _ in range(2)]
    for rate in (0.05, 0.1):  # half of the peak, then the peak
        assert float(optimizer.learning_rate) == pytest.approx(rate)
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        for value, gradient, factor in zip(expected, gradients, (1.0, 0.25), strict=True):
            value -= rate * factor * gradient / 5.0  # the global norm is 5
    for found, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-6)
