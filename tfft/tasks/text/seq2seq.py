"""Sequence to sequence: a text to another, such as its translation or its summary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

from tfft.argument_checks.validated import COUNT, FRACTION, NON_NEGATIVE, validated
from tfft.baselines.base import Floor, Say
from tfft.data.examples import Examples
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.metrics.text import generated_text
from tfft.preprocessing.text.prompts import SourcePreprocessor
from tfft.tasks.text import teacher_forcing
from tfft.tasks.text.text_generation_base import TextTask


@validated(
    max_new_tokens=COUNT, num_beams=COUNT, length_penalty=NON_NEGATIVE, label_smoothing=FRACTION
)
class Seq2Seq(TextTask):
    """The answer by a decoder, which reads the text through an encoder (teacher forcing).

    Args:
      max_new_tokens: the most tokens of an answer, learned or written, its end token included.
      num_beams: answers that are followed at once; 1 takes the most probable token at each step.
      length_penalty: alpha by which longer answers are favoured among several beams.
      label_smoothing: share of the target that is spread evenly over the vocabulary.
      figure: the main one: "bleu" or "chrf" of translations, "rouge_l" of summaries.
    """

    name: ClassVar[str] = "seq2seq"
    inputs: ClassVar[tuple[str, ...]] = ("source",)
    reads: ClassVar[str] = "decoder"

    def __init__(
        self,
        max_new_tokens: int = 64,
        num_beams: int = 1,
        length_penalty: float = 0.0,
        label_smoothing: float = 0.0,
        figure: Literal["bleu", "chrf", "rouge_l"] = "bleu",
    ):
        super().__init__(Search(max_new_tokens, num_beams, length_penalty), label_smoothing)
        names = ("bleu", "chrf", "rouge_l")
        self.figure = figure
        order = sorted([*names, "exact_match"], key=lambda name: name != figure)
        self.compared = tuple(order)  # type: ignore[misc]
        self.figures = {  # type: ignore[misc]
            **{name: generated_text.NAMES[name] for name in order},
            "perplexity": "perplexity",
        }
        self.measure = generated_text.measure(figure)  # type: ignore[misc]

    @classmethod
    def of_card(cls, card: Mapping[str, Any]) -> Seq2Seq:
        return cls(figure=card["figure"])

    def with_labels(self, found: Sequence[str], counts: Mapping[str, int] | None = None) -> Any:
        """Returns the task itself.

        Raises:
          ConfigError: what counts BLEU and chrF is not installed.
        """
        generated_text.require()
        return self

    def preprocessor(self, own: Any) -> SourcePreprocessor:
        return SourcePreprocessor(**own.settings(), answer_length=self.search.longest)

    def taught(self, examples: Examples, preprocessor: Any) -> Examples:
        return teacher_forcing.beside(examples, preprocessor)

    def outputs_of(self, model: Any) -> Callable[..., Any]:
        return text_generation.answering(text_generation.body_of(model), self.search)

    def floors(self, train: Examples, test: Examples, say: Say = None) -> dict[str, Floor]:
        """Returns the source as its own translation."""
        return {"copy": Floor({"text": list(test.inputs[0])})}
