"""Baselines of question answering: the words that a context shares with the question."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.metrics.text import answer_span_scores, extractive_answers
from tfft.metrics.text.words import words

MOST_WORDS = 6  # of an answer


class SlidingWindow:
    """Answers with the words around which most of the question stands.

    After the sliding window of Richardson et al. (2013), which was SQuAD's first baseline
    (Rajpurkar et al., 2016): a span is judged by the words of the question that stand at most as
    many words from it as the question has. Each counts the logarithm of how rare it is among the
    training contexts. Spans are runs of up to six words that the question lacks, with nothing but
    spaces between them, and words that every other context has taken off their ends.

    Args:
      contexts: of the training split.
    """

    def __init__(self, contexts: Iterable[str]):
        distinct = set(contexts)
        self._texts = len(distinct)
        self._counts = Counter(word for text in distinct for word in {w for w, _, _ in words(text)})

    def span(self, question: str, context: str) -> tuple[int, int] | None:
        """Returns the characters that the answer begins with and ends before; None for none."""
        query = {word for word, _, _ in words(question)}
        read = words(context)
        weights = [
            math.log((1 + self._texts) / (1 + self._counts[word])) if word in query else 0.0
            for word, _, _ in read
        ]
        sums = np.concatenate([[0.0], np.cumsum(weights)])
        best, chosen = -1.0, None
        for first, last in self._runs(read, query, context):
            low, high = max(0, first - len(query)), min(len(read), last + 1 + len(query))
            score = float(sums[high] - sums[low])
            if score > best:
                best, chosen = score, (read[first][1], read[last][2])
        return chosen

    def _runs(
        self, read: Sequence[tuple[str, int, int]], query: set[str], context: str
    ) -> Iterable[tuple[int, int]]:
        """Yields the numbers of the first and the last word of each span."""
        usual = [2 * self._counts[word] > self._texts for word, _, _ in read]
        gaps = [context[a[2] : b[1]].strip() for a, b in pairwise(read)]
        first = 0
        for place in range(len(read) + 1):
            ended = place == len(read) or read[place][0] in query
            full = place - first == MOST_WORDS
            if not (ended or full or (place and gaps[place - 1])):
                continue
            left, right = first, place - 1
            while left <= right and usual[left]:
                left += 1
            while right > left and usual[right]:
                right -= 1
            if left <= right:
                yield left, right
            first = place + ended


def answer_floors(train: Any, test: Any, longest: int) -> dict[str, Floor]:
    """Returns the sliding window as logits of the test examples, and that there is no answer.

    `no_answer` is there where some test question has none.

    Args:
      train, test: `Examples` of questions and contexts.
      longest: the most tokens of an answer.
    """
    window = SlidingWindow(train.inputs[1])
    spans = {"sliding_window": [window.span(*pair) for pair in zip(*test.inputs, strict=True)]}
    if not all(extractive_answers.texts(test)):
        spans["no_answer"] = [None] * len(test)
    places = list(answer_span_scores.places(test.encoded))
    floors = {}
    for name, each in spans.items():
        rows = zip(places, each, strict=True)
        logits = [answer_span_scores.logits_of(*at, span, longest) for at, span in rows]
        floors[name] = Floor(logits)
    return floors
