"""Finding each example's second text among all of a split, for a model or for BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from tfft.errors import DataError
from tfft.metrics import regression

TOP = 10
AT_ONCE = 2**24  # scores
K1, B = 1.2, 0.75  # of BM25, as Lucene has them
RETRIEVAL_FIGURES = {
    "mrr": "mean reciprocal rank",
    "recall_at_1": "recall at 1",
    "recall_at_5": "recall at 5",
    "recall_at_10": "recall at 10",
    "ndcg_at_10": "nDCG at 10",
}
COSINE_FIGURES = {"spearman": "Spearman", "pearson": "Pearson"}


class Sides(NamedTuple):
    """Vectors of the first and of the second texts, [n d] each, dense or sparse.

    The product of two vectors is the score of the texts.
    """

    first: Any
    second: Any


def sides(outputs: Any) -> Sides:
    """Returns the vectors out of a model's outputs, [r d] of each example, or of a baseline's."""
    if isinstance(outputs, Sides):
        return outputs
    both = np.stack([each[:2] for each in outputs])
    return Sides(both[:, 0], both[:, 1])


def similarities(outputs: Any) -> np.ndarray:
    """Returns the score of the two texts of each example, float64 [n]."""
    one, two = sides(outputs)
    if sparse.issparse(one):
        return np.asarray(one.multiply(two).sum(axis=1), np.float64)[:, 0]
    return (one.astype(np.float64) * two).sum(1)


class Retrieved(NamedTuple):
    """How each example's first text finds second texts of its group.

    Attributes:
      rank: of the first relevant text, from 1, int [n].
      best: the example whose second text has the highest score, int [n].
      hits: how many of the first 1, 2, ..., 10 are of the group, int [n 10].
      relevant: how many there are, int [n].
    """

    rank: np.ndarray
    best: np.ndarray
    hits: np.ndarray
    relevant: np.ndarray

    def recall(self, count: int) -> np.ndarray:
        """Returns the share of the relevant texts that are among the first `count`, float [n]."""
        return self.hits[:, count - 1] / self.relevant

    @property
    def ndcg(self) -> np.ndarray:
        """Of the first 10 (Järvelin and Kekäläinen, 2002), with a gain of 1 or 0, float [n]."""
        gains = 1 / np.log2(np.arange(TOP) + 2)
        ideal = np.cumsum(gains)[np.minimum(self.relevant, TOP) - 1]
        return np.diff(self.hits, axis=1, prepend=0) @ gains / ideal

    def measures(self) -> dict[str, Any]:
        """Returns the aggregate and the terms of each of `RETRIEVAL_FIGURES`.

        The mean reciprocal rank is that of Voorhees (1999).
        """
        recalls = {f"recall_at_{count}": self.recall(count) for count in (1, 5, 10)}
        scores = {"mrr": 1.0 / self.rank, **recalls, "ndcg_at_10": self.ndcg}
        return {name: ("mean", {"score": each}) for name, each in scores.items()}

    def last(self, texts: Sequence[str]) -> dict[int, dict[str, str]]:
        """Returns the examples that find none first, the worst first: their rank, what they find.

        Args:
          texts: the second texts, [n].

        Returns:
          By the number of an example `truth` and `predicted`.
        """
        order = np.argsort(-self.rank, kind="stable")[: int((self.rank > 1).sum())]
        return {
            int(row): {"truth": f"rank {self.rank[row]}", "predicted": texts[self.best[row]]}
            for row in order
        }


def retrieve(outputs: Any, texts: Sequence[str], groups: np.ndarray) -> Retrieved:
    """Ranks the distinct second texts for each first text.

    Relevant are the second texts of all examples of the same group. Of equal scores those of
    irrelevant texts come first, so that a model which answers the same to all finds nothing.

    Args:
      outputs: as in `sides`.
      texts: the second texts, [n].
      groups: int [n].
    """
    first, second = sides(outputs)
    _, distinct, places = np.unique(np.array(texts, object), return_index=True, return_inverse=True)
    documents, ones = second[distinct], np.ones(len(texts), bool)
    by_group = sparse.csr_matrix((ones, (groups, places)), (groups.max() + 1, len(distinct)))
    parts = []
    for rows in np.array_split(np.arange(len(texts)), 1 + len(texts) * len(distinct) // AT_ONCE):
        scores = first[rows] @ documents.T
        scores = scores.toarray() if sparse.issparse(scores) else scores
        parts.append(_ranked(np.array(scores, np.float64), by_group[groups[rows]].toarray()))
    rank, best, hits, relevant = (np.concatenate(each) for each in zip(*parts, strict=True))
    return Retrieved(rank, distinct[best], hits, relevant)


def _ranked(scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the fields of `Retrieved`, `best` as a column, from [n documents] each."""
    scores[relevant] = np.nextafter(scores[relevant], -np.inf)
    highest = np.where(relevant, scores, -np.inf).max(1, keepdims=True)
    rank = 1 + (scores > highest).sum(1)
    count = min(TOP, scores.shape[1])
    top = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, top, 1), axis=1, kind="stable")
    top = np.take_along_axis(top, order, 1)
    hits = np.take_along_axis(relevant, top, 1)
    hits = np.pad(hits, ((0, 0), (0, TOP - count)))
    return rank, top[:, 0], hits.cumsum(1), relevant.sum(1)


def as_similarities(answers: Sequence[str], highest: float) -> np.ndarray:
    """Returns answers as cosines, float32 [n].

    Args:
      highest: the answer that stands for a cosine of 1.

    Raises:
      DataError: one is no number from -highest to highest.
    """
    values = {answer: regression.parse(answer) for answer in answers}
    wrong = [answer for answer, value in values.items() if value is None or abs(value) > highest]
    if wrong:
        raise DataError(
            f"the answer {wrong[0]!r} is no number from {-highest:g} to {highest:g}.",
            valid="Embedding.highest, the answer of texts that mean the same",
            answers=wrong,
        )
    return np.array([float(answer) / highest for answer in answers], np.float32)
