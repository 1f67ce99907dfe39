"""Masked language modelling: guessing hidden words, for a body to get used to a kind of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.encoded import Ragged
from tfft.metrics import corpus, guesses
from tfft.metrics.floors import Floor
from tfft.preprocess.masking import MaskingPreprocessor, places
from tfft.task import SHOWN_EXAMPLES, Examples, Task, text_of
from tfft.vocabulary import HiddenCrossentropy, VocabularyHead, guessed, marked_words


class MaskedLM(Task):
    """Cross-entropy of hidden tokens, through a head that is tied to the body's embedding.

    It reads texts alone; answers that a source has are not looked at. In training other words are
    hidden each time a text is seen, of which four in five become the body's mask token, one in ten
    another token and one in ten itself (Devlin et al., 2019); held-out texts always have the same
    words hidden, all by the mask token. A prediction is of the places that a text marks by
    "[MASK]".

    Args:
      rate: the share of a text's tokens that is hidden.
      whole_words: hide all tokens of a word or none.
      most: how many words a prediction names for a place.
    """

    name: ClassVar[str] = "masked_lm"
    classes: ClassVar[bool | None] = None
    reads: ClassVar[str] = "tokens"
    random_inputs: ClassVar[bool] = True
    measure: ClassVar[str] = "exp_ratio"
    lower: ClassVar[frozenset[str]] = frozenset({"perplexity"})
    figures: ClassVar[Mapping[str, str]] = {
        "perplexity": "perplexity of a hidden token",
        "accuracy": "hidden tokens guessed",
        "among_most": "among the words named",
    }

    def __init__(self, rate: float = 0.15, whole_words: bool = True, most: int = 5):
        self.rate, self.whole_words, self.most = rate, whole_words, most
        self.names: tuple[str, ...] = ()  # of the body's tokens

    def preprocessor(self, own: Any) -> MaskingPreprocessor:
        self._reader = MaskingPreprocessor(self.rate, self.whole_words, **own.settings())
        self.names = own.subwords.names()
        return self._reader

    def targets(self, examples: Examples) -> Ragged:
        """Returns the hidden token's id, or -1, and the number of the word: int32, [t 2] a text."""
        truth, words = (examples.encoded.extra[name] for name in ("truth", "words"))
        hidden = np.where(truth.values > 0, truth.values, -1)
        values = np.stack([hidden, words.values], axis=1).astype(np.int32)
        return Ragged(values, truth.offsets, truth.chosen)

    def drawn(self, inputs: Any, targets: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
        """Returns the batch with other words hidden."""
        hidden, words = targets[..., 0], targets[..., 1]
        ids = np.where(hidden >= 0, hidden, inputs["token_ids"])
        chosen = np.stack([self._reader.hide(row, rng) for row in words])
        truth = np.where(chosen, ids, -1)
        draw = rng.random(ids.shape)
        other = rng.integers(len(self.names), size=ids.shape)
        seen = np.where(draw < 0.8, self._reader.mask_id, np.where(draw < 0.9, other, ids))
        inputs = {**inputs, "token_ids": np.where(chosen, seen, ids).astype(np.int32)}
        return inputs, np.stack([truth, words], axis=-1).astype(np.int32)

    def warnings(self, examples: Examples) -> list[str]:
        none = sum(not (row[:, 0] >= 0).any() for row in examples.targets.rows())
        return [f"{none:,} texts have no word to hide"] if none else []

    def config(self) -> dict[str, Any]:
        settings = {"rate": self.rate, "whole_words": self.whole_words, "most": self.most}
        return {"task": self.name, **settings}

    # Model --------------------------------------------------------------------------------------

    def head_on(self, body: Any) -> keras.layers.Layer:
        return VocabularyHead(body.embedding, body.preprocessor.mask_id, len(self.names))

    def loss_on(self, head: Any) -> keras.losses.Loss:
        return HiddenCrossentropy(head)

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        return guessed(model, self.most)

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of answering the shares of the hidden tokens."""
        hidden = targets.values[:, 0]
        counts = np.bincount(hidden[hidden >= 0])
        counts = counts[counts > 0]
        return float(-(counts / counts.sum()) @ np.log(counts / counts.sum()))

    # Answers ------------------------------------------------------------------------------------

    @property
    def served(self) -> MaskedLM:
        """The task that hides nothing by itself."""
        return MaskedLM(0.0, self.whole_words, self.most)

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns for each place that a text marks where it is and the most probable words."""
        marked = [output[output[:, self.most] > 0] for output in outputs]
        names = np.array(self.names)
        words = [names[found[:, : self.most].astype(int)] for found in marked]
        chances = [found[:, self.most : -1] for found in marked]
        return self.answered({"words": words, "probabilities": chances}, examples)

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `words`, string [b m k], and `probabilities` of the places marked in each text.

        A text with fewer places than another one is filled up with "" and 0.
        """
        return marked_words(outputs, self.names, self.most)

    def answered(
        self, answers: Mapping[str, Sequence[np.ndarray]], examples: Examples
    ) -> list[dict[str, Any]]:
        rows = zip(examples.inputs[0], answers["words"], answers["probabilities"], strict=True)
        return [{"masks": places(*row)} for row in rows]

    # Figures ------------------------------------------------------------------------------------

    def evaluate(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        found = guesses.sums(_hidden(examples), outputs)
        measures = {"perplexity": self.measure}
        return corpus.figures({n: (measures.get(n, "ratio"), each) for n, each in found.items()})

    def sums(self, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
        return guesses.sums(_hidden(examples), outputs)["perplexity"]

    def floors(
        self, train: Examples, test: Examples, say: Callable[[str], None] | None = None
    ) -> dict[str, Floor]:
        """Returns the answers by how often each token is hidden in the training texts."""
        seen = np.concatenate(_hidden(train))
        share = guesses.shares(seen[seen >= 0], len(self.names))
        described = {"fitted_on": len(train), "training_texts": len(train)}
        return {"frequency": Floor(guesses.constant(share, _hidden(test), self.most), described)}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the texts whose hidden words were least expected."""
        truth, names = _hidden(examples), np.array(self.names)
        loss = guesses.sums(truth, outputs)["perplexity"]["loss"]
        worst = np.argsort(-loss, kind="stable")[:SHOWN_EXAMPLES]
        rows = [
            {
                **text_of(examples, row),
                "truth": " ".join(names[truth[row][truth[row] >= 0]]),
                "predicted": " ".join(names[outputs[row][truth[row] >= 0, 0].astype(int)]),
            }
            for row in worst
        ]
        return {"mistake_count": len(examples), "mistakes": rows, "least_certain": []}


def _hidden(examples: Examples) -> list[np.ndarray]:
    """Returns the ids that are hidden in each text, -1 elsewhere: int [t]."""
    return [row[:, 0] for row in examples.targets.rows()]
