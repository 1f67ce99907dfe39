"""A SavedModel that takes raw inputs, compared with the model in memory before it counts."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import pathlib
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.data.inputs import names_of
from tfft.errors import DataError, ExportError, WorkdirError
from tfft.storage.atomic_write import explained, temporary_folder, write_atomic
from tfft.storage.format_versions import check_export
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
        _save(served, aside, signatures)
        text = json.dumps(card, indent=1, ensure_ascii=False, allow_nan=False)
        write_atomic(aside / "tfft.json", text)
        found = [
            each.differ(_fresh_process(aside, name, each))
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
            versions = [int(path.name) for path in folder.iterdir() if path.name.isdigit()]
            target = folder / str(max(versions, default=0) + 1)
            aside.chmod(0o755)
            aside.rename(target)
        return target, difference


def _save(served: Served, folder: pathlib.Path, signatures: Mapping[str, Any]) -> None:
    """Writes a SavedModel.

    Raises:
      WorkdirError: The system does not write a file of it.
    """
    try:
        with explained(folder):
            tf.saved_model.save(served, str(folder), signatures=signatures)
    except tf.errors.OpError as error:
        raise WorkdirError(
            f"cannot write {folder}: {error.message}.",
            set_in="--workdir",
            valid="a folder that you may write to, on a disk with room; then the same command",
        ) from error


def _fresh_process(path: pathlib.Path, name: str, compared: Comparison) -> Answers:
    """Returns a signature's answers, made by a process that knows only TensorFlow."""
    inputs = dict(zip(compared.served.inputs, compared.inputs, strict=True))
    with temporary_folder("tfft-export-") as room:
        given, result = pathlib.Path(room, "inputs.json"), pathlib.Path(room, "out.npz")
        with explained(given, "the environment: TMPDIR"):
            content = {name: list(map(_base64, inputs[name])) for name in inputs}
            given.write_text(json.dumps(content))
        command = python_command("-c", _RELOAD, str(path.resolve()))
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


def newest_version(folder: pathlib.Path) -> pathlib.Path:
    """Returns a SavedModel's folder: `folder` itself or its highest numbered version.

    Raises:
      ExportError: there is none.
    """
    if not folder.is_dir():
        raise ExportError(f"{folder} is no folder.", see="tfft export --workdir=FOLDER")
    if (folder / "saved_model.pb").exists():
        return folder
    inside = [path for path in folder.glob("*/saved_model.pb") if path.parent.name.isdigit()]
    if not inside:
        raise ExportError(f"{folder} holds no exported model.", see="tfft export --workdir=FOLDER")
    return max((path.parent for path in inside), key=lambda path: int(path.name))


def read_card(folder: str) -> dict[str, Any]:
    """Returns the content of an export's tfft.json: `task`, `inputs`, `backbone`, and more.

    Raises:
      ExportError: there is no export, or its tfft.json is missing or is not what `export` writes.
    """
    path = newest_version(pathlib.Path(folder)) / "tfft.json"
    try:
        card = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        problem = "is missing: only that file says how the answers read"
    except (OSError, ValueError) as error:
        problem = f"cannot be read: {error}"
    else:
        task, inputs = (card.get("task"), card.get("inputs")) if isinstance(card, dict) else (0, 0)
        named = isinstance(task, dict) and isinstance(task.get("task"), str)
        if named and isinstance(inputs, list) and all(isinstance(name, str) for name in inputs):
            check_export(card, path.parent)
            return card
        problem = "is not what tfft export writes"
    raise ExportError(f"{path} {problem}.", set_in=str(path), valid=AGAIN)


def _load(version: pathlib.Path, names: Sequence[str]) -> Callable[..., Any]:
    """Returns the signature of an export that takes raw examples.

    Raises:
      ExportError: a file of it is missing or damaged.
    """
    import tensorflow_text  # noqa: F401 - registers the operations of the tokeniser

    try:
        signature = tf.saved_model.load(str(version)).signatures["serving_default"]
        found = set(signature.structured_input_signature[1])
    except Exception as error:  # of any kind, also IndexError of a truncated file of variables
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        raise ExportError(
            f"{version} cannot be loaded: {reason}", set_in=str(version), valid=AGAIN
        ) from error
    if found != set(names):
        raise ExportError(
            f"{version} takes {', '.join(sorted(found))}, and its tfft.json says "
            f"{', '.join(names)}.",
            set_in=str(version),
            valid=AGAIN,
        )
    return signature


def run_export(
    folder: str,
    inputs: Sequence[Sequence[str]],
    say: Any,
    contents: Callable[..., tuple[Sequence[str | bytes], ...]] = lambda values: values,
    problems: dict[int, str] | None = None,
) -> Answers:
    """Returns an export's answers to raw examples, in their order.

    Args:
      folder: a version, or the folder of several.
      inputs: the strings of each input.
      contents: what the export takes for some of them, see `ServingSignature.to_serving`.
      problems: gets the reason by the number of each example that cannot be read, whose answers
        are None; None refuses such an example.

    Raises:
      DataError: an example cannot be read.
      ExportError: the export is damaged.
    """
    names = read_card(folder)["inputs"]
    served = _load(newest_version(pathlib.Path(folder)), names)

    def answered(rows: Sequence[int]) -> Answers:
        taken = contents(tuple([column[row] for row in rows] for column in inputs))
        part = {name: tf.constant(values) for name, values in zip(names, taken, strict=True)}
        return {name: value.numpy() for name, value in served(**part).items()}

    count = len(inputs[0])
    order = np.argsort([sum(map(len, row)) for row in zip(*inputs, strict=True)], kind="stable")
    answers: dict[str, list[Any]] = {}
    with say.progress("predicting", count) as progress:
        for batch in np.array_split(order, max(1, count // 64)) if count else ():
            for rows, found in _answers_of(answered, batch.tolist(), problems):
                for name, values in found.items():
                    kept = answers.setdefault(name, [None] * count)
                    for row, each in zip(rows, values, strict=True):
                        kept[row] = each
            progress.advance(len(batch))
    return answers


def _answers_of(
    answered: Callable[[Sequence[int]], Answers],
    rows: Sequence[int],
    problems: dict[int, str] | None,
) -> Iterator[tuple[Sequence[int], Answers]]:
    """Yields the answers to some examples: to all, or to each one where one cannot be read."""
    try:
        yield rows, answered(rows)
        return
    except (DataError, tf.errors.InvalidArgumentError) as error:
        if len(rows) == 1:
            if isinstance(error, DataError):
                problem = error.problem
            else:
                problem = (
                    f"the export cannot read it: {error.message.strip().splitlines()[0][:200]}"
                )
            if problems is None:
                raise DataError(f"example {rows[0] + 1:,}: {problem}", valid=SKIP) from error
            problems[rows[0]] = problem
            return
    for row in rows:
        yield from _answers_of(answered, [row], problems)


AGAIN = "a new export: tfft export --workdir=FOLDER, with the folder of the run"
SKIP = "examples that can be read; --on_error=skip leaves the others out"
