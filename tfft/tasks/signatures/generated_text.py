"""Answers that are generated texts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.evaluators.generated_text import decode_texts
from tfft.tasks.signatures.base import Answers, ServingSignature


class GeneratedTextSignature(ServingSignature):
    """The text that is generated for each example.

    Args:
      task: whose prediction function gives `text`.
    """

    is_searched = True

    def serving_outputs(self, outputs: Mapping[str, Any], features: Mapping[str, Any]) -> Any:
        """Returns `text`, strings [b]."""
        return {"text": outputs["text"]}

    def parse(self, answers: Answers) -> dict[str, Any]:
        """Returns `text`, [n], without probabilities of references."""
        return {"text": np.array(answers["text"], object)}

    def format_predictions(
        self, examples: Examples, outputs: Mapping[str, Any]
    ) -> list[dict[str, Any]]:
        """Returns `text` of each example."""
        return [{"text": text} for text in decode_texts(outputs)]
