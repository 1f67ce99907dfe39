"""What a run and its floors answered on held-out examples, kept so that runs can be paired."""

from __future__ import annotations

import collections
import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfft.baselines.base import Floor
from tfft.metrics import aggregates
from tfft.metrics.record_aggregates import ragged
from tfft.storage import manifest
from tfft.storage.workdir import Workdir

if TYPE_CHECKING:  # comparing runs loads no TensorFlow
    from tfft.data.examples import Examples

SCHEMA = 3

FILE = "outputs.safetensors"
MODEL = "model"
COUNTS = "counts"
DIGEST_BYTES = 16
Key = tuple[bytes, int]


@dataclasses.dataclass(frozen=True)
class Outputs:
    """Answers on the examples of one split, in their order.

    Attributes:
      split: where the examples are from.
      digests: of each example, see `digests`, uint8 [n 16]; the examples are not kept.
      main: the key of the task's main figure.
      measure: how it follows from the terms, a name of `tfft.metrics.aggregates`.
      sums: by name, "model" and the floors, the terms of the main metric, see
        `aggregates.prepare`: float64 [n ...], or records of several lengths.
      labels: the class names, in the order of the numbers; of a task without classes none, and
        what follows is empty.
      truth: class numbers, int32 [n].
      predicted: class numbers, int32 [n], by the names of `sums`.
      probabilities: float32 [n c], by the same names.
    """

    split: str
    digests: np.ndarray
    main: str
    measure: str
    sums: Mapping[str, Mapping[str, np.ndarray]]
    labels: tuple[str, ...] = ()
    truth: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int32))
    predicted: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    probabilities: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)

    def save(self, files: Workdir) -> None:
        """Writes outputs.safetensors."""
        arrays = {"digests": self.digests, "truth": self.truth.astype(np.int32)}
        for name, sums in self.sums.items():
            for key, term in sums.items():
                arrays |= _stored(f"sums/{name}/{key}", term)
        for name, predicted in self.predicted.items():
            arrays[f"predicted/{name}"] = predicted.astype(np.int32)
            arrays[f"probabilities/{name}"] = self.probabilities[name].astype(np.float32)
        state = {key: getattr(self, key) for key in ("split", "main", "measure")}
        files.save(FILE, arrays, {**state, "labels": list(self.labels)})

    def keys(self) -> list[Key]:
        """Returns what identifies each example: its digest, and which of equal ones it is."""
        seen: collections.Counter[bytes] = collections.Counter()
        found = []
        for digest in map(bytes, self.digests):
            found.append((digest, seen[digest]))
            seen[digest] += 1
        return found

    def rows(self, column: str) -> Iterator[tuple[Key, Any]]:
        """Returns what each example that has a main metric adds, see `aggregates.by_example`.

        Args:
          column: "model" or a floor's name.
        """
        sums = self.sums[column]
        there = sums.get("there", np.ones(len(self.digests)))
        rows = zip(self.keys(), aggregates.by_example(self.measure, sums), there, strict=True)
        return ((key, row) for key, row, known in rows if known)


def load(files: Workdir) -> Outputs:
    """Returns what `Outputs.save` wrote.

    Raises:
      WorkdirError: the file is missing or damaged.
    """
    arrays, state = files.load(FILE)
    found: dict[str, dict[str, Any]] = {"sums": {}, "predicted": {}, "probabilities": {}}
    for path in sorted(arrays, key=lambda path: path.split("/")[1:2] != [MODEL]):
        kind, *names = path.split("/")
        if kind == "sums":
            if names[2:] != [COUNTS]:
                found[kind].setdefault(names[0], {})[names[1]] = _loaded(path, arrays)
        elif names:
            found[kind][names[0]] = arrays[path]
    return Outputs(
        state["split"],
        arrays["digests"],
        state["main"],
        state["measure"],
        labels=tuple(state["labels"]),
        truth=arrays["truth"],
        **found,
    )


def _stored(path: str, term: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the arrays of a term by path; records end to end, with the length of each."""
    if term.dtype != object:
        return {path: term.astype(np.float64)}
    lengths = np.array([len(record) for record in term])
    return {path: np.concatenate(list(term)), f"{path}/{COUNTS}": lengths}


def _loaded(path: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns the term that `_stored` made the arrays of."""
    lengths = arrays.get(f"{path}/{COUNTS}")
    if lengths is None:
        return arrays[path]
    return ragged(np.split(arrays[path], np.cumsum(lengths)[:-1]))


def digests(inputs: Sequence[Sequence[str]], answers: Sequence[str]) -> np.ndarray:
    """Returns the first half of each example's SHA-256, over all its inputs and its answer.

    Args:
      inputs: a sequence of n values for each input.
      answers: n strings.

    Returns:
      uint8 [n 16].
    """
    joined = b"".join(_digest(example) for example in zip(*inputs, answers, strict=True))
    return np.frombuffer(joined, np.uint8).reshape(-1, DIGEST_BYTES)


def _digest(parts: Sequence[str]) -> bytes:
    """Returns the digest of an example; lengths stand between its parts."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = str(part).encode()
        digest.update(len(encoded).to_bytes(8) + encoded)
    return digest.digest()[:DIGEST_BYTES]


def finished(files: Workdir) -> dict[str, Any] | None:
    """Returns the report of a run that is complete and undamaged; None when it is not."""
    return files.read_json("report.json") if manifest.changed(files) == [] else None


def keep(
    files: Workdir,
    task: Any,
    undecided: Any,
    split: str,
    examples: Examples,
    found: Any,
    floors: Mapping[str, Floor],
) -> Outputs:
    """Writes outputs.safetensors and returns what it holds.

    Args:
      files: the run's folder.
      task, undecided: with its temperature and threshold, and without them.
      split: the evaluated one.
      examples: its examples, with their answers.
      found: the model's outputs.
      floors: by name; they answer without temperature and threshold.
    """
    evaluator = task.build_evaluator()
    plain = undecided.build_evaluator()
    given = {name: (plain, floor.outputs) for name, floor in floors.items()}
    answered = {MODEL: (evaluator, found), **given}
    more: dict[str, Any] = {}
    answers: Any = examples.answers
    if task.target.are_classes:
        more["labels"], more["truth"] = tuple(task.target.names), examples.targets
        more["predicted"] = {n: who.predicted_classes(each) for n, (who, each) in answered.items()}
        more["probabilities"] = {n: each for n, (_, each) in answered.items()}
    kept = Outputs(
        split,
        digests(examples.inputs, answers),
        evaluator.metrics[0].key,
        evaluator.aggregate,
        {name: who.main_terms(examples, each) for name, (who, each) in answered.items()},
        **more,
    )
    kept.save(files)
    return kept
