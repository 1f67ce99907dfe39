"""What regularizers change in a training step, against the formulas computed by hand."""

import dataclasses
import itertools
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.training.averaging import EMA
from tfft.training.batching import Batching
from tfft.training.model import FineTuned
from tfft.training.optimizers import KerasOptimizer
from tfft.training.regularizers import (
    L2SP,
    AdversarialStep,
    Dropout,
    Mixup,
    NoisyEmbeddings,
    RDrop,
)
from tfft.training.regularizers.base import Regularizer, StepState
from tfft.training.regularizers.r_drop import divergence
from tfft.training.regularizers.training_step import TrainingStep
from tfft.training.schedules import Constant
from tfft.training.stage import Stage

X = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
Y = np.array([0, 1, 2, 0, 1, 2])
SEED = 7
ALL = (RDrop(1.0), Mixup(0.3), AdversarialStep(0.5), NoisyEmbeddings(1.0))


def make(*regularizers, dropout=0.0, accumulated=False):
    """A softmax regression on [b 4] whose step moves the kernel by its gradient."""
    step = TrainingStep(regularizers, accumulated, SEED)
    inputs = keras.Input((4,))
    hidden = step.pooled(step.hidden(inputs))
    hidden = keras.layers.Dropout(dropout, seed=1)(hidden) if dropout else hidden
    dense = keras.layers.Dense(3, activation="softmax", use_bias=False)
    model = FineTuned(inputs, dense(hidden))
    model.training_step = step
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


def test_a_step_without_regularizers_is_keras_own():
    w, change = moved(*make())
    np.testing.assert_allclose(change, gradient(X, w, Y)[0], atol=1e-6)


class ByName(keras.losses.Loss):
    """The cross-entropy of targets, and of outputs or not, that are by name."""

    def call(self, y_true, y_pred):
        outputs = y_pred["class"] if isinstance(y_pred, dict) else y_pred
        return keras.losses.sparse_categorical_crossentropy(y_true["of"]["class"], outputs)


class MeanClass(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_true["of"]["class"])


def nested(model, kernel, named):
    """Returns a model of the same step and kernel, with targets by name, and outputs if `named`."""
    outputs = {"class": model.output, "other": -model.output} if named else model.output
    found = FineTuned(model.input, outputs)
    found.training_step = model.training_step
    model.layers[-1].kernel.assign(kernel)
    found.compile(keras.optimizers.SGD(1.0), ByName(), metrics=[MeanClass("mean_class")])
    return found


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("accumulated", [False, True])
@pytest.mark.parametrize("kind", [None, Mixup, AdversarialStep, NoisyEmbeddings])
def test_nested_targets_and_outputs_train_as_plain_ones(kind, named, accumulated):
    chosen = [each for each in ALL if type(each) is kind]
    model, dense = make(*chosen, accumulated=accumulated)
    weights = np.full(len(Y), 0.5, "float32") if accumulated else None
    w, change = moved(model, dense, Y, weights)
    other = nested(model, w, named)
    targets = {"of": {"class": Y}}
    logs = other.train_on_batch(X, targets, weights, return_dict=True)
    np.testing.assert_allclose(w - np.array(dense.kernel), change, atol=1e-6)
    assert logs.keys() == {"loss", "mean_class"} and logs["mean_class"] == pytest.approx(1.0)
    other.training_step = None
    logs = other.evaluate(X, targets, return_dict=True, verbose=0)
    expected = -np.log(softmax(X, np.array(dense.kernel))[np.arange(6), Y]).mean()
    assert logs["loss"] == pytest.approx(expected, rel=1e-5) and "mean_class" in logs


def test_r_drop_refuses_several_outputs():
    model, dense = make(RDrop(1.0))
    with pytest.raises(ConfigError, match="the model has several: class, other"):
        nested(model, np.array(dense.kernel), True).train_on_batch(X, {"of": {"class": Y}})


def test_noise_is_neftune_s():
    w, change = moved(*make(NoisyEmbeddings(5.0)))
    noise = tf.random.stateless_uniform((6, 4), [SEED, 0], -1.0, 1.0).numpy()
    np.testing.assert_allclose(change, gradient(X + noise * 5 / np.sqrt(4), w, Y)[0], atol=1e-6)


def test_noise_is_scaled_by_the_tokens_of_each_text():
    step = TrainingStep([NoisyEmbeddings(3.0)])
    hidden, mask = np.zeros((2, 4, 8), "float32"), np.array([[1, 1, 1, 1], [1, 0, 0, 0]])
    assert not np.array(step.hidden(hidden, mask, training=True)).any()  # outside a step
    step._state = StepState(tf.constant([1, 2]), None)
    noise = np.array(step.hidden(hidden, mask, training=True))
    drawn = tf.random.stateless_uniform((2, 4, 8), [1, 2], -1.0, 1.0).numpy()
    tokens = np.array([4.0, 1.0])[:, None, None]
    np.testing.assert_allclose(noise, drawn * 3 / np.sqrt(tokens * 8), rtol=1e-5)
    assert not np.array(step.hidden(hidden, mask, training=False)).any()


def test_adversarial_adds_the_gradient_at_the_shifted_input():
    w, change = moved(*make(AdversarialStep(0.5)))
    plain, towards = gradient(X, w, Y)
    shift = 0.5 * towards / np.linalg.norm(towards, axis=1, keepdims=True)
    np.testing.assert_allclose(change, plain + gradient(X + shift, w, Y)[0], atol=1e-6)


def test_mixup_mixes_features_and_losses_alike():
    w, change = moved(*make(Mixup(0.4)))
    one, two = tf.random.stateless_gamma([2], [SEED, 0], 0.4).numpy()
    share = one / (one + two)
    partners = np.argsort(tf.random.stateless_uniform([6], [SEED, 1 << 30]).numpy())
    assert 0 < share < 1
    mixed = share * X + (1 - share) * X[partners]
    expected = share * gradient(mixed, w, Y)[0] + (1 - share) * gradient(mixed, w, Y[partners])[0]
    np.testing.assert_allclose(change, expected, atol=1e-6)


def test_the_next_step_draws_anew():
    model, dense = make(NoisyEmbeddings(5.0))
    moved(model, dense)
    w, change = moved(model, dense)
    noise = tf.random.stateless_uniform((6, 4), [SEED, 1], -1.0, 1.0).numpy()
    np.testing.assert_allclose(change, gradient(X + noise * 5 / np.sqrt(4), w, Y)[0], atol=1e-6)


def test_r_drop_is_the_mean_of_two_passes_and_their_divergence():
    model, dense = make(RDrop(2.0), dropout=0.5)
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


@pytest.mark.parametrize("regularizers", [(), (AdversarialStep(0.5),), (RDrop(),), (Mixup(0.4),)])
def test_a_batch_s_weight_scales_its_gradient_and_not_its_loss(regularizers):
    one, two = (make(*regularizers, accumulated=True) for _ in range(2))
    two[1].kernel.assign(one[1].kernel)
    plain = moved(*one)[1]
    scaled = moved(*two, weights=np.full(6, 0.25, "float32"))[1]
    np.testing.assert_allclose(scaled, plain / 4, atol=1e-6)
    losses = [model.metrics[0].result() for model, _ in (one, two)]
    np.testing.assert_allclose(*losses, rtol=1e-6)


def test_all_together_under_loss_scaling_take_a_step():
    model, dense = make(*ALL, dropout=0.3)
    model.compile(
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(1.0)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    assert np.isfinite(model.train_on_batch(X, Y)).all()
    assert model.optimizer.inner_optimizer.iterations == 1


@pytest.mark.parametrize(
    "setting", [{"regularizers": (RDrop(),)}, {"batching": Batching(oversample=True)}]
)
def test_what_needs_classes_is_refused_for_numbers(setting):
    with pytest.raises(ConfigError, match="text_regression has none"):
        tfft.build(tfft.tasks.TextRegression(), tiny(layers=1), Stage(**setting))


# Regularizers of one's own, which act where those of the library do.


@dataclasses.dataclass(frozen=True)
class Flooding(Regularizer):
    """Keeps the loss at a level: below it the gradient is reversed (Ishida et al. 2020)."""

    level: float

    def loss(self, step, forward):
        loss, outputs = forward()
        return tf.abs(loss - self.level) + self.level, outputs


@dataclasses.dataclass(frozen=True)
class Doubled(Regularizer):
    """Doubles what the trained part reads."""

    order: ClassVar[int] = 0

    def on_hidden(self, step, hidden, padding_mask):
        return 2 * hidden


@dataclasses.dataclass(frozen=True)
class Shifted(Regularizer):
    """Adds one to what the trained part reads."""

    order: ClassVar[int] = 0

    def on_hidden(self, step, hidden, padding_mask):
        return hidden + 1


class DoubledLast(Doubled):
    order = 1


TASK = tfft.tasks.TextClassification(["a", "b"])
PLAIN = {
    "optimizer": KerasOptimizer("sgd", weight_decay=0.0, global_clipnorm=None),
    "schedule": Constant(warmup=0),
    "learning_rate": 0.1,
}


def batches(count):
    """Returns a dataset of batches of two texts."""
    ids = np.random.default_rng(0).integers(5, 20, (2 * count, 6)).astype("int32")
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    return tf.data.Dataset.from_tensor_slices((inputs, np.arange(2 * count) % 2)).batch(2)


def built(**settings):
    """The model of a stage, with the same weights for all stages, and copies of these."""
    keras.utils.set_random_seed(0)
    body = tiny(layers=1)
    model = tfft.build(TASK, body, Stage(**{**PLAIN, **settings}))
    return model, [np.array(weight) for weight in model.trainable_weights]


def test_a_regularizer_of_one_s_own_acts_in_a_stage():
    off = Dropout(0.0)
    (plain, start), (reversed_, same) = (
        built(regularizers=regularizers) for regularizers in ((off,), (off, Flooding(100.0)))
    )
    [batch] = batches(1)
    for model in (plain, reversed_):
        model.train_on_batch(*batch)
    changes = zip(plain.trainable_weights, reversed_.trainable_weights, start, same, strict=True)
    for one, two, before, equal in changes:
        assert np.array_equal(before, equal)
        np.testing.assert_allclose(one - before, before - two, atol=1e-6)
    assert np.abs(plain.trainable_weights[-2] - start[-2]).max() > 1e-3


def test_the_loss_of_a_regularizer_of_one_s_own_by_hand():
    w, change = moved(*make(Flooding(100.0)))
    np.testing.assert_allclose(change, -gradient(X, w, Y)[0], atol=1e-6)


def test_a_replica_has_the_whole_loss_and_its_share_of_the_gradient(monkeypatch):
    """Replicas add up their gradients, and Keras divides the loss of each by their number."""
    strategy = type(tf.distribute.get_strategy())
    monkeypatch.setattr(strategy, "num_replicas_in_sync", 2)
    model, dense = make(Flooding(100.0))
    w, change = moved(model, dense)
    np.testing.assert_allclose(change, -gradient(X, w, Y)[0] / 2, atol=1e-6)
    entropy = -np.log(softmax(X, w)[np.arange(6), Y]).mean()
    np.testing.assert_allclose(model.metrics[0].result(), 200 - entropy, rtol=1e-6)


@pytest.mark.parametrize(
    "regularizers,read",
    [((Doubled(), Shifted()), 2 * X + 1), ((DoubledLast(), Shifted()), 2 * (X + 1))],
)
def test_regularizers_at_one_place_act_by_order_then_by_name(regularizers, read):
    for listed in itertools.permutations(regularizers):
        w, change = moved(*make(*listed))
        np.testing.assert_allclose(change, gradient(read, w, Y)[0], atol=1e-5)


def test_the_order_of_a_list_changes_nothing():
    ends = []
    for listed in (ALL, ALL[::-1]):
        keras.utils.set_random_seed(0)
        model, dense = make(*listed, dropout=0.3)
        moved(model, dense)
        ends.append(moved(model, dense))
    for one, two in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, two)


def test_the_order_in_which_a_stage_lists_its_regularizers_changes_nothing():
    regularizers, found = (NoisyEmbeddings(), Mixup(0.4), L2SP(0.5), Flooding(0.5)), []
    for listed in (regularizers, regularizers[::-1]):
        model, start = built(regularizers=listed, averaging=(EMA(),))
        for batch in batches(2):
            model.train_on_batch(*batch)
        found.append([np.array(weight) for weight in model.trainable_weights])
    for one, two in zip(*found, strict=True):
        np.testing.assert_array_equal(one, two)
    assert not np.allclose(start[-2], found[0][-2])


def test_two_regularizers_of_one_class_are_refused():
    with pytest.raises(ConfigError, match="Stage.regularizers has RDrop twice"):
        Stage(regularizers=(RDrop(1.0), Mixup(), RDrop(2.0)))


def test_a_loop_in_strategy_run_trains_as_fit_does():
    regularizers = (RDrop(), NoisyEmbeddings())
    fitted, start = built(regularizers=regularizers)
    fitted.fit(batches(4), shuffle=False, verbose=0)
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])
    with strategy.scope():
        model, same = built(regularizers=regularizers)

    @tf.function
    def train(batch):
        strategy.run(model.train_step, (batch,))

    for batch in strategy.experimental_distribute_dataset(batches(4)):
        train(batch)
    ends = zip(start, same, fitted.trainable_weights, model.trainable_weights, strict=True)
    for before, equal, one, two in ends:
        assert np.array_equal(before, equal)
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)
    assert np.array(model.optimizer._iterations) == 4
    assert not np.allclose(model.trainable_weights[-2], start[-2])
