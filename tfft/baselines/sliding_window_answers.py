"""What a model that answers questions has to beat: the words that it shares with the context."""

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
        asked = {word for word, _, _ in words(question)}
        found = words(context)
        weights = [self._weight(word) if word in asked else 0.0 for word, _, _ in found]
        sums = np.concatenate([[0.0], np.cumsum(weights)])
        best, chosen = -1.0, None
        for first, last in self._runs(found, asked, context):
            low, high = max(0, first - len(asked)), min(len(found), last + 1 + len(asked))
            score = float(sums[high] - sums[low])
            if score > best:
                best, chosen = score, (found[first][1], found[last][2])
        return chosen

    def _weight(self, word: str) -> float:
        return math.log((1 + self._texts) / (1 + self._counts[word]))

    def _runs(
        self, found: Sequence[tuple[str, int, int]], asked: set[str], context: str
    ) -> Iterable[tuple[int, int]]:
        """Yields the numbers of the first and the last word of each span."""
        usual = [2 * self._counts[word] > self._texts for word, _, _ in found]
        gaps = [context[a[2] : b[1]].strip() for a, b in pairwise(found)]
        first = 0
        for place in range(len(found) + 1):
            ended = place == len(found) or found[place][0] in asked
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
    chosen = [window.span(*pair) for pair in zip(*test.inputs, strict=True)]
    found = {"sliding_window": chosen}
    if not all(extractive_answers.texts(test)):
        found["no_answer"] = [None] * len(chosen)
    places = list(answer_span_scores.places(test.encoded))
    return {
        name: Floor(
            [
                answer_span_scores.logits_of(*at, span, longest)
                for at, span in zip(places, given, strict=True)
            ]
        )
        for name, given in found.items()
    }
