"""Baselines of texts: the most frequent class, and linear models on TF-IDF."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from tfft.baselines.base import Floor, Say
from tfft.baselines.linear_models import MOST_WEIGHTS, fitted_rows, logistic_regression
from tfft.metrics.text.words import is_unspaced


def text_floors(
    train_texts: Sequence[str],
    train_labels: np.ndarray,
    test_texts: Sequence[str],
    classes: int,
    say: Say = None,
) -> dict[str, Floor]:
    """Returns two baselines on the test texts.

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
      The baselines by name; the details of the second one are `fitted_on` and `training_texts`
      (numbers of texts), `features` and their `unit`.
    """
    train_labels = np.asarray(train_labels)
    shares = np.bincount(train_labels, minlength=classes) / len(train_labels)
    constant = np.tile(shares, (len(test_texts), 1))

    def fit(features: Any, labels: np.ndarray, unseen: Any) -> np.ndarray:
        # A row of TF-IDF has norm one: the default penalty (C=1) would hold the weights too small.
        return logistic_regression(features, labels, unseen, classes, 10.0)

    columns = 1 if classes == 2 else classes
    fitted = on_tfidf(train_texts, train_labels, test_texts, columns, fit, say)
    return {"majority": Floor(constant), "tfidf_logistic_regression": fitted}


def on_tfidf(
    train_texts: Sequence[str],
    targets: np.ndarray,
    test_texts: Sequence[str],
    columns: int,
    fit: Callable[[Any, np.ndarray, Any], np.ndarray],
    say: Say,
) -> Floor:
    """Returns the outputs of a model on TF-IDF.

    Args:
      targets: of the training texts, [n ...].
      columns: of the model's weights, which limits the features.
      fit: from features and targets of training texts, and the features of others, to the outputs
        of these.
      say: gets a line with what was fitted and how long it took.
    """
    began, rows = time.monotonic(), fitted_rows(len(train_texts))
    features, unseen, unit = tfidf([train_texts[row] for row in rows], test_texts, columns)
    outputs = fit(features, targets[rows], unseen)
    count, total, size = len(rows), len(train_texts), features.shape[1]
    if say:
        part = "" if count == total else " drawn at random"
        say(
            f"floor: TF-IDF with logistic regression on {count:,} of {total:,} training texts"
            f"{part}, {size:,} features of {unit}, in {time.monotonic() - began:.1f} s"
        )
    details = {"fitted_on": count, "training_texts": total, "features": size, "unit": unit}
    return Floor(outputs, details)


def tfidf(texts: Sequence[str], test_texts: Sequence[str], columns: int) -> tuple[Any, Any, str]:
    """Returns TF-IDF of texts, of others by the same weights, and its unit.

    Args:
      columns: as in `on_tfidf`.
    """
    unit = "characters" if is_unspaced(texts) else "words"
    vectorizer = _vectorizer(unit, columns)
    try:
        train = vectorizer.fit_transform(texts)
    except ValueError:  # no text holds a word, only signs
        unit = "characters"
        vectorizer = _vectorizer(unit, columns)
        train = vectorizer.fit_transform(texts)
    return train, vectorizer.transform(test_texts), unit


def _vectorizer(unit: str, columns: int) -> TfidfVectorizer:
    kind: Any = {"analyzer": "word", "ngram_range": (1, 2)}
    if unit == "characters":
        kind = {"analyzer": "char", "ngram_range": (1, 3)}
    return TfidfVectorizer(**kind, sublinear_tf=True, max_features=MOST_WEIGHTS // columns)
