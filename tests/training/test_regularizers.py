"""What a training step adds, against the formulas computed by hand."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.training.model import FineTuned
from tfft.training.regularizers.noise import Entrance
from tfft.training.regularizers.r_drop import divergence
from tfft.training.regularizers.train_step import Additions
from tfft.training.stage import Stage

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.array([0, 1, 2, 0, 1, 2])
SEED = 7


def make(dropout=0.0, **settings):
    """A softmax regression on [b 4] whose step moves the kernel by its gradient."""
    additions = Additions(seed=SEED, **settings)
    inputs = keras.Input((4,))
    hidden = additions.blend(additions.entrance(inputs))
    hidden = keras.layers.Dropout(dropout, seed=1)(hidden) if dropout else hidden
    dense = keras.layers.Dense(3, activation="softmax", use_bias=False)
    model = FineTuned(inputs, dense(hidden))
    model.additions = additions
    model.compile(keras.optimizers.SGD(1.0), "sparse_categorical_crossentropy")
    return model, dense


def softmax(x, w):
    e = np.exp(x @ w - (x @ w).max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def gradient(x, w, y):
    """Returns the mean cross-entropy's gradient in the kernel, and each example's in x."""
    wrong = softmax(x, w) - np.eye(3)[y]
    return x.T @ wrong / len(x), wrong @ w.T


def moved(model, dense, y=Y, weights=None):
    """Returns the kernel before a step, and what the step took from it."""
    before = np.array(dense.kernel)
    model.train_on_batch(X, y, weights)
    return before, before - np.array(dense.kernel)


def test_nothing_added_is_keras_own_step():
    w, change = moved(*make())
    np.testing.assert_allclose(change, gradient(X, w, Y)[0], atol=1e-6)


def test_noise_is_neftune_s():
    w, change = moved(*make(noise=5.0))
    noise = tf.random.stateless_uniform((6, 4), [SEED, 0], -1.0, 1.0).numpy()
    np.testing.assert_allclose(change, gradient(X + noise * 5 / np.sqrt(4), w, Y)[0], atol=1e-6)


def test_noise_is_scaled_by_the_tokens_of_each_text():
    entrance = Entrance(3.0)
    entrance.seed = tf.constant([1, 2])
    mask = np.array([[1, 1, 1, 1], [1, 0, 0, 0]])
    noise = np.array(entrance(np.zeros((2, 4, 8), "float32"), mask, training=True))
    drawn = tf.random.stateless_uniform((2, 4, 8), [1, 2], -1.0, 1.0).numpy()
    tokens = np.array([4.0, 1.0])[:, None, None]
    np.testing.assert_allclose(noise, drawn * 3 / np.sqrt(tokens * 8), rtol=1e-5)
    assert not np.array(entrance(np.zeros((2, 4, 8), "float32"), mask, training=False)).any()


def test_adversarial_adds_the_gradient_at_the_shifted_input():
    w, change = moved(*make(adversarial=0.5))
    plain, towards = gradient(X, w, Y)
    shift = 0.5 * towards / np.linalg.norm(towards, axis=1, keepdims=True)
    np.testing.assert_allclose(change, plain + gradient(X + shift, w, Y)[0], atol=1e-6)


def test_mixup_mixes_features_and_losses_alike():
    w, change = moved(*make(mixup=0.4))
    one, two = tf.random.stateless_gamma([2], [SEED, 0], 0.4).numpy()
    share = one / (one + two)
    partners = np.argsort(tf.random.stateless_uniform([6], [SEED, 1 << 30]).numpy())
    assert 0 < share < 1
    mixed = share * X + (1 - share) * X[partners]
    expected = share * gradient(mixed, w, Y)[0] + (1 - share) * gradient(mixed, w, Y[partners])[0]
    np.testing.assert_allclose(change, expected, atol=1e-6)


def test_the_next_step_draws_anew():
    model, dense = make(noise=5.0)
    moved(model, dense)
    w, change = moved(model, dense)
    noise = tf.random.stateless_uniform((6, 4), [SEED, 1], -1.0, 1.0).numpy()
    np.testing.assert_allclose(change, gradient(X + noise * 5 / np.sqrt(4), w, Y)[0], atol=1e-6)


def test_r_drop_is_the_mean_of_two_passes_and_their_divergence():
    model, dense = make(dropout=0.5, r_drop=2.0)
    kernel = dense.kernel.value
    passes = keras.layers.Dropout(0.5, seed=1)  # draws what the model's own draws
    with tf.GradientTape() as tape:
        p, q = (tf.nn.softmax(passes(X, training=True) @ kernel) for _ in range(2))
        entropy = sum(-tf.math.log(tf.gather(out, Y, batch_dims=1)) for out in (p, q)) / 2
        apart = tf.reduce_sum(p * tf.math.log(p / q) + q * tf.math.log(q / p), axis=-1) / 2
        loss = tf.reduce_mean(entropy + 2.0 * apart)
    expected = tape.gradient(loss, kernel).numpy()
    assert not np.allclose(p, q)
    np.testing.assert_allclose(moved(model, dense)[1], expected, atol=1e-5)
    np.testing.assert_allclose(divergence(p, q), np.mean(apart), rtol=1e-5)


@pytest.mark.parametrize("added", [{}, {"adversarial": 0.5}, {"r_drop": 1.0}, {"mixup": 0.4}])
def test_a_batch_s_weight_scales_its_gradient_and_not_its_loss(added):
    one, two = (make(accumulated=True, **added) for _ in range(2))
    two[1].kernel.assign(one[1].kernel)
    plain = moved(*one)[1]
    scaled = moved(*two, weights=np.full(6, 0.25, "float32"))[1]
    np.testing.assert_allclose(scaled, plain / 4, atol=1e-6)
    losses = [model.metrics[0].result() for model, _ in (one, two)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_all_together_under_loss_scaling_take_a_step():
    model, dense = make(dropout=0.3, r_drop=1.0, mixup=0.3, adversarial=0.5, noise=1.0)
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    assert np.isfinite(model.train_on_batch(X, Y)).all()
    assert model.optimizer.inner_optimizer.iterations == 1


@pytest.mark.parametrize("setting", [{"r_drop": 1.0}, {"oversample": True}])
def test_what_needs_classes_is_refused_for_numbers(setting):
    with pytest.raises(ConfigError, match="text_regression has none"):
        tfft.build(tfft.tasks.TextRegression(), tiny(layers=1), Stage(**setting))
