"""What a run and its floors answered on held-out texts, kept so that runs can be paired."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft.workdir import Workdir

FILE = "outputs.safetensors"
MODEL = "model"
DIGEST_BYTES = 16


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Answers on the texts of one split, in their order.

    Attributes:
      labels: the class names, in the order of the numbers.
      split: where the texts are from.
      digests: the first half of each text's SHA-256, uint8 [n 16]; the texts are not kept.
      truth: class numbers, int32 [n].
      predicted: class numbers, int32 [n], by name: "model" and the floors.
      probabilities: float32 [n c], by the same names.
    """

    labels: tuple[str, ...]
    split: str
    digests: np.ndarray
    truth: np.ndarray
    predicted: Mapping[str, np.ndarray]
    probabilities: Mapping[str, np.ndarray]

    def save(self, files: Workdir) -> None:
        """Writes outputs.safetensors."""
        arrays = {"digests": self.digests, "truth": self.truth.astype(np.int32)}
        for name, predicted in self.predicted.items():
            arrays[f"predicted/{name}"] = predicted.astype(np.int32)
            arrays[f"probabilities/{name}"] = self.probabilities[name].astype(np.float32)
        files.save(FILE, arrays, {"labels": list(self.labels), "split": self.split})

    def keys(self) -> list[tuple[Any, ...]]:
        """Returns what identifies each example: its text, its label, and which of equal ones."""
        seen: collections.Counter[tuple[bytes, str]] = collections.Counter()
        found = []
        for digest, number in zip(self.digests, self.truth, strict=True):
            key = (digest.tobytes(), self.labels[number])
            found.append((*key, seen[key]))
            seen[key] += 1
        return found


def load(files: Workdir) -> Outputs:
    """Returns what `Outputs.save` wrote.

    Raises:
      WorkdirError: the file is missing or damaged.
    """
    arrays, state = files.load(FILE)
    names = [name.partition("/")[2] for name in arrays if name.startswith("predicted/")]
    names.sort(key=lambda name: name != MODEL)
    return Outputs(
        tuple(state["labels"]),
        state["split"],
        arrays["digests"],
        arrays["truth"],
        {name: arrays[f"predicted/{name}"] for name in names},
        {name: arrays[f"probabilities/{name}"] for name in names},
    )


def digests(texts: Sequence[str]) -> np.ndarray:
    """Returns the first half of each text's SHA-256: uint8 [n 16]."""
    joined = b"".join(hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES] for text in texts)
    return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_BYTES)
