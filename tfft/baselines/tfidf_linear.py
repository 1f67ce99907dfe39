"""Baselines of pairs, of numbers and of several labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier

from tfft.baselines.base import Floor, Say
from tfft.baselines.linear_models import fitted_rows, logistic_regression
from tfft.baselines.tfidf import on_tfidf, text_floors

Columns = Sequence[Sequence[str]]


def joined(inputs: Columns) -> list[str]:
    """Returns the texts of each example as one."""
    return list(map("\n".join, zip(*inputs, strict=True)))


def pair_floors(
    train: Columns, targets: np.ndarray, test: Columns, classes: int, say: Say = None
) -> dict[str, Floor]:
    """Returns the baselines of `text_floors` on both texts, and one on the words that they share.

    `word_overlap_logistic_regression` sees the share of each text's distinct words that the other
    one has, lower-cased and cut at spaces, their Jaccard index, and the ratio of the lengths.

    Args:
      train, test: first and second texts, [n] each.
      targets: class numbers, int [n].
      classes: how many there are.
      say: gets a line with what was fitted.
    """
    on_texts = text_floors(joined(train), targets, joined(test), classes, say)
    rows = fitted_rows(len(targets))
    overlap = _overlaps(train)[rows], targets[rows], _overlaps(test)
    details = {"fitted_on": len(rows), "training_texts": len(targets)}
    floor = Floor(logistic_regression(*overlap, classes, 1.0), details)
    return {**on_texts, "word_overlap_logistic_regression": floor}


def _overlaps(inputs: Columns) -> np.ndarray:
    """Returns how two texts share words: float [n 4]."""
    rows = []
    for first, second in zip(*inputs, strict=True):
        one, two = set(first.lower().split()), set(second.lower().split())
        both = len(one & two)
        short, long = sorted((len(first) + 1, len(second) + 1))
        rows.append([both / max(len(part), 1) for part in (one, two, one | two)] + [short / long])
    return np.array(rows)


def ridge_floors(
    train: Columns, targets: np.ndarray, test: Columns, say: Say = None
) -> dict[str, Floor]:
    """Returns two baselines of numbers: their training mean, and ridge regression on TF-IDF.

    Args:
      train, test: the texts of each input, [n] each.
      targets: float [n 1].
      say: gets a line with what was fitted.

    Returns:
      `mean` and `tfidf_ridge`, float [n 1].
    """
    mean = np.full((len(test[0]), 1), targets.mean(), np.float32)

    def fit(features: Any, seen: np.ndarray, unseen: Any) -> np.ndarray:
        # A row of TF-IDF has norm one, and the answers may have any unit.
        scale = seen.std() or 1.0
        model = Ridge(1.0).fit(features, (seen[:, 0] - seen.mean()) / scale)
        return (model.predict(unseen) * scale + seen.mean())[:, None]

    fitted = on_tfidf(joined(train), targets, joined(test), 1, fit, say)
    return {"mean": Floor(mean), "tfidf_ridge": fitted}


def label_floors(
    train: Columns, targets: np.ndarray, test: Columns, say: Say = None
) -> dict[str, Floor]:
    """Returns two baselines of several labels a text, float [n c].

    `shares` gives every text the shares of the labels as probabilities; the other one is a logistic
    regression on TF-IDF for each label.

    Args:
      train, test: the texts of each input, [n] each.
      targets: 1 where an example has a label, [n c].
      say: gets a line with what was fitted.
    """
    shares = np.tile(targets.mean(0, dtype=np.float64), (len(test[0]), 1))

    def fit(features: Any, seen: np.ndarray, unseen: Any) -> np.ndarray:
        varied = np.flatnonzero(seen.any(0) & ~seen.all(0))
        out = np.tile(seen.mean(0, dtype=np.float64), (unseen.shape[0], 1))
        if len(varied):
            model = OneVsRestClassifier(LogisticRegression(C=10.0, max_iter=1000))
            out[:, varied] = model.fit(features, seen[:, varied]).predict_proba(unseen)
        return out

    fitted = on_tfidf(joined(train), targets, joined(test), targets.shape[1], fit, say)
    return {"shares": Floor(shares), "tfidf_logistic_regression": fitted}
