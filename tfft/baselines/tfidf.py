"""What a model has to beat: answers that need no network."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

Say = Callable[[str], None] | None  # gets a line with what was fitted
MOST_TEXTS = 100_000
MOST_WEIGHTS = 4_000_000  # of the logistic regression: features times classes
# Thai to Tibetan, Burmese, Khmer, kana and Han: scripts that put no space between words.
UNSPACED = re.compile("[\u0e00-\u0fff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")


@dataclasses.dataclass(frozen=True)
class Floor:
    """What a floor answers.

    Attributes:
      outputs: for the test texts, as the model's: float [n c].
      described: what it was fitted on, for the report.
    """

    outputs: Any
    described: dict[str, Any] = dataclasses.field(default_factory=dict)


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


def feature_floor(
    train: np.ndarray, train_labels: np.ndarray, test: np.ndarray, classes: int
) -> Floor:
    """Returns a logistic regression on a pretrained body's pooled outputs, its weights frozen.

    The features are scaled to mean 0 and variance 1 on the training split.

    Args:
      train, test: float [n d].
      train_labels: class numbers, int [n].
      classes: how many there are.
    """
    rows = fitted_rows(len(train))
    scaler = StandardScaler().fit(train[rows])
    fitted, tested = scaler.transform(train[rows]), scaler.transform(test)
    found = logistic_regression(fitted, train_labels[rows], tested, classes, 1.0)
    return Floor(found, {"fitted_on": len(rows), "training_texts": len(train)})


def fitted_rows(count: int, most: int | None = None) -> np.ndarray:
    """Returns the rows to fit on: all, or `most`, drawn anywhere in their order."""
    most = MOST_TEXTS if most is None else most
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(0).choice(count, most, replace=False))


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
    unit = "characters" if _is_unspaced(texts) else "words"
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


def _is_unspaced(texts: Sequence[str]) -> bool:
    """Says whether most letters of the texts belong to scripts without spaces between words."""
    step = max(1, len(texts) // 1000)
    sample = "".join(text[:1000] for text in texts[::step])
    letters = sum(character.isalpha() for character in sample)
    return len(UNSPACED.findall(sample)) * 2 > letters > 0


def logistic_regression(
    train: Any, labels: np.ndarray, test: Any, classes: int, inverse_penalty: float
) -> np.ndarray:
    """Returns a fitted model's probabilities of the test rows, float [n c]."""
    present = np.unique(labels)
    known = np.zeros((test.shape[0], classes))
    if len(present) == 1:  # nothing to tell apart: the floor is the majority
        known[:, present] = 1.0
        return known
    model = LogisticRegression(C=inverse_penalty, max_iter=1000)
    model.fit(train, labels)
    known[:, model.classes_] = model.predict_proba(test)
    return known


def line(described: dict[str, Any], seconds: float) -> str:
    part = "" if described["fitted_on"] == described["training_texts"] else " drawn at random"
    return (
        f"floor: TF-IDF with logistic regression on {described['fitted_on']:,} of "
        f"{described['training_texts']:,} training texts{part}, {described['features']:,} "
        f"features of {described['unit']}, in {seconds:.1f} s"
    )
