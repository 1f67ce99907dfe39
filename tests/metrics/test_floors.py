"""Floors: what they learn, what they are fitted on, and texts that are hard to split."""

import numpy as np
import pytest

from tfft import fetch
from tfft.metrics import floors
from tfft.metrics.floors import text_floors

TEXTS = ["good film", "bad film", "good plot", "bad plot"] * 10
TARGETS = np.array([1, 0, 1, 0] * 10)
STRONG = "tfidf_logistic_regression"


def accuracy(found, name=STRONG):
    return found[name]["accuracy"]["value"]


def test_floors_learn_what_words_tell():
    said = []
    found = text_floors(TEXTS, TARGETS, TEXTS[:4], TARGETS[:4], ["bad", "good"], said.append)
    assert accuracy(found, "majority") == 0.5
    assert accuracy(found) == 1.0
    assert found[STRONG]["fitted_on"] == found[STRONG]["training_texts"] == 40
    assert found[STRONG]["features"] == 8  # four words and four pairs
    assert len(said) == 1 and "40 of 40 training texts, 8 features of words" in said[0]


def test_the_majority_is_that_of_the_training_split():
    found = text_floors(TEXTS[:3], TARGETS[:3], ["x"] * 4, np.array([0, 0, 0, 1]), ["bad", "good"])
    assert accuracy(found, "majority") == 0.25


def test_the_same_twice():
    args = (TEXTS, TARGETS, TEXTS[:4], TARGETS[:4], ["bad", "good"])
    assert text_floors(*args) == text_floors(*args)


def test_a_sample_is_drawn_from_the_whole_order_and_said(monkeypatch):
    monkeypatch.setattr(floors, "MOST_TEXTS", 10)
    texts = ["bad film"] * 50 + ["good film"] * 50  # sorted by class, as files often are
    targets, said = np.repeat([0, 1], 50), []
    found = text_floors(texts, targets, texts, targets, ["bad", "good"], said.append)
    assert accuracy(found) == 1.0 and found[STRONG]["fitted_on"] == 10
    assert "10 of 100 training texts drawn at random" in said[0]


def test_features_are_limited_where_there_are_many_classes(monkeypatch):
    monkeypatch.setattr(floors, "MOST_WEIGHTS", 12)
    targets = np.arange(40) % 3
    found = text_floors(TEXTS, targets, TEXTS, targets, ["a", "b", "c"])
    assert found[STRONG]["features"] == 4


@pytest.mark.parametrize("pair", [("这部电影很好看", "这部电影很难看"), ("😀😀", "😡"), ("!", "?")])
def test_texts_without_words_are_read_by_characters(pair):
    found = text_floors(pair * 10, TARGETS[:20], pair, TARGETS[:2], ["bad", "good"])
    assert accuracy(found) == 1.0 and found[STRONG]["unit"] == "characters"


def test_one_class_in_training_gives_the_majority():
    found = text_floors(TEXTS, np.zeros(40, int), TEXTS[:4], TARGETS[:4], ["bad", "good"])
    assert accuracy(found) == accuracy(found, "majority") == 0.5


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
        targets[held].astype(int),
        ["negative", "positive"],
    )
    assert 0.76 < accuracy(found) < 0.82
