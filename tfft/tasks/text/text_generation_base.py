"""What tasks share whose answer is a text that the model writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import keras
import numpy as np

from tfft.data.examples import Examples
from tfft.errors import ConfigError
from tfft.layers import text_generation
from tfft.layers.beam_search import Search
from tfft.losses import next_token
from tfft.losses.batch_metrics import TokenAccuracy
from tfft.metrics.text import generated_text, masked_tokens
from tfft.tasks.base import Answers, Task, config_of
from tfft.tasks.report_examples import LONGEST_TEXT, SHOWN_EXAMPLES, text_of
from tfft.tasks.text import teacher_forcing


class TextTask(Task):
    """The next token of the answer at each of its tokens; answers by greedy or beam search.

    The outputs of its model are what `tfft.layers.text_generation` keeps: `text`, and of the right
    answer `log_probability` and `tokens`. Those of a floor are a text alone.

    Attributes:
      compared: the figures of the texts, names of `tfft.metrics.text.generated_text`; the first is
        the main one.
    """

    searched: ClassVar[bool] = True
    compared: ClassVar[tuple[str, ...]] = ()
    lower: ClassVar[frozenset[str]] = frozenset({"perplexity"})
    unserved_figures: ClassVar[Mapping[str, str]] = {
        "perplexity": "an export does not give the probabilities of the right answers"
    }

    def __init__(self, search: Search, label_smoothing: float):
        if not 0 <= label_smoothing < 1:
            raise ConfigError(
                f"label_smoothing={label_smoothing} cannot be.", valid="0 to below 1; 0.1 is usual"
            )
        self.search, self.label_smoothing = search, label_smoothing

    def config(self) -> dict[str, Any]:
        search = self.search
        kept = {"max_new_tokens": search.longest, "num_beams": search.beams}
        return config_of(self, **kept, length_penalty=search.penalty)

    def targets(self, examples: Examples) -> Any:
        """Returns what is learned, which `teacher_forcing` makes; None where there are no
        tokens.
        """
        return examples.targets

    def warnings(self, examples: Examples) -> list[str]:
        count, whole = teacher_forcing.cut_answers(examples.encoded), len(examples)
        told = f"{count:,} of {whole:,} answers are longer than max_new_tokens and are cut"
        return [told] if count else []

    def head_on(self, body: Any) -> keras.layers.Layer:
        return text_generation.Scores(body, name="head")

    def loss(self) -> keras.losses.Loss:
        return next_token.NextTokenLoss(self.label_smoothing)

    def metrics(self) -> list[Any]:
        return [TokenAccuracy()]

    def constant_loss(self, targets: Any) -> float:
        return masked_tokens.entropy(np.concatenate(list(targets.rows())))

    def predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        return [{"text": text} for text in written(outputs)]

    def serve(self, outputs: Any, read: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": outputs["text"]}

    def received(self, answers: Answers) -> dict[str, Any]:
        return {"text": np.array(answers["text"], object)}

    def measures(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns those of the texts; and of perplexity where the right answers were judged."""
        found, right = written(outputs), list(examples.answers or ())
        wanted = {
            name: (generated_text.measure(name), generated_text.sums(name, found, right))
            for name in self.compared
        }
        if np.any(outputs.get("tokens", 0)):
            judged = {"loss": -outputs["log_probability"], "tokens": outputs["tokens"]}
            wanted["perplexity"] = ("exp_ratio", judged)
        return wanted

    def sums(self, examples: Examples, outputs: Any) -> dict[str, np.ndarray]:
        return generated_text.sums(self.compared[0], written(outputs), list(examples.answers or ()))

    def described(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns examples from everywhere in the split, side by side with their answers."""
        places = np.linspace(0, len(examples) - 1, min(SHOWN_EXAMPLES, len(examples)))
        return {"written": self._rows(examples, outputs, np.unique(places.astype(int)))}

    def shown(self, examples: Examples, outputs: Any) -> dict[str, Any]:
        """Returns the examples whose texts are farthest from the right ones, by ROUGE-L."""
        found, right = written(outputs), list(examples.answers or ())
        wrong = np.flatnonzero(generated_text.exact(found, right) == 0)
        score = np.array([generated_text.rouge_l(found[row], right[row]) for row in wrong])
        worst = wrong[np.argsort(score, kind="stable")[:SHOWN_EXAMPLES]]
        rows = self._rows(examples, outputs, worst)
        return {"mistake_count": len(wrong), "mistakes": rows, "least_certain": []}

    def _rows(self, examples: Examples, outputs: Any, rows: np.ndarray) -> list[dict[str, Any]]:
        found, right = written(outputs), list(examples.answers or ())
        return [
            {
                **text_of(examples, row),
                "truth": right[row][:LONGEST_TEXT],
                "predicted": found[row][:LONGEST_TEXT],
            }
            for row in rows
        ]


def written(outputs: Mapping[str, Any]) -> list[str]:
    """Returns the texts of outputs."""
    each = outputs["text"]
    return [t if isinstance(t, str) else bytes(t).decode("utf-8", "replace") for t in each]
