"""Sentences of movie reviews, positive or negative, from the package vaderSentiment."""

from __future__ import annotations

from tfft import fetch
from tfft.errors import DataError
from tfft.sources import Source, split_by_hash

FILE = "movieReviewSnippets_GroundTruth.txt"


def movie_reviews(validation_share: float = 0.1, test_share: float = 0.2) -> Source:
    """Returns the movie reviews; a label is the sign of the mean score of twenty raters.

    Source: Hutto and Gilbert, 2014. Sentences with a score of exactly zero are dropped, and so
    are repeated ones; the split follows from a hash of the text.

    Args:
      validation_share, test_share: of all sentences.
    """
    labels: dict[str, str] = {}
    zero = repeated = 0
    conflicting: set[str] = set()
    for number, line in enumerate(_lines(), 1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(f"{FILE}:{number} has {len(fields)} fields.", valid="id, score, text")
        score, text = float(fields[1]), fields[2].strip()
        label = "positive" if score > 0 else "negative"
        if score == 0:
            zero += 1
        elif text in labels:
            repeated += 1
            if labels[text] != label:
                conflicting.add(text)
        else:
            labels[text] = label
    for text in conflicting:
        del labels[text]
    rows = split_by_hash(labels.keys(), labels.values(), validation_share, test_share)
    notes = [
        f"{zero} sentences with a score of zero dropped, {repeated} repeated ones dropped"
        + (f", {len(conflicting)} with both labels dropped" if conflicting else ""),
        f"split by a hash of the text: {test_share:.0%} test, {validation_share:.0%} validation",
    ]
    return Source("movie_reviews", rows, notes)


def _lines() -> list[str]:
    text = (fetch.path("movie_reviews") / FILE).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line]
