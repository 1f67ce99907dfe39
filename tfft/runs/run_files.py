"""Files of a run that `evaluate`, `predict` and `export` read in place of the training data."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfft.data import examples
from tfft.data.folds import POOL
from tfft.data.inputs import Input
from tfft.errors import DataError, WorkdirError
from tfft.runs import environment
from tfft.storage.format_versions import KEY, WORKDIR
from tfft.storage.workdir import AGAIN, Workdir

HELD_OUT = "held_out.json"
MAX_HELD_OUT_BYTES = 2**25  # of texts or image files; the first example is kept whatever its size
Columns = tuple[Sequence[str], ...]


def describe_data(source: Any, split: str) -> dict[str, Any]:
    """Returns what run.json keeps of the data, JSON-able.

    Args:
      source: of the run.
      split: the held-out one.

    Returns:
      `name`, `held_out`, `columns` (see `Table.schema`), and by split `sizes` and `digests`. Of a
      fold, whose other splits are taken from the source's, those of the held-out split alone.
    """
    splits = [split] if POOL in source.summaries else source.splits
    return {
        "name": source.name,
        "held_out": split,
        "columns": getattr(source, "schema", None),
        "sizes": {name: int(source.size(name)) for name in splits},
        "digests": {name: source.summaries[name].digest for name in splits},
    }


def write_run(
    files: Workdir,
    identity: Mapping[str, Any],
    data: Mapping[str, Any],
    config: str | None,
    say: Any,
) -> None:
    """Writes run.json and config.gin; the machine of a run that is continued stays.

    Args:
      identity: of the run, see `Workdir.open`.
      data: see `describe_data`; empty for a plan.
      config: the text of the config; None for a run from Python.
      say: gets a warning if the run was begun under other versions.
    """
    if config:
        files.write("config.gin", config)
    run: dict[str, Any] = {KEY: WORKDIR, "identity": identity}
    if data:
        machine = environment.first_machine(files.read_json("run.json"), say)
        run |= {"folder": os.getcwd(), "data": data, **machine}
    files.write_json("run.json", run)


def read_run(files: Workdir) -> Mapping[str, Any]:
    """Returns the content of run.json; empty if there is none.

    Raises:
      WorkdirError: it is damaged.
    """
    found = files.read_json("run.json") or {}
    data = found.get("data", {})
    kinds: list[tuple[Any, type]] = [
        (data, dict),
        (found.get("folder", ""), str),
        (found.get("identity", {}), dict),
    ]
    if isinstance(data, dict):
        kinds += [(data.get(name, {}), dict) for name in ("sizes", "digests")]
        sizes = data.get("sizes", {})
        kinds += [(size, int) for size in (sizes.values() if isinstance(sizes, dict) else ())]
    if not all(isinstance(value, kind) for value, kind in kinds):
        raise files.damaged("run.json", "it has another content than a run writes")
    return found


def columns_of(found: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Returns the columns of the training file, out of run.json or an export's tfft.json.

    None if they are not known: a folder for each class, a data set in memory, or a run of an
    earlier version.

    Raises:
      WorkdirError: they cannot be read.
    """
    columns = found.get("columns")
    if columns is None:
        return None
    inputs = columns.get("inputs") if isinstance(columns, dict) else None
    if not isinstance(inputs, list) or not all(isinstance(name, str) for name in inputs):
        raise WorkdirError("the columns of the training file are not readable.", valid=AGAIN)
    return columns


def open_data(source: Any, workdir: str) -> Any:
    """Returns a run's own data.

    Raises:
      DataError: they are not there any more.
    """
    try:
        return source() if callable(source) else source
    except DataError as error:
        raise DataError(
            f"the data of this run cannot be read: {error.problem}",
            set_in=error.set_in,
            valid="the data in their old place, or a labelled file: --input=FILE",
            see=f"tfft evaluate --workdir={workdir} --input=FILE",
        ) from error


@contextlib.contextmanager
def advise(name: str) -> Iterator[None]:
    """Adds to an error about missing data that the run could have kept them."""
    try:
        yield
    except DataError as error:
        error.valid = f"the data in their old place; or a run that holds its {name}"
        raise


def data_change(files: Workdir, source: Any) -> str | None:
    """Returns how the data differ from those of the training; None if they are the same."""
    found = read_run(files)
    data = found.get("data") or {}
    before = data.get("digests")
    if before is None:
        identity = found.get("identity", {}).get("data")
        return _changed(source, {}) if identity not in (None, source.fingerprint()) else None
    now = {split: source.summaries[split].digest for split in source.splits}
    same = all(now.get(split) == digest for split, digest in before.items())
    return None if same else _changed(source, data.get("sizes", {}))


def _changed(source: Any, before: Mapping[str, int]) -> str:
    now = {split: source.size(split) for split in source.splits if split in before or not before}
    sizes = [
        ", ".join(f"{size:,} {split}" for split, size in each.items()) or "an unknown number of"
        for each in (now, before)
    ]
    texts = "texts of the held-out split may have been trained on"
    if sizes[0] == sizes[1]:
        return f"the contents of {source.name} differ from those of the training: {texts}"
    return (
        f"{source.name} is not what it was in training: {sizes[0]} examples now, {sizes[1]} then; "
        f"{texts}"
    )


def save_held_out(
    files: Workdir, split: str, inputs: Columns, most: int, kinds: Sequence[Input]
) -> None:
    """Writes held-out examples, with which an export is compared.

    Args:
      split: where they are from.
      inputs: the values of each input.
      most: the number of examples; fewer if they have more than `MAX_HELD_OUT_BYTES`.
      kinds: the inputs; the files of images and sounds are kept as data URIs.
    """
    rows: list[list[str]] = []
    size = 0
    for row in zip(*(column[:most] for column in inputs), strict=True):
        values = [each.keep(str(value)) for each, value in zip(kinds, row, strict=True)]
        size += sum(len(value.encode()) for value in values)
        if rows and size > MAX_HELD_OUT_BYTES:
            break
        rows.append(values)
    columns = list(map(list, zip(*rows, strict=True))) if rows else [[] for _ in inputs]
    files.write_json(HELD_OUT, {"split": split, "inputs": columns})


def load_held_out(files: Workdir) -> Columns | None:
    """Returns what `save_held_out` kept, the values of each input; None if there is no such file.

    Raises:
      WorkdirError: it is damaged.
    """
    found = files.read_json(HELD_OUT)
    if found is None:
        return None
    columns: Any = found.get("inputs")
    lists = isinstance(columns, list) and columns and all(isinstance(c, list) for c in columns)
    if not lists or len({len(column) for column in columns}) > 1 or not columns[0]:
        raise files.damaged(HELD_OUT, "it holds no examples")
    if not all(isinstance(value, str) for column in columns for value in column):
        raise files.damaged(HELD_OUT, "it holds values that are not texts")
    return tuple(columns)


def load_or_read_held_out(files: Workdir, source: Any, say: Any) -> tuple[Sequence[str], ...]:
    """Returns the held-out inputs that a run has kept; reads the data where it has kept none.

    Args:
      source: the run's data, a function that opens them, or None.

    Raises:
      WorkdirError: there are neither.
    """
    kept = load_held_out(files)
    if kept is not None:
        return kept
    say.info(f"{files.path} holds no {HELD_OUT}: the held-out examples are read anew")
    with advise(HELD_OUT):
        opened = source() if callable(source) else source
    if opened is None:
        raise WorkdirError(f"{files.path} holds no {HELD_OUT}.", valid=AGAIN)
    return examples.columns(opened, examples.evaluated_split(opened))
