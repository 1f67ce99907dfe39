"""Sentences of movie reviews, positive or negative, from the package vaderSentiment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tfft.argument_checks.validated import FRACTION, validated
from tfft.data.sources.base import Source
from tfft.data.sources.split_rows import source_of_rows, with_one_label
from tfft.data.splits import Rows
from tfft.errors import DataError
from tfft.storage.downloads import fetch

FILE = "movieReviewSnippets_GroundTruth.txt"
SEE = "tfft fetch movie_reviews"


@validated(validation_share=FRACTION, test_share=FRACTION)
def movie_reviews(
    validation_share: float = 0.1, test_share: float = 0.2, scores: bool = False
) -> Source:
    """Returns the movie reviews; a label is the sign of the mean score of twenty raters.

    Source: Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
    Social Media Text", 2014. Sentences that were scored exactly zero are dropped; of a sentence
    that stands twice one copy stays, or none when its labels differ.

    Args:
      validation_share, test_share: of all sentences.
      scores: give the scores themselves, from -4 to 4, for `TextRegression`; those of zero are
        kept, and a sentence that stands several times has the mean.

    Raises:
      DataError: the data were not fetched, or the file is not the known one.
    """
    path = fetch.path("movie_reviews") / FILE
    with path.open(encoding="utf-8", newline="\n") as file:
        rows, notes = (scored if scores else labelled)(parse(file))
    shares = {"validation": validation_share, "test": test_share}
    classes = not scores
    return source_of_rows("movie_reviews", {"train": rows}, notes, shares, see=SEE, classes=classes)


def parse(lines: Iterable[str]) -> Iterator[tuple[float, str]]:
    """Yields the score and the sentence of each line: id, score, text, with tabs between them."""
    for number, line in enumerate(lines, 1):
        fields = line.rstrip("\r\n").split("\t")
        try:
            _, score, text = fields
            yield float(score), text.strip()
        except ValueError as error:
            raise DataError(
                f"{FILE}:{number} cannot be read: {line[:60]!r}.",
                set_in=f"{FILE}:{number}",
                valid="id, score and text with tabs between them",
                see=SEE,
            ) from error


def labelled(rows: Iterable[tuple[float, str]]) -> tuple[Rows, list[str]]:
    """Returns texts with labels, each text once, and notes with the counts of dropped rows."""
    labels: dict[str, list[str]] = {}
    total = zero = 0
    for score, text in rows:
        total += 1
        if score == 0:
            zero += 1
        else:
            labels.setdefault(text, []).append("positive" if score > 0 else "negative")
    distinct, copies, contradictory = with_one_label(labels)
    both = f", {contradictory:,} that stand there with both labels dropped" if contradictory else ""
    return distinct, [
        f"{total:,} sentences, of which {len(distinct[0]):,} are kept",
        f"{zero:,} sentences with a score of zero dropped, {copies:,} repeated ones dropped{both}",
    ]


def scored(rows: Iterable[tuple[float, str]]) -> tuple[Rows, list[str]]:
    """Returns texts with mean scores, each text once, and a note with the counts."""
    scores: dict[str, list[float]] = {}
    for score, text in rows:
        scores.setdefault(text, []).append(score)
    total = sum(map(len, scores.values()))
    means = [f"{sum(values) / len(values):.6g}" for values in scores.values()]
    note = f"{total:,} sentences with scores, of which {len(scores):,} differ"
    return (list(scores), means), [note]
