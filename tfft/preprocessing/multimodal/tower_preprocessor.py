"""The preprocessors of a backbone's towers as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfft.preprocessing.fingerprints import digest


class TowerPreprocessor(tf.Module):
    """Gives each tower the inputs that it reads; in the graph, as each preprocessor does.

    Args:
      parts: the preprocessors by the names of their towers.
      places: for each tower which of an example's inputs it reads.

    Attributes:
      signature: what the model reads, with the name of the tower before that of each input, such as
        "text_token_ids".
      sequence_length: the most tokens of an example; None where no tower has a limit.
    """

    windowed = False
    reads = "model_inputs"
    inputs: tuple[str, ...] = ()

    def __init__(self, parts: Mapping[str, Any], places: Mapping[str, Sequence[int]]):
        super().__init__(name="tower_preprocessor")
        self.parts = dict(parts)
        self.places = {name: tuple(places[name]) for name in parts}
        limits = [getattr(part, "sequence_length", None) for part in parts.values()]
        self.sequence_length: int | None = max((each for each in limits if each), default=None)
        self.batch = min(part.batch for part in parts.values())
        self.padded = any(part.padded for part in parts.values())
        self.random = any(getattr(part, "random", False) for part in parts.values())

    @property
    def signature(self) -> tuple[tf.TensorSpec, ...]:
        return tuple(
            tf.TensorSpec(spec.shape, spec.dtype, name=f"{name}_{spec.name}")
            for name, part in self.parts.items()
            for spec in part.signature
        )

    def columns(self, tower: str, inputs: Sequence[Any]) -> tuple[Any, ...]:
        """Returns those of an example's inputs that a tower reads."""
        return tuple(inputs[place] for place in self.places[tower])

    def __call__(self, *inputs: Any) -> dict[str, tf.Tensor]:
        """Returns the model's inputs for strings, [b] each."""
        return {
            f"{name}_{key}": value
            for name, part in self.parts.items()
            for key, value in part(*self.columns(name, inputs)).items()
        }

    def config(self) -> Mapping[str, Any]:
        """Returns the settings of each part, JSON-able."""
        return {name: dict(part.config()) for name, part in self.parts.items()}

    def fingerprint(self) -> str:
        """Returns the SHA-256, in hex, of the parts and of what each reads."""
        own = {name: [self.places[name], part.fingerprint()] for name, part in self.parts.items()}
        return digest(own)
