"""Metrics and reports of embeddings: retrieval, or the correlation of cosines."""

from __future__ import annotations

from typing import Any

from tfft.baselines import bm25
from tfft.data.examples import Examples
from tfft.metrics import regression, retrieval
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import shown_examples


class RetrievalEvaluator(Evaluator):
    """Ranks the second texts of all examples for each first one, by vectors [n r d]."""

    metrics = reported(retrieval.RETRIEVAL_FIGURES)

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        return retrieval.retrieve(outputs, examples.inputs[1], examples.targets).measures()

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns BM25, with the first texts as queries."""
        return {"bm25": bm25.bm25(*test.inputs[:2])}

    def report_examples(self, examples: Examples, outputs: Any) -> Details:
        """Returns the first texts whose second texts are found last."""
        ranks = retrieval.retrieve(outputs, examples.inputs[1], examples.targets)
        worst = ranks.last(examples.inputs[1])
        return shown_examples(examples, list(worst), worst.__getitem__)


class SimilarityEvaluator(Evaluator):
    """Correlates the cosine of two vectors of each example, [n 2 d], with its answer."""

    metrics = reported(retrieval.COSINE_FIGURES)
    aggregate = "pearson"

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        terms = regression.correlations(examples.targets, retrieval.similarities(outputs))
        return {metric.key: terms[metric.key] for metric in self.metrics}

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns BM25, with the first texts as queries."""
        return {"bm25": bm25.bm25(*test.inputs[:2])}
