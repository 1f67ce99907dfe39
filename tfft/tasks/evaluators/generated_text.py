"""Metrics and reports of generated texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.examples import Examples
from tfft.metrics.text import generated_text, masked_tokens
from tfft.tasks.evaluators.base import Evaluator, Log, Terms, reported
from tfft.tasks.report_examples import LONGEST_TEXT, SHOWN_EXAMPLES, text_of

PERPLEXITY = "perplexity"
TITLES = {**generated_text.NAMES, PERPLEXITY: "perplexity"}
NOT_SERVED = {PERPLEXITY: "an export does not give the probabilities of the right answers"}
Baselines = Callable[[Examples, Examples], dict[str, Floor]]


class GeneratedTextEvaluator(Evaluator):
    """Evaluates texts, and the probabilities of their references where a model gives them.

    Outputs are `text`, strings [n], and of a model `log_probability` and `tokens` of the
    references, [n] each.

    Args:
      metrics: keys of `TITLES`, the main one first.
      baselines: from training and test examples to the outputs of models that need no network.
    """

    def __init__(self, metrics: Sequence[str], baselines: Baselines):
        titles = {key: TITLES[key] for key in metrics}
        self.metrics = reported(titles, less_is_better=(PERPLEXITY,), not_served=NOT_SERVED)
        self.aggregate = generated_text.measure(metrics[0])
        self._baselines = baselines

    def terms(self, examples: Examples, outputs: Mapping[str, Any]) -> Terms:
        """Returns the terms of the texts; and of perplexity where there are probabilities."""
        texts, references = decode_texts(outputs), list(examples.answers or ())
        names = [metric.key for metric in self.metrics if metric.key != PERPLEXITY]
        terms: dict[str, Any] = {
            name: (generated_text.measure(name), generated_text.sums(name, texts, references))
            for name in names
        }
        if np.any(outputs.get("tokens", 0)):
            sums = {"loss": -outputs["log_probability"], "tokens": outputs["tokens"]}
            terms[PERPLEXITY] = ("exp_ratio", sums)
        return terms

    def main_terms(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        references = list(examples.answers or ())
        return generated_text.sums(self.metrics[0].key, decode_texts(outputs), references)

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of the shares of the tokens at every place."""
        return masked_tokens.entropy(np.concatenate(list(targets.rows())))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> dict[str, Floor]:
        return self._baselines(train, test)

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many answers are truncated."""
        count, size = _count_truncated(examples.encoded), len(examples)
        line = f"{count:,} of {size:,} answers are longer than max_new_tokens and are cut"
        return [line] if count else []

    def report_details(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `written`: examples from the whole split, with references and predictions."""
        places = np.linspace(0, len(examples) - 1, min(SHOWN_EXAMPLES, len(examples)))
        return {"written": _report_rows(examples, outputs, np.unique(places.astype(int)))}

    def report_examples(self, examples: Examples, outputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the examples whose texts are farthest from the references, by ROUGE-L."""
        texts, references = decode_texts(outputs), list(examples.answers or ())
        wrong = np.flatnonzero(generated_text.exact(texts, references) == 0)
        scores = np.array([generated_text.rouge_l(texts[row], references[row]) for row in wrong])
        worst = wrong[np.argsort(scores, kind="stable")[:SHOWN_EXAMPLES]]
        rows = _report_rows(examples, outputs, worst)
        return {"mistake_count": len(wrong), "mistakes": rows, "least_certain": []}


def decode_texts(outputs: Mapping[str, Any]) -> list[str]:
    """Returns the texts of outputs, str or UTF-8, as str."""
    each = outputs["text"]
    return [t if isinstance(t, str) else bytes(t).decode("utf-8", "replace") for t in each]


def _count_truncated(encoded: Encoded) -> int:
    """Returns how many answers are cut before their end token."""
    targets: Any = encoded.targets
    last = (row[row >= 0][-1] for row in targets.rows())
    return sum(int(each) != encoded.end_id for each in last)


def _report_rows(
    examples: Examples, outputs: Mapping[str, Any], rows: np.ndarray
) -> list[dict[str, Any]]:
    texts, references = decode_texts(outputs), list(examples.answers or ())
    return [
        {
            **text_of(examples, row),
            "truth": references[row][:LONGEST_TEXT],
            "predicted": texts[row][:LONGEST_TEXT],
        }
        for row in rows
    ]
