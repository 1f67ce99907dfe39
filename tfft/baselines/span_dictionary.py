"""What a model of spans has to beat: answers that need no network."""

from __future__ import annotations

import collections
from collections.abc import Sequence

import numpy as np

from tfft.baselines.base import Floor
from tfft.metrics.text.tagged_spans import Span, token_tags, touched


def span_floors(
    train: tuple[Sequence[str], Sequence[np.ndarray], Sequence[Sequence[Span]]],
    test: tuple[Sequence[str], Sequence[np.ndarray]],
    labels: Sequence[str],
) -> dict[str, Floor]:
    """Returns the most frequent tag for every word, and training spans by their words.

    Args:
      train: texts, what `token_tags` takes as words, and spans.
      test: texts and words.
      labels: of the spans.

    Returns:
      Outputs of the test texts as a model gives them, float32 [t c] each, with probabilities of 0
      and 1 in `dictionary`.
    """
    texts, words, spans = train
    tags = [token_tags(*each, labels) for each in zip(spans, words, strict=True)]
    known = np.concatenate(tags)
    counts = np.bincount(known[known >= 0], minlength=1 + 2 * len(labels))
    shares = (counts / max(counts.sum(), 1)).astype(np.float32)
    constant = [np.tile(shares, (len(here), 1)) for here in test[1]]
    places = []
    for here, mine in zip(words, spans, strict=True):
        here = here[here[:, 0] >= 0]
        places.append([(*touched(span, here), span[2]) for span in mine])
    dictionary = Dictionary([_written(*e) for e in zip(texts, words, strict=True)], places)
    sure = np.eye(len(shares), dtype=np.float32)
    looked_up = [_spans(dictionary, *each) for each in zip(*test, strict=True)]
    found = [sure[token_tags(*each, labels)] for each in zip(looked_up, test[1], strict=True)]
    described = {"sequences": len(dictionary.labels)}
    return {"majority": Floor(constant), "dictionary": Floor(found, described)}


def _written(text: str, words: np.ndarray) -> list[str]:
    """Returns the words of a text."""
    return [text[start:end] for start, end in words[words[:, 0] >= 0]]


def _spans(dictionary: Dictionary, text: str, words: np.ndarray) -> list[Span]:
    here = words[words[:, 0] >= 0]
    found = dictionary.find(_written(text, words))
    return [(int(here[i, 0]), int(here[j - 1, 1]), label) for i, j, label in found]


class Dictionary:
    """The spans of training texts, by their words.

    A sequence of words has the label that it had most often, or none where that was more frequent.
    Where sequences overlap, the first one counts, and of those that begin together the longest.

    Args:
      words: of each training text, as they are written.
      places: the first word of each of its spans, the one after the last, and the label.
    """

    def __init__(
        self,
        words: Sequence[Sequence[str]],
        places: Sequence[Sequence[tuple[int, int, str]]],
    ):
        counts: dict[tuple[str, ...], collections.Counter[str]] = {}
        for text, spans in zip(words, places, strict=True):
            for first, last, label in spans:
                if first == last:  # behind the cut
                    continue
                key = tuple(text[first:last])
                counts.setdefault(key, collections.Counter())[label] += 1
        self._longest: dict[str, int] = {}
        for key in counts:
            self._longest[key[0]] = max(len(key), self._longest.get(key[0], 0))
        seen: collections.Counter[tuple[str, ...]] = collections.Counter()
        for text in words:
            for place, word in enumerate(text):
                most = min(self._longest.get(word, 0), len(text) - place)
                seen.update(tuple(text[place : place + size]) for size in range(1, most + 1))
        best = {key: max(each.items(), key=lambda e: e[1]) for key, each in counts.items()}
        self.labels = {
            key: label
            for key, (label, count) in best.items()
            if count >= seen[key] - counts[key].total()
        }

    def find(self, words: Sequence[str]) -> list[tuple[int, int, str]]:
        """Returns the spans of a text: first word, the one after the last, label."""
        found, place = [], 0
        while place < len(words):
            most = min(self._longest.get(words[place], 0), len(words) - place)
            sizes = range(most, 0, -1)
            keys = (tuple(words[place : place + size]) for size in sizes)
            key = next((key for key in keys if key in self.labels), None)
            if key:
                found.append((place, place + len(key), self.labels[key]))
            place += len(key) if key else 1
        return found
