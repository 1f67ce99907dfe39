"""Causal language modelling: what follows a prompt, its answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from tfft.argument_checks.validated import COUNT, FRACTION, NON_NEGATIVE, validated
from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.preprocessing.text.prompts import PromptPreprocessor
from tfft.tasks.text import teacher_forcing
from tfft.tasks.text.text_generation_base import TextTask


@validated(
    max_new_tokens=COUNT, num_beams=COUNT, length_penalty=NON_NEGATIVE, label_smoothing=FRACTION
)
class CausalLM(TextTask):
    """The answer behind its prompt in the same row; the loss is that of the answer alone.

    Args:
      max_new_tokens: the most tokens of an answer, learned or written, its end token included; a
        prompt has what they leave of the body's sequence.
      num_beams: answers that are followed at once; 1 takes the most probable token at each step.
      length_penalty: alpha by which longer answers are favoured among several beams.
      label_smoothing: share of the target that is spread evenly over the vocabulary.
      packing: puts several training examples in one row, as long as the body's sequence, that do
        not see each other; batches then count rows.
    """

    name: ClassVar[str] = "causal_lm"
    inputs: ClassVar[tuple[str, ...]] = ("prompt",)
    reads: ClassVar[str] = "causal"
    compared: ClassVar[tuple[str, ...]] = ("exact_match", "rouge_l")
    figures: ClassVar[Mapping[str, str]] = {
        "exact_match": "exact match",
        "perplexity": "perplexity",
        "rouge_l": "ROUGE-L",
    }

    def __init__(
        self,
        max_new_tokens: int = 32,
        num_beams: int = 1,
        length_penalty: float = 0.0,
        label_smoothing: float = 0.0,
        packing: bool = False,
    ):
        self.packing = packing
        super().__init__(Search(max_new_tokens, num_beams, length_penalty), label_smoothing)

    def preprocessor(self, own: Any) -> PromptPreprocessor:
        return PromptPreprocessor(**own.settings(), answer_length=self.search.longest)

    def taught(self, examples: Examples, preprocessor: Any) -> Examples:
        return teacher_forcing.followed(examples, preprocessor)

    def packed(self, encoded: Any, length: int) -> Any:
        return teacher_forcing.packed(encoded, length) if self.packing else encoded

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        return text_generation.following(text_generation.body_of(model), self.search)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the most frequent answer of the training split."""
        answer = teacher_forcing.most_frequent(train.answers or ())
        return {"most_frequent": Floor({"text": [answer] * len(test)})}
