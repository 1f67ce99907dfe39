"""Masked language modelling: guessing hidden words, to adapt a backbone to a kind of text."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import keras

from tfft.argument_checks.validated import COUNT, FRACTION, validated
from tfft.data.encoded_split import Ragged
from tfft.data.examples import Examples
from tfft.layers.vocabulary_head import VocabularyHead, guessed
from tfft.losses.masked_token import HiddenCrossentropy
from tfft.preprocessing.text.masking import MaskingPreprocessor
from tfft.tasks.backbone_output import TOKENS
from tfft.tasks.base import CustomPrediction, Task
from tfft.tasks.evaluators.generated_text import MaskedLMEvaluator
from tfft.tasks.signatures.base import DEFAULT, Signatures
from tfft.tasks.signatures.texts import MaskedWordSignature
from tfft.tasks.targets.base import Target, Unused


@validated(rate=FRACTION, most=COUNT)
class MaskedLM(Task, CustomPrediction):
    """Cross-entropy of hidden tokens, through a head that is tied to the backbone's embedding.

    It reads texts alone, no answers of a source. In training other words are hidden each time a
    text is seen, of which four in five become the backbone's mask token, one in ten another token
    and one in ten itself (Devlin et al., 2019); held-out texts always have the same words hidden,
    all by the mask token. A prediction is of the places that a text marks by "[MASK]".

    Args:
      rate: the share of a text's tokens that is hidden.
      whole_words: hide all tokens of a word or none.
      most: how many words a prediction names for a place.
    """

    name: ClassVar[str] = "masked_lm"
    target: Target = Unused()
    backbone_output = TOKENS

    def __init__(self, rate: float = 0.15, whole_words: bool = True, most: int = 5):
        self.rate, self.whole_words, self.most = rate, whole_words, most
        self.names: tuple[str, ...] = ()  # of the backbone's tokens

    def build_preprocessor(self, own: Any) -> MaskingPreprocessor:
        self._reader = MaskingPreprocessor(self.rate, self.whole_words, **own.settings())
        self.names = own.subwords.names()
        self.augmentation = functools.partial(self._reader.augment, tokens=len(self.names))
        return self._reader

    def encode_targets(self, examples: Examples) -> Ragged:
        """Returns the hidden token's id, or -1, and the number of the word: int32, [t 2] a text."""
        return self._reader.targets(examples.encoded)

    def build_head(self, backbone: Any) -> keras.layers.Layer:
        mask_id = backbone.preprocessor.mask_id
        return VocabularyHead(backbone, mask_id, len(self.names))

    def build_loss(self, head: Any) -> keras.losses.Loss:
        return HiddenCrossentropy(head)

    def make_predict_fn(self, model: keras.Model) -> Callable[..., Any]:
        return guessed(model, self.most)

    def build_evaluator(self) -> MaskedLMEvaluator:
        return MaskedLMEvaluator(self.names, self.most)

    def build_signatures(self) -> Signatures:
        """Returns the signature of texts that mark places; it hides nothing by itself."""
        task = MaskedLM(0.0, self.whole_words, self.most)
        task.names = self.names
        return {DEFAULT: MaskedWordSignature(task, self.names, self.most)}
