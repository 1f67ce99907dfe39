"""A SavedModel that takes raw inputs, compared with the model in memory before it counts."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import pathlib
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.data.inputs import names_of
from tfft.errors import ExportError, WorkdirError
from tfft.export import manifest
from tfft.export.exported_model import versions_in
from tfft.export.plain_path import plain_path
from tfft.storage.atomic_write import explained, temporary_folder
from tfft.storage.subprocesses import python_command
from tfft.storage.unfinished_folders import unfinished_folder
from tfft.tasks.signatures.base import DEFAULT, Answers, ServingSignature

TOLERANCE = 1e-5
BATCH = 32  # examples that are compared at a time

# What a server does: load and call, with nothing of this library imported.
_RELOAD = """
import base64, json, sys
import numpy as np, tensorflow as tf, tensorflow_text
served = tf.saved_model.load(sys.argv[1]).signatures[sys.argv[5]]
inputs, found = json.load(open(sys.argv[2])), {}
size = int(sys.argv[4])
for start in range(0, len(next(iter(inputs.values()))), size):
    part = {name: tf.constant([base64.b64decode(each) for each in values[start:start + size]])
            for name, values in inputs.items()}
    for name, value in served(**part).items():
        value = value.numpy()
        found[f"{name}/{start}"] = value.astype("S") if value.dtype == object else value
np.savez(sys.argv[3], **found)
assert not any(name.split(".")[0] == "tfft" for name in sys.modules)
"""


class Served(tf.Module):
    """What is exported: the preprocessor, the model and the names of its answers.

    Args:
      model: from the preprocessor's outputs.
      preprocessor: from strings, texts or the contents of files, to the model's inputs, which its
        `signature` describes.
      signature: what the export takes and answers.
    """

    def __init__(self, model: Any, preprocessor: Any, signature: ServingSignature):
        super().__init__()
        self.model, self.preprocessor = model, preprocessor
        task = signature.task
        self._outputs_of = signature.make_predict_fn(model)
        self._answer = signature.serving_outputs
        self.inputs = list(names_of(signature.inputs))
        self.further: list[Served] = []
        self._names = list(task.target.names or ())
        read = preprocessor.signature
        self._read = [spec.name for spec in read]
        strings = [tf.TensorSpec([None], tf.string, name=name) for name in self.inputs]
        self.text = tf.function(self._from_strings, input_signature=strings, autograph=False)
        self.given = tf.function(self._from_given, input_signature=read, autograph=False)

    @tf.function(input_signature=[], autograph=False)
    def labels(self):
        """Returns the class names in the order of the probabilities: string [n]."""
        return tf.constant(self._names, tf.string)

    def answers(self, inputs: Sequence[Sequence[str | bytes]]) -> Answers:
        """Returns the answers of the model in memory, in the batches of the comparison."""
        found: dict[str, list[np.ndarray]] = {}
        for start in range(0, len(inputs[0]), BATCH):
            part = (tf.constant(list(column[start : start + BATCH])) for column in inputs)
            for name, value in self.text(*part).items():
                found.setdefault(name, []).extend(value.numpy())
        return found

    def _from_strings(self, *inputs: Any) -> Any:
        """From raw strings, [b] each."""
        return self._answered(self.preprocessor(*inputs))

    def _from_given(self, *values: Any) -> Any:
        """From what the preprocessor gives: of texts token ids and their mask first."""
        return self._answered(dict(zip(self._read, values, strict=True)))

    def _answered(self, read: Mapping[str, Any]) -> Any:
        outputs = self._outputs_of({name: read[name] for name in self._read}, training=False)
        return self._answer(outputs, read)


@dataclasses.dataclass(frozen=True)
class Comparison:
    """How a signature of an export is compared with the model in memory.

    Attributes:
      served: the signature.
      inputs: raw examples, the strings of each input, or the contents of files.
      differ: returns the largest absolute difference of the answers to what is expected, infinity
        where a name is another.
    """

    served: Served
    inputs: Sequence[Sequence[str | bytes]]
    differ: Callable[[Answers], float]


def export(
    folder: pathlib.Path,
    served: Served,
    card: dict[str, Any],
    inputs: Sequence[Sequence[str | bytes]],
    differ: Callable[[Answers], float],
    more: Mapping[str, Comparison] | None = None,
) -> tuple[pathlib.Path, float]:
    """Writes the next version below `folder`, once a fresh process answers as it should.

    Args:
      folder: holds numbered versions, as TensorFlow Serving expects them.
      served: what to export.
      card: JSON-able, written into the version as `tfft.json`.
      inputs: raw examples of the comparison, the strings of each input, or the contents of files.
      differ: as in `Comparison`.
      more: further signatures by name.

    Returns:
      The version's folder and the largest absolute difference.

    Raises:
      ExportError: the difference is above 1e-5; nothing is left behind.
    """
    with explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with unfinished_folder(folder, ".export-") as aside:
        compared = {DEFAULT: Comparison(served, inputs, differ), **(more or {})}
        signatures = {name: each.served.text for name, each in compared.items()}
        signatures[served.preprocessor.reads] = served.given
        served.further = [each.served for each in (more or {}).values()]  # their variables too
        with plain_path(aside) as path:
            _save(served, path, aside, signatures)
            found = [
                each.differ(_fresh_process(path, name, each))
                for name, each in compared.items()
                if len(each.inputs[0])
            ]
        difference = float(np.max(found, initial=0.0))  # not Python's `max`, which drops NaN
        if not difference <= TOLERANCE:
            raise ExportError(
                f"the exported model differs from the model in memory by {difference:.2g}; "
                "the export was removed.",
                valid=f"at most {TOLERANCE:g} on raw examples of the held-out split",
            )
        with explained(folder):
            manifest.write(aside, card)
            target = folder / str(max(versions_in(folder), default=0) + 1)
            aside.rename(target)
        return target, difference


def _save(served: Served, path: str, folder: pathlib.Path, signatures: Mapping[str, Any]) -> None:
    """Writes a SavedModel.

    Args:
      path: where TensorFlow writes it.
      folder: the same folder, for the user.

    Raises:
      WorkdirError: The system does not write a file of it.
    """
    try:
        tf.saved_model.save(served, path, signatures=signatures)
    except OSError:
        with explained(folder):
            raise
    except tf.errors.OpError as error:
        raise WorkdirError(
            f"cannot write {folder}: {error.message.replace(path, str(folder))}.",
            set_in="--workdir",
            valid="a folder that you may write to, on a disk with room; then the same command",
        ) from error


def _fresh_process(path: str, name: str, compared: Comparison) -> Answers:
    """Returns a signature's answers, made by a process that knows only TensorFlow."""
    inputs = dict(zip(compared.served.inputs, compared.inputs, strict=True))
    with temporary_folder("tfft-export-") as room:
        given, result = pathlib.Path(room, "inputs.json"), pathlib.Path(room, "out.npz")
        with explained(given, "the environment: TMPDIR"):
            content = {name: list(map(_base64, inputs[name])) for name in inputs}
            given.write_text(json.dumps(content))
        command = python_command("-c", _RELOAD, path)
        command += [str(given), str(result), str(BATCH), name]
        done = subprocess.run(command, capture_output=True, text=True, cwd=room)
        if done.returncode:
            raise ExportError(
                "the exported model could not be loaded in a fresh process; it was removed.\n"
                + done.stderr.strip()[-800:]
            )
        answers: dict[str, list[np.ndarray]] = {}
        with np.load(result) as parts:
            for key in parts.files:
                answers.setdefault(key.rpartition("/")[0], []).extend(parts[key])
        return answers


def _base64(value: str | bytes) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode()


def difference(ours: Any, theirs: Any) -> float:
    """Returns the largest difference of numbers in two equal structures.

    It is absolute, and relative to numbers above 1. Infinity where anything else differs: a name, a
    string, how many there are; and where a number is not finite, unless both are the same infinity.
    NaN differs from NaN: a model that answers NaN is not served. The result is never NaN, which
    `max` would drop.
    """
    ours, theirs = (v.tolist() if isinstance(v, np.ndarray) else v for v in (ours, theirs))
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        if ours.keys() != theirs.keys():
            return math.inf
        return max((difference(ours[name], theirs[name]) for name in ours), default=0.0)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        if len(ours) != len(theirs):
            return math.inf
        return max(map(difference, ours, theirs), default=0.0)
    if ours == theirs:
        return 0.0
    numbers = isinstance(ours, int | float) and isinstance(theirs, int | float)
    if not numbers or isinstance(ours, bool):
        return math.inf
    change = abs(ours - theirs) / max(1.0, abs(ours))
    return change if math.isfinite(change) else math.inf
