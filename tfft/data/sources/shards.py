"""Shards of rows that are larger than memory: Parquet, JSON Lines, CSV, TSV and TFRecord, streamed.

Columns and labels follow the rules of `tfft.data.sources.files`. One pass makes an index, which the
store keeps by the path, the size and the time of change of each file.
"""

from __future__ import annotations

import glob
import json
import os
import re
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfft.argument_checks.validated import COUNT, FILLED, FRACTION, each, validated
from tfft.data.formats.row_reader import RowReader
from tfft.data.formats.shards import SUFFIXES, open_shard, shard_suffix
from tfft.data.formats.tables import choose, named
from tfft.data.sources import shard_index
from tfft.data.sources.base import Source, validate
from tfft.data.sources.shard_index import MAX_LABELS, Indexer, Row, SplitIndex
from tfft.data.splits import MAX_HELD_OUT, SPLIT_NAMES, check_shares
from tfft.errors import DataError
from tfft.storage.array_folder import find_arrays, write_arrays
from tfft.storage.cache_store import Store
from tfft.storage.foreign_files import local_path

if TYPE_CHECKING:
    import tensorflow as tf

FORMAT = 2  # a change makes all indexes new
Paths = Mapping[str, Sequence[str]]


@validated(
    **each("train validation test text label", FILLED),
    **each("validation_share test_share", FRACTION),
    max_held_out=COUNT,
)
def shards(
    train: str | Sequence[str],
    validation: str | Sequence[str] | None = None,
    test: str | Sequence[str] | None = None,
    *,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    validation_share: float = 0.1,
    test_share: float = 0.1,
    classes: bool = True,
    max_held_out: int = MAX_HELD_OUT,
) -> Source:
    """Returns a source of shards that are larger than memory; no split is held as texts.

    The first pass makes an index, later runs read it from the store. A split without shards of its
    own is split off from the training shards by a salted hash of the text: equal texts are in the
    same split, and the shares are approximate. Rows whose text is also in shards of a later split
    (train, validation, test) are dropped, with a note.

    Args:
      train: a file, a folder of files, a pattern such as "data/train-*.parquet", or a list of
        these: .parquet, .jsonl, .csv, .tsv or .tfrecord, not compressed. A folder may have a train,
        validation and test folder, or files whose names begin with these words.
      validation, test: shards of their own.
      text, label: the columns' names, in TFRecord those of the features; found by the rule of
        `files` when None. A task of several inputs takes the names of theirs, in its order.
      validation_share, test_share: of the training rows, for a split without shards of its own; 0
        for no such split.
      classes: whether the answers are labels. False takes any: numbers, lists and objects, which a
        task reads as JSON.
      max_held_out: rows of the validation and of the test split; of a larger one a random sample
        is read.

    Raises:
      DataError: a shard is damaged, lacks a column or has an empty row, or no run could learn from
        the rows.
    """
    check_shares(validation_share, test_share)
    parts = None if validation or test else _parts(train)
    if parts is None:
        data = {"train": train, "validation": validation, "test": test}
        parts = {split: _paths(part, split) for split, part in data.items() if part}, []
    origins, notes = parts
    settings = {
        "text": text if isinstance(text, str | None) else list(text),
        "label": label,
        "classes": classes,
        "shares": {"validation": validation_share, "test": test_share},
        "max_held_out": max_held_out,
    }
    name = train if isinstance(train, str) else ", ".join(train)
    return open_source(name, origins, settings, notes, keep=True)


def open_source(
    name: str,
    origins: Paths,
    settings: Mapping[str, Any],
    notes: Sequence[str] = (),
    *,
    keep: bool = False,
) -> ShardSource:
    """Returns a source with the index that the store has, or with a new one.

    Args:
      name: For messages.
      origins: Paths of the shards by split.
      settings: `text`, `label`, `classes`, `shares` and `max_held_out` as in `shards`; `verbatim`
        for answers that are read as they are written.
      notes: On the shards.
      keep: Whether the store keeps the index.
    """
    messages = list(notes)
    store = Store(types.SimpleNamespace(info=messages.append, warn=messages.append))
    states = {s: [_state(path) for path in paths] for s, paths in origins.items()}
    key = {"format": FORMAT, "files": states, **settings}
    stored = find_arrays(store, "index", key) if keep else None
    if stored is not None:
        arrays, content = stored
        return ShardSource(name, content, shard_index.read(content["splits"], arrays), messages)
    try:
        content, index = _indexed(name, origins, settings)
    except DataError as error:
        settings_of_files = r"(?<![\w/.-])files\.(?=(?:text|label|classes|columns|data)\b)"
        error.set_in = re.sub(settings_of_files, "shards.", error.set_in or name)
        raise
    if len(index) == 1:
        raise DataError(
            f"{name} has no validation or test split.",
            set_in="shards.validation_share, shards.test_share",
            valid="shards of such a split, or a share above 0",
        )
    source = ShardSource(name, content, index, messages)
    validate(name, source.summaries, classes=source.classes)
    source.add_data_notes()
    if not source.classes:
        source.notes = (*source.notes, *source.uncounted_answers())
    content["notes"] = [note for note in source.notes if note not in messages]

    def write(writer: Any) -> dict[str, Any]:
        return {**content, "splits": shard_index.write(index, writer)}

    if keep:
        write_arrays(store, "index", key, f"index of {name}", write)
        source.notes = (*messages, *content["notes"])
    return source


def _indexed(
    name: str, origins: Paths, settings: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, SplitIndex]]:
    """Returns the columns and notes of a new index, JSON-able, and the index."""
    text, label, classes = settings["text"], settings["label"], settings["classes"]
    file, is_single = open_shard(origins["train"][0]).file, isinstance(text, str | None)
    columns, how = (choose if is_single else named)(file, text, label, True, classes)
    content = {
        "columns": columns,
        "inputs": ["text"] if is_single else list(text),
        "classes": classes,
        "verbatim": settings.get("verbatim", False),
    }
    reader, shares = _reader(content), settings["shares"].items()
    shares = {split: share for split, share in shares if share and split not in origins}
    indexer = Indexer(name, origins, reader, classes, shares)
    index = indexer.index(settings["max_held_out"])
    count = sum(len(paths) for paths in origins.values())
    titles = ", ".join(f"{c!r} ({h})" for c, h in zip(columns, how, strict=True))
    reader.file = file
    changes = [note.partition(": ")[2] for note in reader.notes()]
    what = f"{count:,} shards are streamed" if count > 1 else "one shard is streamed"
    notes = [f"{what}, columns {titles}", *indexer.notes, *changes]
    return {**content, "notes": notes}, index


def _reader(content: Mapping[str, Any]) -> RowReader:
    verbatim = content["verbatim"]
    classes = content["classes"] and not verbatim
    columns, inputs = content["columns"], len(content["inputs"])
    return RowReader(None, columns, inputs, classes, verbatim)  # type: ignore[arg-type]


class ShardSource(Source):
    """Rows of shards, read through an index.

    Args:
      name: For messages.
      content: `columns`, `inputs`, `classes`, `verbatim` and `notes`.
      index: By split.
      notes: Further ones.
    """

    streamed = True

    def __init__(
        self,
        name: str,
        content: Mapping[str, Any],
        index: Mapping[str, SplitIndex],
        notes: Sequence[str],
    ):
        inputs, classes = content["inputs"], content["classes"]
        super().__init__(name, tuple(index), [*notes, *content["notes"]], inputs, classes)
        self._content, self._index = content, index
        columns = content["columns"]
        self.schema = {"inputs": columns[: len(inputs)], "label": columns[-1]}
        self.summaries = {split: index[split].summary for split in self.splits}

    def uncounted_answers(self) -> list[str]:
        """Returns a note for each split that has more different answers than are counted."""
        return [
            f"{split}: {MAX_LABELS:,} different answers are counted, those of "
            f"{sum(summary.labels.values()):,} of {summary.size:,} examples: what follows from all "
            "answers, such as their mean, follows from these"
            for split, summary in self.summaries.items()
            if sum(summary.labels.values()) < summary.size
        ]

    def rows(self, split: str) -> Iterator[Row]:
        self._summary(split)
        return self._index[split].rows(_reader(self._content))

    def read(self, split: str, rows: np.ndarray) -> tuple[list[str], ...]:
        chosen = self._index[split].rows(_reader(self._content), rows)
        return tuple(map(list, zip(*chosen, strict=True)))

    def dataset(self, split: str) -> tf.data.Dataset:
        import tensorflow as tf

        names = (*self.inputs, "label")
        spec = {name: tf.TensorSpec([], tf.string) for name in names}
        dataset = tf.data.Dataset.from_generator(
            lambda: (dict(zip(names, row, strict=True)) for row in self.rows(split)),
            output_signature=spec,
        )
        return dataset.apply(tf.data.experimental.assert_cardinality(self.size(split)))

    def places(self, answers: Collection[str]) -> list[str]:
        places, reader = [], _reader(self._content)
        for path in dict.fromkeys(path for part in self._index.values() for path in part.paths):
            shard = open_shard(path)
            reader.file = shard.file
            for _, number, values in shard.scan(reader.columns):
                if reader.row(number, values)[-1] in answers:
                    places.append(shard.file.place(number))
        return places


def _state(path: str) -> list[Any]:
    stat = os.stat(path)
    return [os.path.abspath(path), stat.st_size, stat.st_mtime_ns]


def _parts(data: str | Sequence[str]) -> tuple[dict[str, list[str]], list[str]] | None:
    """Returns the shards of a folder by split, and notes on others; None if it has no splits."""
    folder = local_path(data, DataError) if isinstance(data, str) else None
    if folder is None or not folder.is_dir():
        return None
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "_"))]
    first_words = {
        path: re.split(r"[-_.]", path.name.lower())[0]
        for path in inside
        if path.is_dir() or shard_suffix(path)
    }
    parts = {
        split: [str(path) for path, word in first_words.items() if word in names]
        for split, names in SPLIT_NAMES.items()
    }
    if not parts["train"]:
        return None
    rest = [path.name for path in inside if all(str(path) not in each for each in parts.values())]
    notes = [f"{data}: not read: {', '.join(rest[:8])}"] if rest else []
    return {split: _paths(paths, split) for split, paths in parts.items() if paths}, notes


def _paths(data: str | Sequence[str], split: str) -> list[str]:
    """Returns the files of a path, a folder, a pattern or a list of these."""
    if not isinstance(data, str):
        return [path for each in data for path in _paths(each, split)]
    place = local_path(data, DataError)
    if place.is_dir():
        paths = [str(path) for path in sorted(place.iterdir()) if shard_suffix(path)]
    elif place.exists():
        paths = [str(place)]
    else:
        paths = sorted(glob.glob(str(place), recursive=True))
    if not paths:
        raise DataError(
            f"there are no shards in {data}.",
            set_in=f"shards.{split}={json.dumps(data)}",
            valid=f"a file, a folder or a pattern of files that end in {', '.join(SUFFIXES)}",
        )
    return paths
