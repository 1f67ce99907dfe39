"""Masked language modelling: guessing hidden words, for a body to get used to a kind of text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.argument_checks.validated import COUNT, FRACTION, validated
from tfft.baselines import token_frequency
from tfft.baselines.base import Floor, Say
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.layers.vocabulary_head import VocabularyHead, guessed, marked_words, words_of
from tfft.losses.masked_token import HiddenCrossentropy
from tfft.metrics.text import masked_tokens
from tfft.preprocessing.text.masking import MaskingPreprocessor, places
from tfft.tasks.base import Answers, Task
from tfft.tasks.report_examples import shown_examples


@validated(rate=FRACTION, most=COUNT)
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
    figures: ClassVar[Mapping[str, str]] = masked_tokens.FIGURES
    unserved_figures: ClassVar[Mapping[str, str]] = {
        "perplexity": "it guesses the words that a text marks, and the metrics are about others, "
        "which are hidden at random"
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
        return self._reader.targets(examples.encoded)

    def drawn(self, inputs: Any, targets: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
        return self._reader.drawn(inputs, targets, rng, len(self.names))

    def warnings(self, examples: Examples) -> list[str]:
        none = sum(not (ids >= 0).any() for ids in masked_tokens.hidden(examples.targets))
        return [f"{none:,} texts have no word to hide"] if none else []

    def head_on(self, body: Any) -> keras.layers.Layer:
        return VocabularyHead(body, body.preprocessor.mask_id, len(self.names))

    def loss_on(self, head: Any) -> keras.losses.Loss:
        return HiddenCrossentropy(head)

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        return guessed(model, self.most)

    def constant_loss(self, targets: Ragged) -> float:
        """Returns the training loss of answering the shares of the hidden tokens."""
        return masked_tokens.entropy(np.concatenate(masked_tokens.hidden(targets)))

    @property
    def served(self) -> MaskedLM:
        """The task that hides nothing by itself."""
        return MaskedLM(0.0, self.whole_words, self.most)

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        """Returns for each place that a text marks where it is and the most probable words."""
        return self.answered(words_of(outputs, self.names, self.most), examples)

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns `words`, string [b m k], and `probabilities` of the places marked in each text.

        A text with fewer places than another one is filled up with "" and 0.
        """
        return marked_words(outputs, self.names, self.most)

    def answered(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        rows = zip(examples.inputs[0], answers["words"], answers["probabilities"], strict=True)
        return [{"masks": places(*row)} for row in rows]

    def measures(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        return masked_tokens.measures(masked_tokens.hidden(examples.targets), outputs)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the answers by how often each token is hidden in the training texts."""
        return token_frequency.floors(train.targets, test.targets, len(self.names), self.most)

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the texts whose hidden words were least expected."""
        told = masked_tokens.told(masked_tokens.hidden(examples.targets), outputs, self.names)
        worst = np.argsort(-self.sums(examples, outputs)["loss"], kind="stable")
        return shown_examples(examples, worst, told.__getitem__)
