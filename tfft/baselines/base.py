"""The result of a baseline, and the names of all of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

NAMES = {
    "majority": "most frequent class",
    "dictionary": "dictionary of training spans",
    "most_frequent": "most frequent answer",
    "copy": "copy of the text",
    "tfidf_logistic_regression": "TF-IDF + logistic regression",
    "pixels_logistic_regression": "pixels + logistic regression",
    "tfidf_ridge": "TF-IDF + ridge regression",
    "word_overlap_logistic_regression": "words in common + logistic regression",
    "word_overlap": "most words in common",
    "bm25": "BM25",
    "sliding_window": "sliding window",
    "no_answer": "never an answer",
    "first": "always the first",
    "frequency": "by frequency",
    "mean": "mean of the training answers",
    "shares": "shares of the training labels",
    "pretrained": "before the training",
    "frozen_features_logistic_regression": "frozen features + logistic regression",
}

Say = Callable[[str], None] | None  # gets a line with what was fitted


@dataclasses.dataclass(frozen=True)
class Floor:
    """The outputs of a baseline.

    Attributes:
      outputs: for the test texts, as the model's: float [n c].
      described: details of the fit, for the report.
    """

    outputs: Any
    described: dict[str, Any] = dataclasses.field(default_factory=dict)


def floor_name(key: str) -> str:
    """Returns the name of a baseline in a report; that of several tasks has a part for each."""
    return ", ".join(NAMES.get(part, part) for part in key.split(" + "))
