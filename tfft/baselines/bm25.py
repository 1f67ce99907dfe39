"""BM25: retrieval by words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import CountVectorizer

from tfft.baselines.base import Floor
from tfft.metrics.retrieval import K1, B, Sides


def bm25(first: Sequence[str], second: Sequence[str]) -> Floor:
    """Returns BM25 (Robertson and Zaragoza, 2009) as vectors whose product is its score.

    Words are lower-cased; of texts without words, runs of 1 to 3 characters. The weights of words
    are those among the second texts.

    Args:
      first, second: queries and documents, [n] each.
    """
    counts = CountVectorizer(token_pattern=r"(?u)\b\w+\b")
    try:
        documents = counts.fit_transform(second)
    except ValueError:  # no text holds a word, only signs
        counts = CountVectorizer(analyzer="char", ngram_range=(1, 3))
        documents = counts.fit_transform(second)
    documents = sparse.csr_matrix(documents, dtype=np.float64)
    lengths = np.asarray(documents.sum(axis=1))[:, 0]
    in_documents = np.bincount(documents.indices, minlength=documents.shape[1])
    rarity = np.log(1 + (len(second) - in_documents + 0.5) / (in_documents + 0.5))
    norms = K1 * (1 - B + B * lengths / max(lengths.mean(), 1e-12))
    of_row = np.repeat(norms, np.diff(documents.indptr))
    data = documents.data
    documents.data = rarity[documents.indices] * data * (K1 + 1) / (data + of_row)
    queries = sparse.csr_matrix(counts.transform(first), dtype=np.float64)
    return Floor(Sides(queries, documents), {"documents": len(second), "features": len(rarity)})
