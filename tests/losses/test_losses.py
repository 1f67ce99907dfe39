"""Losses against their formulas in numpy."""

import keras
import numpy as np
import pytest

from tfft.errors import ConfigError
from tfft.losses.batch_metrics import MacroF1, TokenAccuracy
from tfft.losses.classification import Crossentropy, TokenCrossentropy, class_weights
from tfft.tasks.text.text_classification import TextClassification

P = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], "float32")
Y = np.array([0, 1, 0])
OWN = P[np.arange(3), Y]


def test_focal_loss_is_the_paper_s():
    found = Crossentropy(3, gamma=2.0)(Y, P)
    np.testing.assert_allclose(found, np.mean((1 - OWN) ** 2 * -np.log(OWN)), rtol=1e-5)


def test_smoothing_spreads_the_target():
    target = np.eye(3)[Y] * 0.9 + 0.1 / 3
    found = Crossentropy(3, smoothing=0.1)(Y, P)
    np.testing.assert_allclose(found, np.mean(-(target * np.log(P)).sum(-1)), rtol=1e-5)


def test_class_weights_are_keras_own():
    weights = (0.5, 2.0, 1.0)
    found = Crossentropy(3, weights=weights)(Y, P)
    np.testing.assert_allclose(found, np.mean(np.take(weights, Y) * -np.log(OWN)), rtol=1e-5)
    plain = keras.losses.SparseCategoricalCrossentropy()
    np.testing.assert_allclose(found, plain(Y, P, np.take(weights, Y)), rtol=1e-5)


def test_all_at_once():
    target = np.eye(3)[Y] * 0.9 + 0.1 / 3
    terms = (target * (1 - P) ** 1.5 * -np.log(P)).sum(-1) * np.take([3.0, 1.0, 1.0], Y)
    found = Crossentropy(3, 0.1, 1.5, (3.0, 1.0, 1.0))(Y, P)
    np.testing.assert_allclose(found, np.mean(terms), rtol=1e-5)


def test_a_loss_survives_its_config():
    loss = Crossentropy(3, 0.1, 2.0, (1.0, 2.0, 3.0))
    again = Crossentropy.from_config(loss.get_config())
    np.testing.assert_allclose(loss(Y, P), again(Y, P))


def test_balanced_weights_are_scikit_learn_s():
    from sklearn.utils.class_weight import compute_class_weight

    labels, y = np.array(["a", "b", "c"]), ["a"] * 6 + ["b"] * 3 + ["c"]
    found = class_weights("balanced", labels, {"a": 6, "b": 3, "c": 1})
    np.testing.assert_allclose(found, compute_class_weight("balanced", classes=labels, y=y))


def test_weights_by_name():
    assert class_weights({"b": 3}, ("a", "b"), None) == (1.0, 3.0)
    with pytest.raises(ConfigError, match="'bb', which is none"):
        class_weights({"bb": 3}, ("a", "b"), None)
    for wrong in ({"a": -1}, "even"):
        with pytest.raises(ConfigError, match="class_weights must be"):
            TextClassification(["a", "b"], class_weights=wrong)


def test_balanced_needs_the_counts():
    task = TextClassification(["a", "b"], class_weights="balanced")
    with pytest.raises(ConfigError, match="how frequent"):
        task.build_loss()
    assert task.with_training_answers({"a": 3, "b": 1}).build_loss().weights == [4 / 6, 2.0]


def test_macro_f1_is_scikit_learn_s():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth, outputs = rng.integers(0, 3, 50), rng.random((50, 3)).astype("float32")
    metric = MacroF1(3)
    for part in np.array_split(np.arange(50), 3):
        metric.update_state(truth[part], outputs[part])
    expected = f1_score(truth, outputs.argmax(-1), average="macro")
    np.testing.assert_allclose(metric.result(), expected, rtol=1e-5)
    again = MacroF1.from_config(metric.get_config())
    assert again.name == "macro_f1" and again.classes == 3


def test_an_unknown_metric_is_refused():
    with pytest.raises(ConfigError, match='a list of "accuracy", "macro_f1". Received: metrics'):
        TextClassification(["a", "b"], metrics=("f1",))


TAGS = np.array([[-1, 0, 2, -1], [1, -1, -1, -1], [-1, -1, -1, -1]])


def tag_probabilities():
    return np.random.default_rng(0).dirichlet(np.ones(3), TAGS.shape).astype("float32")


def test_the_mean_over_examples_is_that_over_labelled_tokens():
    found, known = tag_probabilities(), TAGS >= 0
    each = -np.log(np.take_along_axis(found, np.maximum(TAGS, 0)[..., None], 2)[..., 0])
    loss = TokenCrossentropy(3)
    assert float(loss(TAGS, found)) == pytest.approx(each[known].mean(), rel=1e-6)
    assert loss.call(TAGS, found).shape == (3,)
    assert float(loss.call(TAGS, found)[2]) == 0
    weighted = TokenCrossentropy(3, weights=[1.0, 2.0, 0.5])
    factors = np.array([1.0, 2.0, 0.5])[TAGS[known]]
    assert float(weighted(TAGS, found)) == pytest.approx((each[known] * factors).mean(), rel=1e-6)
    smooth = TokenCrossentropy(3, smoothing=0.3)
    target = 0.7 * np.eye(3)[TAGS[known]] + 0.1
    right = -(target * np.log(found[known])).sum(1).mean()
    assert float(smooth(TAGS, found)) == pytest.approx(right, rel=1e-6)
    again = TokenCrossentropy.from_config(weighted.get_config())
    assert float(again(TAGS, found)) == float(weighted(TAGS, found))


def test_weights_of_examples_are_not_spread_over_tokens():
    found = tag_probabilities()
    each = TokenCrossentropy(3).call(TAGS, found).numpy()
    weights = np.array([3.0, 1.0, 2.0], "float32")
    loss = float(TokenCrossentropy(3)(TAGS, found, sample_weight=weights))
    assert loss == pytest.approx((each * weights).sum() / 3, rel=1e-6)
    square = TAGS[:, :3]  # as many tokens as examples
    each = TokenCrossentropy(3).call(square, found[:, :3]).numpy()
    loss = float(TokenCrossentropy(3)(square, found[:, :3], sample_weight=weights))
    assert loss == pytest.approx((each * weights).sum() / 3, rel=1e-6)


def test_accuracy_is_that_of_labelled_tokens():
    found = np.eye(3)[np.array([[0, 0, 2, 0], [2, 0, 0, 0], [0, 0, 0, 0]])]
    metric = TokenAccuracy()
    metric.update_state(TAGS, found)
    assert float(metric.result()) == pytest.approx(2 / 3)
    metric.update_state(TAGS[1:2], np.eye(3)[np.array([[1, 1, 1, 1]])], np.array([3.0]))
    assert float(metric.result()) == pytest.approx(5 / 6)
