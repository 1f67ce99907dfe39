"""AdamW's fused update against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import slow

from tfft.training.learning_rate import WarmupDecay
from tfft.training.optimizer import AdamW, make_optimizer, rated
from tfft.training.stage import Stage


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
    # The sum is 7, clipped to 1: m = 1, v = 0.001.
    root = np.sqrt(0.001)
    np.testing.assert_allclose(variable[1, 0], -0.1 * root * 1.0 / (root + 1.0), rtol=1e-5)
    np.testing.assert_allclose(optimizer._velocities[0][1, 0], 0.001, rtol=1e-4)


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


def by_hand(**settings):
    """Two variables with values and gradients, and the optimizer of a stage for them."""
    plain = {"optimizer": "sgd", "learning_rate": 0.1, "warmup": 0, "schedule": "constant"}
    plain |= {"weight_decay": 0.0, "clip_norm": None}
    optimizer = make_optimizer(Stage(**(plain | settings)), 10)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    gradients = [rng.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    variables = [keras.Variable(value) for value in values]
    optimizer.build(variables)
    return optimizer, variables, values, gradients


@pytest.mark.parametrize("factors", [(), (1.0, 0.5)])
def test_l2_sp_by_hand(factors):
    """The first weight is pulled to its start, the other, a head, decays to zero."""
    optimizer, variables, values, gradients = by_hand(l2_sp=2.0, weight_decay=0.3)
    start = np.random.default_rng(1).normal(size=(3, 2)).astype("float32")
    optimizer.exclude_from_weight_decay(var_list=variables[:1])
    optimizer.strength, optimizer.starts = 2.0, (tf.constant(start), None)
    optimizer.factors = factors
    for _ in range(2):
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        first, second = factors or (1.0, 1.0)
        values[0] = values[0] - 0.1 * first * 2.0 * (values[0] - start)
        values[1] = values[1] - 0.1 * second * 0.3 * values[1]
        values = [
            v - 0.1 * f * g for v, f, g in zip(values, (first, second), gradients, strict=True)
        ]
        for found, value in zip(variables, values, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5, atol=1e-6)


def test_l2_sp_is_decoupled_from_adam_s_moments():
    """A step of AdamW from where the pull left the weight."""
    optimizer, variables, values, gradients = by_hand(optimizer="adamw", l2_sp=2.0)
    start = np.zeros((3, 2), "float32")
    optimizer.strength, optimizer.starts = 2.0, (tf.constant(start), None)
    optimizer.apply([tf.constant(g) for g in gradients], variables)
    for found, value, gradient, pull in zip(variables, values, gradients, (0.2, 0.0), strict=True):
        # In the first step Adam's direction is the gradient's sign, but for epsilon.
        expected = value * (1 - pull) - 0.1 * gradient / (np.abs(gradient) + 1e-7)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("more", [{}, {"optimizer": "adamw"}, {"rates": {"a": 1}}, {"l2_sp": 1.0}])
def test_a_step_that_overflows_is_skipped_and_the_scale_halves(more):
    optimizer, variables, values, gradients = by_hand(
        precision="mixed_float16", average="ema", clip_norm=1.0, **more
    )
    inner = optimizer.inner_optimizer
    if "rates" in more:
        inner.factors = (1.0, 0.5)
    if "l2_sp" in more:
        inner.strength, inner.starts = 1.0, tuple(map(tf.constant, values))
    state = [np.array(variable) for variable in inner.variables]
    scale = float(optimizer.dynamic_scale)
    assert float(optimizer.scale_loss(tf.constant(2.0))) == 2.0 * scale
    scaled = [tf.constant(g * scale) for g in gradients]
    bad = tf.constant(np.where(np.arange(6).reshape(3, 2) == 4, np.inf, gradients[1]), tf.float32)
    optimizer.apply([scaled[0], bad], variables)
    assert float(optimizer.dynamic_scale) == scale / 2
    for found, value in zip([*variables, *inner.variables], [*values, *state], strict=True):
        assert np.array_equal(found, value)
    optimizer.apply([tf.constant(g * scale / 2) for g in gradients], variables)
    assert int(inner.iterations) == 1 and float(optimizer.dynamic_scale) == scale / 2
    if not more:
        norm = np.sqrt(sum((g**2).sum() for g in gradients))
        for found, value, gradient in zip(variables, values, gradients, strict=True):
            np.testing.assert_allclose(found, value - 0.1 * gradient / norm, rtol=1e-5)


def test_restarts_by_hand():
    """A warm-up of 4 steps, then three cosines of 32 steps (SGDR, equation 5)."""
    schedule = WarmupDecay(2.0, 100, 4, "restarts", cycles=3)
    for step in range(101):
        place = (step - 4) % 32 / 32 if step < 100 else 1.0
        expected = (step + 1) / 4 * 2.0 if step < 4 else 1.0 + np.cos(np.pi * place)
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-5), step
    assert WarmupDecay.from_config(schedule.get_config())(36) == 2.0


@pytest.mark.parametrize("total,cycles", [(7, 3), (100, 7), slow(1999, 6), slow(3000, 9)])
def test_a_cycle_begins_at_the_peak(total, cycles):
    schedule = WarmupDecay(1.0, total, 0, "restarts", cycles=cycles)
    rates = np.array([float(schedule(step)) for step in range(total)])
    places = np.arange(total) * cycles % total / total
    np.testing.assert_allclose(rates, 0.5 * (1 + np.cos(np.pi * places)), atol=1e-5)


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lion"])
def test_no_decay_is_no_decay(name):
    optimizer, variables, values, _ = by_hand(optimizer=name, weight_decay=0.0)
    optimizer.apply([tf.zeros((3, 2))] * 2, variables)
    for found, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(found, value)
