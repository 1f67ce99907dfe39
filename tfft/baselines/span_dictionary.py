"""Baselines of spans: the most frequent tag, and a dictionary of training spans."""

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
    tags = np.concatenate([token_tags(*each, labels) for each in zip(spans, words, strict=True)])
    counts = np.bincount(tags[tags >= 0], minlength=1 + 2 * len(labels))
    shares = (counts / max(counts.sum(), 1)).astype(np.float32)
    constant = [np.tile(shares, (len(own), 1)) for own in test[1]]
    places = []
    for own, mine in zip(map(_begun, words), spans, strict=True):
        places.append([(*touched(span, own), span[2]) for span in mine])
    written = [_written(*each) for each in zip(texts, words, strict=True)]
    dictionary = Dictionary(written, places)
    sure, outputs = np.eye(len(shares), dtype=np.float32), []
    for text, own in zip(*test, strict=True):
        edges = _begun(own)
        looked_up = [
            (int(edges[first, 0]), int(edges[last - 1, 1]), label)
            for first, last, label in dictionary.find(_written(text, own))
        ]
        outputs.append(sure[token_tags(looked_up, own, labels)])
    details = {"sequences": len(dictionary.labels)}
    return {"majority": Floor(constant), "dictionary": Floor(outputs, details)}


def _begun(words: np.ndarray) -> np.ndarray:
    """Returns the start and the end of each word, int [w 2], from those by token."""
    return words[words[:, 0] >= 0]


def _written(text: str, words: np.ndarray) -> list[str]:
    """Returns the words of a text."""
    return [text[start:end] for start, end in _begun(words)]


class Dictionary:
    """The spans of training texts, by their words.

    A sequence of words has the label that it had most often, or none where that was more frequent.
    Where sequences overlap, the first one counts, and of those that begin together the longest.

    Args:
      words: of each training text, as they are written.
      places: the first word of each of its spans, the one after the last, and the label.
    """

    def __init__(
        self, words: Sequence[Sequence[str]], places: Sequence[Sequence[tuple[int, int, str]]]
    ):
        counts: dict[tuple[str, ...], collections.Counter[str]]
        counts = collections.defaultdict(collections.Counter)
        self._longest: collections.Counter[str] = collections.Counter()
        for text, spans in zip(words, places, strict=True):
            for first, last, label in spans:
                if first < last:  # else it is behind the cut
                    key = tuple(text[first:last])
                    counts[key][label] += 1
                    self._longest[key[0]] = max(len(key), self._longest[key[0]])
        seen: collections.Counter[tuple[str, ...]] = collections.Counter()
        for text in words:
            for place, word in enumerate(text):
                most = min(self._longest[word], len(text) - place)
                seen.update(tuple(text[place : place + size]) for size in range(1, most + 1))
        self.labels: dict[tuple[str, ...], str] = {}
        for key, each in counts.items():
            [(label, count)] = each.most_common(1)
            if count >= seen[key] - each.total():
                self.labels[key] = label

    def find(self, words: Sequence[str]) -> list[tuple[int, int, str]]:
        """Returns the spans of a text: first word, the one after the last, label."""
        spans, place = [], 0
        while place < len(words):
            most = min(self._longest[words[place]], len(words) - place)
            keys = (tuple(words[place : place + size]) for size in range(most, 0, -1))
            key = next((key for key in keys if key in self.labels), None)
            if key:
                spans.append((place, place + len(key), self.labels[key]))
            place += len(key) if key else 1
        return spans
