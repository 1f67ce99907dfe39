"""What a model has to beat: answers that need no network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from tfft.metrics.classification import classification_metrics

MOST_TEXTS = 100_000


def text_floors(
    train_texts: Sequence[str],
    train_targets: np.ndarray,
    test_texts: Sequence[str],
    test_targets: np.ndarray,
    names: Sequence[str],
) -> dict[str, Any]:
    """Returns the metrics of two floors on the test texts.

    `majority` always answers the most frequent class of the training split;
    `tfidf_logistic_regression` is a logistic regression on TF-IDF of words and pairs of words,
    fitted on at most the first 100,000 training texts (`fitted_on` says how many).
    """
    shares = np.bincount(train_targets, minlength=len(names)) / len(train_targets)
    constant = np.tile(shares, (len(test_targets), 1))
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, min_df=1),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    used = min(len(train_texts), MOST_TEXTS)
    model.fit(list(train_texts[:used]), train_targets[:used])
    known = np.zeros((len(test_targets), len(names)))
    known[:, model.classes_] = model.predict_proba(list(test_texts))
    return {
        "majority": classification_metrics(test_targets, constant, names),
        "tfidf_logistic_regression": {
            **classification_metrics(test_targets, known, names),
            "fitted_on": used,
        },
    }
