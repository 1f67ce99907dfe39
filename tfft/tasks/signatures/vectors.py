"""Answers that are vectors of single texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data.examples import Examples
from tfft.tasks.signatures.base import Answers, ServedTask, ServingSignature


class VectorSignature(ServingSignature):
    """The vector of each text, `embedding`, float32 [b d].

    Args:
      task: that reads one text.
      count: texts of a training example.
    """

    def __init__(self, task: ServedTask, count: int):
        super().__init__(task)
        self.count = count

    def split_inputs(self, inputs: tuple[Sequence[Any], ...]) -> tuple[Sequence[Any], ...]:
        """Returns all texts of the examples in a row."""
        return ([text for example in zip(*inputs, strict=True) for text in example],)

    def serving_outputs(self, outputs: Any, features: Mapping[str, Any]) -> dict[str, Any]:
        return {"embedding": outputs[:, 0]}

    def parse(self, answers: Answers) -> np.ndarray:
        """Returns the vectors of examples, [n r d], out of those of single texts."""
        vectors = np.stack(answers["embedding"])
        return vectors.reshape(-1, self.count, vectors.shape[-1])

    def format_predictions(self, examples: Examples, outputs: Any) -> list[dict[str, Any]]:
        return [{"embedding": vectors[0].tolist()} for vectors in outputs]

    def format_answers(self, answers: Answers, examples: Examples) -> list[dict[str, Any]]:
        vectors = [vector[None] for vector in answers["embedding"]]
        return self.format_predictions(examples, vectors)
