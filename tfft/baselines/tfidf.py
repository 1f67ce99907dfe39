"""What a model has to beat: answers that need no network."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from tfft.baselines.base import Floor, Say
from tfft.baselines.linear_models import MOST_WEIGHTS, fitted_rows, line, logistic_regression
from tfft.metrics.text.words import is_unspaced


def text_floors(
    train_texts: Sequence[str],
    train_labels: np.ndarray,
    test_texts: Sequence[str],
    classes: int,
    say: Say = None,
) -> dict[str, Floor]:
    """Returns the answers of two floors on the test texts.

    `majority` always answers the most frequent class of the training split, with the shares of
    the classes as its probabilities. `tfidf_logistic_regression` is a logistic regression on
    TF-IDF of words and pairs of words, or of runs of 1 to 3 characters where the texts are
    written without spaces. Above 100,000 training texts it is fitted on a random sample of that
    many; above 4 million weights it keeps the most frequent features. Both are deterministic.

    Args:
      train_labels: class numbers, int [n].
      classes: how many there are.
      say: gets a line with what was fitted and how long it took.

    Returns:
      The floors by name; the second one is described by `fitted_on` and `training_texts` (numbers
      of texts), `features` and their `unit`.
    """
    train_labels = np.asarray(train_labels)
    shares = np.bincount(train_labels, minlength=classes) / len(train_labels)
    constant = np.tile(shares, (len(test_texts), 1))
    began = time.monotonic()
    rows = fitted_rows(len(train_texts))
    fitted = _fit([train_texts[row] for row in rows], train_labels[rows], test_texts, classes)
    described = {"fitted_on": len(rows), "training_texts": len(train_texts), **fitted[1]}
    if say:
        say(line(described, time.monotonic() - began))
    return {"majority": Floor(constant), "tfidf_logistic_regression": Floor(fitted[0], described)}


def _fit(
    texts: Sequence[str], labels: np.ndarray, test_texts: Sequence[str], classes: int
) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns probabilities of the test texts, float [n c], and what they were fitted with."""
    train, test, described = tfidf(texts, test_texts, 1 if classes == 2 else classes)
    # A row of TF-IDF has norm one: the default penalty (C=1) would hold the weights too small.
    return logistic_regression(train, labels, test, classes, 10.0), described


def tfidf(
    texts: Sequence[str], test_texts: Sequence[str], columns: int
) -> tuple[Any, Any, dict[str, Any]]:
    """Returns TF-IDF of texts, of others by the same weights, and what it is made of.

    Args:
      columns: of the weights of a linear model on it, which limits the features.
    """
    unit = "characters" if is_unspaced(texts) else "words"
    vectorizer = _vectorizer(unit, columns)
    try:
        train = vectorizer.fit_transform(texts)
    except ValueError:  # no text holds a word, only signs
        unit = "characters"
        vectorizer = _vectorizer(unit, columns)
        train = vectorizer.fit_transform(texts)
    return train, vectorizer.transform(test_texts), {"features": train.shape[1], "unit": unit}


def _vectorizer(unit: str, columns: int) -> TfidfVectorizer:
    kind: dict[str, Any] = {"analyzer": "word", "ngram_range": (1, 2)}
    if unit == "characters":
        kind = {"analyzer": "char", "ngram_range": (1, 3)}
    return TfidfVectorizer(**kind, sublinear_tf=True, max_features=MOST_WEIGHTS // columns)
