"""Floors: what they learn, what they are fitted on, and texts that are hard to split."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tfft.baselines import linear_models, tfidf
from tfft.baselines.frozen_features import feature_floor
from tfft.baselines.tfidf import text_floors
from tfft.storage.downloads import fetch

TEXTS = ["good film", "bad film", "good plot", "bad plot"] * 10
TARGETS = np.array([1, 0, 1, 0] * 10)
STRONG = "tfidf_logistic_regression"


def accuracy(found, truth, name=STRONG):
    return np.mean(found[name].outputs.argmax(-1) == truth)


def test_floors_learn_what_words_tell():
    said = []
    found = text_floors(TEXTS, TARGETS, TEXTS[:4], 2, said.append)
    assert accuracy(found, TARGETS[:4], "majority") == 0.5
    assert accuracy(found, TARGETS[:4]) == 1.0
    described = found[STRONG].described
    assert described["fitted_on"] == described["training_texts"] == 40
    assert described["features"] == 8  # four words and four pairs
    assert len(said) == 1 and "40 of 40 training texts, 8 features of words" in said[0]


def test_the_majority_is_that_of_the_training_split():
    found = text_floors(TEXTS[:3], TARGETS[:3], ["x"] * 4, 2)
    assert accuracy(found, [0, 0, 0, 1], "majority") == 0.25
    assert np.allclose(found["majority"].outputs, [[1 / 3, 2 / 3]] * 4)


def test_the_same_twice():
    one, two = (text_floors(TEXTS, TARGETS, TEXTS[:4], 2)[STRONG] for _ in "12")
    assert np.array_equal(one.outputs, two.outputs) and one.described == two.described


def test_a_sample_is_drawn_from_the_whole_order_and_said(monkeypatch):
    monkeypatch.setattr(linear_models, "MOST_TEXTS", 10)
    texts = ["bad film"] * 50 + ["good film"] * 50  # sorted by class, as files often are
    targets, said = np.repeat([0, 1], 50), []
    found = text_floors(texts, targets, texts, 2, said.append)
    assert accuracy(found, targets) == 1.0 and found[STRONG].described["fitted_on"] == 10
    assert "10 of 100 training texts drawn at random" in said[0]


def test_features_are_limited_where_there_are_many_classes(monkeypatch):
    monkeypatch.setattr(tfidf, "MOST_WEIGHTS", 12)
    targets = np.arange(40) % 3
    found = text_floors(TEXTS, targets, TEXTS, 3)
    assert found[STRONG].described["features"] == 4


@pytest.mark.parametrize("pair", [("这部电影很好看", "这部电影很难看"), ("😀😀", "😡"), ("!", "?")])
def test_texts_without_words_are_read_by_characters(pair):
    found = text_floors(pair * 10, TARGETS[:20], pair, 2)
    assert accuracy(found, TARGETS[:2]) == 1.0
    assert found[STRONG].described["unit"] == "characters"


def test_one_class_in_training_gives_the_majority():
    found = text_floors(TEXTS, np.zeros(40, int), TEXTS[:4], 2)
    assert accuracy(found, TARGETS[:4]) == accuracy(found, TARGETS[:4], "majority") == 0.5


def test_the_feature_floor_is_a_logistic_regression_on_scaled_features():
    rng = np.random.default_rng(0)
    features = rng.normal(3.0, 10.0, (60, 4))
    targets = (features[:, 1] > 3.0).astype(int)
    found = feature_floor(features[:40], targets[:40], features[40:], 2)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    expected = model.fit(features[:40], targets[:40]).predict_proba(features[40:])
    assert np.allclose(found.outputs, expected)
    assert found.described == {"fitted_on": 40, "training_texts": 40}


@pytest.mark.fetched
def test_movie_reviews():
    file = fetch.path("movie_reviews") / "movieReviewSnippets_GroundTruth.txt"
    lines = [line.split("\t") for line in file.read_text("utf-8").splitlines()]
    texts, targets = [line[2] for line in lines], np.array([float(line[1]) > 0 for line in lines])
    held = np.arange(len(lines)) % 5 == 0
    found = text_floors(
        [texts[row] for row in np.flatnonzero(~held)],
        targets[~held].astype(int),
        [texts[row] for row in np.flatnonzero(held)],
        2,
    )
    assert 0.76 < accuracy(found, targets[held]) < 0.82
