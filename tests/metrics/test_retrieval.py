"""Figures of retrieval against counts made by hand and scikit-learn's, and BM25's formula."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from tfft.baselines.bm25 import bm25
from tfft.errors import DataError
from tfft.metrics import retrieval
from tfft.metrics.retrieval import Sides, retrieve, similarities


def by_hand(scores, texts, groups):
    """Returns ranks, recall at 5 and the documents' relevance of each query."""
    distinct = sorted(set(texts))
    rank, recall, truths, columns = [], [], [], []
    for row, group in enumerate(groups):
        relevant = {text for text, other in zip(texts, groups, strict=True) if other == group}
        score = {text: scores[row, texts.index(text)] for text in distinct}
        order = sorted(distinct, key=lambda text: (-score[text], text in relevant))
        places = [order.index(text) + 1 for text in relevant]
        rank.append(min(places))
        recall.append(sum(place <= 5 for place in places) / len(places))
        truths.append([text in relevant for text in order])
        columns.append([score[text] for text in order])
    return rank, recall, truths, columns


@pytest.mark.parametrize("at_once", [1, 2**24])
@pytest.mark.parametrize("count", [3, 40])
def test_figures_are_those_counted_by_hand(monkeypatch, at_once, count):
    monkeypatch.setattr(retrieval, "AT_ONCE", at_once)
    rng = np.random.default_rng(count)
    texts = [f"text {n}" for n in rng.integers(0, count, count)]
    groups = rng.integers(0, count // 2 + 1, count)
    of_text = rng.normal(size=(count, 5))
    second = np.stack([of_text[int(text.split()[1])] for text in texts])
    outputs = list(np.stack([rng.normal(size=(count, 5)), second], axis=1))
    found = retrieve(outputs, texts, groups)
    scores = np.stack(outputs)[:, 0] @ second.T
    rank, recall, truths, columns = by_hand(scores, texts, groups)
    assert found.rank.tolist() == rank
    np.testing.assert_allclose(found.recall(5), recall)
    expected = [ndcg_score([t], [s], k=10) for t, s in zip(truths, columns, strict=True)]
    np.testing.assert_allclose(found.ndcg, expected)
    assert [texts[n] for n in found.best] == [texts[n] for n in scores.argmax(1)]


def test_a_model_that_says_the_same_of_all_finds_nothing():
    found = retrieve(list(np.ones((12, 2, 4))), list("abcdefghijkl"), np.arange(12))
    assert (found.rank == 12).all() and not found.recall(10).any() and not found.ndcg.any()


def test_bm25_is_its_formula():
    first = ["the good film", "good good plot", "unseen"]
    second = ["The film, the plot", "good", "a plot of a good film"]
    scores = (lambda one, two: (one @ two.T).toarray())(*bm25(first, second).outputs)
    documents = [text.lower().replace(",", "").split() for text in second]
    mean = np.mean([len(words) for words in documents])
    for row, query in enumerate(first):
        for column, words in enumerate(documents):
            total = 0.0
            for word in query.split():
                held = sum(word in other for other in documents)
                count = words.count(word)
                rarity = np.log(1 + (3 - held + 0.5) / (held + 0.5))
                norm = 1.2 * (0.25 + 0.75 * len(words) / mean)
                total += rarity * count * 2.2 / (count + norm)
            assert scores[row, column] == pytest.approx(total)
    outputs = bm25(first, second).outputs
    np.testing.assert_allclose(similarities(outputs), np.diag(scores))
    assert retrieve(outputs, second, np.arange(3)).rank[2] == 3


def test_texts_without_words_are_compared_by_their_signs():
    outputs = bm25(["!!", "??"], ["!?!", "???"]).outputs
    assert isinstance(outputs, Sides) and retrieve(outputs, ["a", "b"], np.arange(2)).rank[1] == 1


def test_an_answer_that_is_no_similarity():
    with pytest.raises(DataError, match="'high' is no number from -5 to 5"):
        retrieval.as_similarities(["5", "high"], 5.0)
    with pytest.raises(DataError, match="'nan' is no number"):
        retrieval.as_similarities(["nan"], 5.0)
    with pytest.raises(DataError, match="'1_0' is no number"):
        retrieval.as_similarities(["1_0"], 50.0)
