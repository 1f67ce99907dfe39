"""Metrics and reports of generated texts, and of guesses at hidden words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.baselines import token_frequency
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.metrics.text import generated_text, masked_tokens
from tfft.tasks.evaluators.base import Details, Evaluator, Floors, Log, Terms, reported
from tfft.tasks.report_examples import LONGEST_TEXT, SHOWN_EXAMPLES, shown_examples, text_of

PERPLEXITY = "perplexity"
TITLES = {**generated_text.NAMES, PERPLEXITY: "perplexity"}
Outputs = Mapping[str, Any]  # of all examples, by name
Baselines = Callable[[Examples, Examples], Floors]


class GeneratedTextEvaluator(Evaluator):
    """Evaluates texts, and the probabilities of their references where a model gives them.

    Outputs are `text`, strings [n], and of a model `log_probability` and `tokens` of the
    references, [n] each.

    Args:
      metrics: keys of `TITLES`, the main one first.
      baselines: from training and test examples to the outputs of models that need no network.
    """

    def __init__(self, metrics: Sequence[str], baselines: Baselines):
        reason = "an export does not give the probabilities of the right answers"
        titles = {key: TITLES[key] for key in metrics}
        self.metrics = reported(titles, (PERPLEXITY,), {PERPLEXITY: reason})
        self.aggregate = generated_text.measure(metrics[0])
        self._baselines = baselines

    def terms(self, examples: Examples, outputs: Outputs) -> Terms:
        """Returns the terms of the texts; and of perplexity where there are probabilities."""
        names = [metric.key for metric in self.metrics if metric.key != PERPLEXITY]
        terms: dict[str, Any] = {
            name: (generated_text.measure(name), self._terms_of(name, examples, outputs))
            for name in names
        }
        if np.any(outputs.get("tokens", 0)):
            sums = {"loss": -outputs["log_probability"], "tokens": outputs["tokens"]}
            terms[PERPLEXITY] = ("exp_ratio", sums)
        return terms

    def main_terms(self, examples: Examples, outputs: Outputs) -> dict[str, np.ndarray]:
        return self._terms_of(self.metrics[0].key, examples, outputs)

    def _terms_of(self, name: str, examples: Examples, outputs: Outputs) -> Any:
        return generated_text.sums(name, decode_texts(outputs), list(examples.answers or ()))

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of the shares of the tokens at every place."""
        return masked_tokens.entropy(np.concatenate(list(targets.rows())))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        return self._baselines(train, test)

    def data_warnings(self, examples: Examples) -> list[str]:
        """Returns how many answers are truncated, before their end token."""
        rows, end, size = examples.encoded.targets.rows(), examples.encoded.end_id, len(examples)
        count = sum(int(row[row >= 0][-1]) != end for row in rows)
        line = f"{count:,} of {size:,} answers are longer than max_new_tokens and are cut"
        return [line] if count else []

    def report_details(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns `written`: examples from the whole split, with references and predictions."""
        places = np.linspace(0, len(examples) - 1, min(SHOWN_EXAMPLES, len(examples)))
        return {"written": _report_rows(examples, outputs, np.unique(places.astype(int)))}

    def report_examples(self, examples: Examples, outputs: Outputs) -> Details:
        """Returns the examples whose texts are farthest from the references, by ROUGE-L."""
        texts, references = decode_texts(outputs), list(examples.answers or ())
        wrong = np.flatnonzero(generated_text.exact(texts, references) == 0)
        scores = np.array([generated_text.rouge_l(texts[row], references[row]) for row in wrong])
        worst = wrong[np.argsort(scores, kind="stable")[:SHOWN_EXAMPLES]]
        rows = _report_rows(examples, outputs, worst)
        return {"mistake_count": len(wrong), "mistakes": rows, "least_certain": []}


def decode_texts(outputs: Outputs) -> list[str]:
    """Returns the texts of outputs, str or UTF-8, as str."""
    texts = outputs["text"]
    return [t if isinstance(t, str) else bytes(t).decode("utf-8", "replace") for t in texts]


def _report_rows(examples: Examples, outputs: Outputs, rows: Any) -> list[Details]:
    texts, references = decode_texts(outputs), list(examples.answers or ())
    sides = {"truth": references, "predicted": texts}
    return [
        text_of(examples, row) | {side: each[row][:LONGEST_TEXT] for side, each in sides.items()}
        for row in rows
    ]


class MaskedLMEvaluator(Evaluator):
    """Evaluates what `tfft.layers.vocabulary_head.guessed` gives, [t k] for each text.

    Args:
      names: of the backbone's tokens.
      most: how many words are guessed for a place.
    """

    metrics = reported(
        masked_tokens.FIGURES,
        less_is_better=("perplexity",),
        not_served={
            "perplexity": "it guesses the words that a text marks, and the metrics are about "
            "others, which are hidden at random"
        },
    )
    aggregate = "exp_ratio"

    def __init__(self, names: Sequence[str], most: int):
        self.names, self.most = names, most

    def terms(self, examples: Examples, outputs: Any) -> Terms:
        return masked_tokens.measures(masked_tokens.hidden(examples.targets), outputs)

    def constant_loss(self, targets: Any) -> float:
        """Returns the training loss of the shares of the hidden tokens."""
        return masked_tokens.entropy(np.concatenate(masked_tokens.hidden(targets)))

    def baselines(self, train: Examples, test: Examples, log: Log = None) -> Floors:
        """Returns guesses by how often each token is hidden in the training texts."""
        return token_frequency.floors(train.targets, test.targets, len(self.names), self.most)

    def data_warnings(self, examples: Examples) -> list[str]:
        none = sum(not (ids >= 0).any() for ids in masked_tokens.hidden(examples.targets))
        return [f"{none:,} texts have no word to hide"] if none else []

    def report_examples(self, examples: Examples, outputs: Any) -> Details:
        """Returns the texts whose hidden words were least expected."""
        details = masked_tokens.told(masked_tokens.hidden(examples.targets), outputs, self.names)
        worst = np.argsort(-self.main_terms(examples, outputs)["loss"], kind="stable")
        return shown_examples(examples, worst, details.__getitem__)
