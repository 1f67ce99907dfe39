"""An exported model that is read again: verified, then loaded, then called."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfft.errors import DataError, ExportError
from tfft.export import manifest
from tfft.export.operations import refuse_foreign
from tfft.export.plain_path import plain_path
from tfft.tasks.signatures.base import DEFAULT, Answers

FILES = (manifest.MODEL, manifest.NAME)
SKIP = "examples that can be read; --on_error=skip leaves the others out"


def versions_in(folder: str | os.PathLike[str]) -> dict[int, pathlib.Path]:
    """Returns the folders of the versions in a folder by their number."""
    try:
        names = os.listdir(folder)
    except OSError:
        return {}
    return {int(name): pathlib.Path(folder, name) for name in names if name.isdecimal()}


def newest_version(folder: str | os.PathLike[str]) -> pathlib.Path:
    """Returns an export's folder: `folder` itself or its highest numbered version.

    Raises:
      ExportError: there is none.
    """
    see = manifest.AGAIN
    if not os.path.isdir(folder):
        raise ExportError(f"{folder} is no folder.", see=see)
    if any(os.path.lexists(os.path.join(folder, name)) for name in FILES):
        return pathlib.Path(folder)
    found = versions_in(folder)
    if not found:
        raise ExportError(f"{folder} holds no exported model.", see=see)
    return found[max(found)]


def read_card(folder: str) -> dict[str, Any]:
    """Returns the content of an export's tfft.json: `task`, `inputs`, `backbone`, and more.

    Raises:
      ExportError: there is no export, or its tfft.json is missing or damaged.
    """
    return manifest.read(newest_version(folder))


def _load(folder: str, trusted: bool) -> tuple[Callable[..., Any], list[str]]:
    """Returns the signature of an export that takes raw examples, and the names of its inputs.

    Raises:
      ExportError: a file of it is missing or damaged, or it runs other operations than exports do.
    """
    import tensorflow_text  # noqa: F401 - registers the operations of the tokeniser

    version = newest_version(folder)
    card = manifest.read(version)
    manifest.verify(version, card)
    if not trusted:
        refuse_foreign(version / manifest.MODEL)
    try:
        with plain_path(version) as path:
            signature = tf.saved_model.load(path).signatures[DEFAULT]
        found = set(signature.structured_input_signature[1])
    except Exception as error:  # of any kind, also IndexError of a truncated file of variables
        reason = str(error).strip().partition("\n")[0][:300] or type(error).__name__
        raise manifest.damaged(version, f"cannot be loaded: {reason}") from error
    names: list[str] = card["inputs"]
    if found != set(names):
        stated = f"takes {', '.join(sorted(found))}, and its tfft.json says {', '.join(names)}"
        raise manifest.damaged(version, stated)
    return signature, names


def run_export(
    folder: str,
    inputs: Sequence[Sequence[str]],
    say: Any,
    contents: Callable[..., tuple[Sequence[str | bytes], ...]] = lambda values: values,
    problems: dict[int, str] | None = None,
    trust_export: bool = False,
) -> Answers:
    """Returns an export's answers to raw examples, in their order.

    Args:
      folder: a version, or the folder of several.
      inputs: the strings of each input.
      contents: what the export takes for some of them, see `ServingSignature.to_serving`.
      problems: gets the reason by the number of each example that cannot be read, whose answers
        are None; None refuses such an example.
      trust_export: whether to load an export whose operations may do anything.

    Raises:
      DataError: an example cannot be read.
      ExportError: the export is damaged, or runs other operations than exports do.
    """
    served, names = _load(folder, trust_export)

    def answered(rows: Sequence[int]) -> Answers:
        taken = contents(tuple([column[row] for row in rows] for column in inputs))
        part = {name: tf.constant(values) for name, values in zip(names, taken, strict=True)}
        found = {name: value.numpy() for name, value in served(**part).items()}
        if any(value.shape[:1] != (len(rows),) for value in found.values()):
            stated = "returns another number of predictions than examples"
            raise manifest.damaged(pathlib.Path(folder), stated)
        return found

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
    except tf.errors.OpError as error:
        reason = error.message.strip().partition("\n")[0][:200]
        raise ExportError(f"the export cannot answer: {reason}", see=manifest.AGAIN) from error
    for row in rows:
        yield from _answers_of(answered, [row], problems)
