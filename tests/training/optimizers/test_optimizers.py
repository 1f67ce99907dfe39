"""AdamW's fused update against Keras' own, and what a stage adds to an optimizer of Keras."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.training.averaging import EMA
from tfft.training.execution import Execution
from tfft.training.optimizers import AdamW, KerasOptimizer
from tfft.training.optimizers.build import make_optimizer
from tfft.training.optimizers.decoupled import rated
from tfft.training.optimizers.fused_adamw import FusedAdamW
from tfft.training.regularizers import L2SP
from tfft.training.schedules import Constant, Linear
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
    ours, own = trained(FusedAdamW, **arguments)
    theirs, other = trained(keras.optimizers.AdamW, **arguments)
    pairs = zip([*ours, *own.variables], [*theirs, *other.variables], strict=True)
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_gradient_that_is_not_finite_is_not_hidden():
    variable = keras.Variable(np.ones((2, 2), "float32"))
    optimizer = FusedAdamW(0.1, global_clipnorm=1.0)
    optimizer.build([variable])
    optimizer.apply([tf.constant([[np.inf, 0.0], [0.0, 0.0]], tf.float32)], [variable])
    assert np.isnan(np.asarray(variable)).any()


def test_rows_of_an_embedding_are_summed_before_they_are_clipped():
    """Keras' own norm of these rows would be 5, as if both were of different tokens."""
    variable = keras.Variable(np.zeros((3, 2), "float32"))
    optimizer = FusedAdamW(0.1, global_clipnorm=1.0, beta_1=0.0, epsilon=1.0, weight_decay=0.0)
    optimizer.build([variable])
    rows = tf.IndexedSlices(tf.constant([[3.0, 0.0], [4.0, 0.0]]), tf.constant([1, 1]), (3, 2))
    optimizer.apply([rows], [variable])
    # The sum is 7, clipped to 1: m = 1, v = 0.001.
    root = np.sqrt(0.001)
    np.testing.assert_allclose(variable[1, 0], -0.1 * root * 1.0 / (root + 1.0), rtol=1e-5)
    np.testing.assert_allclose(optimizer._velocities[0][1, 0], 0.001, rtol=1e-4)


def test_a_stage_takes_it_for_adamw():
    assert type(make_optimizer(Stage(), 10)) is FusedAdamW
    adamw, adam = (Stage(optimizer=KerasOptimizer(name)) for name in ("AdamW", "adam"))
    assert type(make_optimizer(adamw, 10)) is FusedAdamW
    assert type(make_optimizer(adam, 10)) is keras.optimizers.Adam


@pytest.mark.parametrize("kind", [FusedAdamW, keras.optimizers.AdamW, keras.optimizers.Lion])
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
        optimizer=KerasOptimizer(
            "sgd", weight_decay=0.0, global_clipnorm=1.0, learning_rate_multipliers={"a": 1}
        ),
        learning_rate=0.1,
        schedule=Linear(warmup=2),
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


PLAIN = {"weight_decay": 0.0, "global_clipnorm": None}
SGD = KerasOptimizer("sgd", **PLAIN)


def by_hand(optimizer=SGD, **settings):
    """Two variables with values and gradients, and the optimizer of a stage for them."""
    settings = {"learning_rate": 0.1, "schedule": Constant(warmup=0), **settings}
    optimizer = make_optimizer(Stage(optimizer=optimizer, **settings), 10)
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    gradients = [rng.normal(size=(3, 2)).astype("float32") for _ in range(2)]
    variables = [keras.Variable(value) for value in values]
    optimizer.build(variables)
    return optimizer, variables, values, gradients


@pytest.mark.parametrize("factors", [(), (1.0, 0.5)])
def test_l2_sp_by_hand(factors):
    """The first weight is pulled to its start, the other, a head, decays to zero."""
    sgd = dataclasses.replace(SGD, weight_decay=0.3)
    optimizer, variables, values, gradients = by_hand(sgd, regularizers=(L2SP(2.0),))
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
    regularizers = (L2SP(2.0),)
    optimizer, variables, values, gradients = by_hand(AdamW(**PLAIN), regularizers=regularizers)
    start = np.zeros((3, 2), "float32")
    optimizer.strength, optimizer.starts = 2.0, (tf.constant(start), None)
    optimizer.apply([tf.constant(g) for g in gradients], variables)
    for found, value, gradient, pull in zip(variables, values, gradients, (0.2, 0.0), strict=True):
        # In the first step Adam's direction is the gradient's sign, but for epsilon.
        expected = value * (1 - pull) - 0.1 * gradient / (np.abs(gradient) + 1e-7)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


CLIPPED = dataclasses.replace(SGD, global_clipnorm=1.0)


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"optimizer": AdamW(weight_decay=0.0, global_clipnorm=1.0)},
        {"optimizer": dataclasses.replace(CLIPPED, learning_rate_multipliers={"a": 1})},
        {"regularizers": (L2SP(1.0),)},
    ],
)
def test_a_step_that_overflows_is_skipped_and_the_scale_halves(more):
    settings = {
        "optimizer": CLIPPED,
        "execution": Execution(dtype_policy="mixed_float16"),
        "averaging": (EMA(),),
    }
    optimizer, variables, values, gradients = by_hand(**{**settings, **more})
    inner = optimizer.inner_optimizer
    if more.get("optimizer", SGD).learning_rate_multipliers:
        inner.factors = (1.0, 0.5)
    if "regularizers" in more:
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


@pytest.mark.parametrize("name", ["adamw", "adam", "sgd", "lion"])
def test_no_decay_is_no_decay(name):
    optimizer, variables, values, _ = by_hand(KerasOptimizer(name, **PLAIN))
    optimizer.apply([tf.zeros((3, 2))] * 2, variables)
    for found, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(found, value)


def test_settings_of_an_optimizer_of_keras_are_passed_on():
    optimizer = KerasOptimizer("sgd", {"momentum": 0.9, "nesterov": True}, **PLAIN)
    made = make_optimizer(Stage(optimizer=optimizer), 10)
    assert type(made) is keras.optimizers.SGD
    assert made.momentum == 0.9 and made.nesterov
    other = keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)
    optimizer, variables, values, gradients = by_hand(optimizer)
    expected = [keras.Variable(value) for value in values]
    for _ in range(3):
        optimizer.apply([tf.constant(g) for g in gradients], variables)
        other.apply([tf.constant(g) for g in gradients], expected)
    for found, value in zip(variables, expected, strict=True):
        np.testing.assert_allclose(found, value, rtol=1e-6)


@pytest.mark.parametrize(
    "settings,said,valid",
    [
        ({"learning_rate": 0.1}, "'learning_rate', which the stage decides", "Stage.learning_rate"),
        ({"use_ema": True}, "'use_ema', which the stage decides", "EMA"),
        ({"gradient_accumulation_steps": 2}, "which the stage decides", "Batching"),
        ({"weight_decay": 0.1}, "which the stage decides", "KerasOptimizer.weight_decay"),
        ({"clipnorm": 1.0}, "beside global_clipnorm=1", "KerasOptimizer.global_clipnorm = None"),
        ({"clipvalue": 1.0}, "beside global_clipnorm=1", "KerasOptimizer.global_clipnorm = None"),
        ({"momentun": 0.9}, "'momentun', which sgd does not take", "momentum"),
        ({"kwargs": 1}, "'kwargs', which sgd does not take", "momentum"),
    ],
)
def test_settings_that_the_stage_decides_are_refused(settings, said, valid):
    with pytest.raises(ConfigError, match=said) as caught:
        KerasOptimizer("sgd", settings)
    assert valid in caught.value.valid


def test_a_clipping_of_keras_takes_the_place_of_global_clipnorm():
    made = make_optimizer(Stage(optimizer=KerasOptimizer("sgd", {"clipvalue": 0.5}, **PLAIN)), 10)
    assert made.clipvalue == 0.5 and made.global_clipnorm is None


def test_an_optimizer_that_keras_does_not_have_is_refused():
    for name in ("adamm", "optimizer", "lossscaleoptimizer"):
        with pytest.raises(ConfigError, match="is no optimizer of Keras"):
            KerasOptimizer(name)


def test_a_pull_that_cannot_be_is_refused():
    for strength in (0.0, -1.0):
        with pytest.raises(ConfigError, match="L2SP.strength must be above 0. Received: strength"):
            L2SP(strength)
    stage = Stage(regularizers=(L2SP(1e6),))
    with pytest.raises(ConfigError, match="gives back more than the distance") as caught:
        tfft.build(tfft.tasks.TextClassification(["a", "b"]), tiny(layers=1), stage)
    assert caught.value.valid == "below 20000"
