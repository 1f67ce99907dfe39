"""Index of shards: the place of every row and a summary of every split, made in one pass."""

from __future__ import annotations

import array
import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.data import splits
from tfft.data.formats.csv import Separated
from tfft.data.formats.parquet import Parquet
from tfft.data.formats.row_reader import RowReader
from tfft.data.formats.shards import Shard, open_shard
from tfft.data.sources.base import Summarizer, Summary, summarize
from tfft.data.splits import SPLITS
from tfft.errors import DataError
from tfft.storage.array_folder import Arrays, ArrayWriter

CHUNK = 8192  # rows whose texts are held at a time
MAX_LABELS = 200_000  # different answers that are counted where they are no labels
Row = tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class SplitIndex:
    """The rows of a split.

    Attributes:
      paths: Shards that they are in.
      counts: Number of its rows in each shard, int [f].
      positions: Place of each row in its shard, in their order, int64 [n].
      summary: Of the split; `texts` is empty if the index was read from the store.
    """

    paths: Sequence[str]
    counts: np.ndarray
    positions: np.ndarray
    summary: Summary

    def rows(self, reader: RowReader, numbers: np.ndarray | None = None) -> Iterator[Row]:
        """Yields the inputs and the answer of rows.

        Args:
          reader: Of the columns.
          numbers: Of the rows, ascending, int [n]; None for all.
        """
        ends = np.cumsum(self.counts)
        numbers = np.arange(len(self.positions)) if numbers is None else numbers
        places = np.searchsorted(numbers, [0, *ends])
        for path, first, last in zip(self.paths, places, places[1:], strict=False):
            if first == last:
                continue
            shard = open_shard(path)
            reader.file = shard.file
            positions = self.positions[numbers[first:last]]
            for values in shard.read(positions, reader.columns):
                yield reader.row(0, values)

    def take(self, numbers: np.ndarray, reader: RowReader) -> SplitIndex:
        """Returns an index of some of the rows, which ascend."""
        counts = np.diff(np.searchsorted(numbers, [0, *np.cumsum(self.counts)]))
        part = dataclasses.replace(self, counts=counts, positions=self.positions[numbers])
        return dataclasses.replace(part, summary=summarize(part.rows(reader)))


class _Part:
    """The rows of a split while they are collected."""

    def __init__(self, paths: Sequence[str], classes: bool):
        self.paths, self.counts = paths, np.zeros(len(paths), np.int64)
        self.positions = array.array("q")
        self.summarizer = Summarizer(None if classes else MAX_LABELS)

    def add(self, shard: int, position: int, row: Row) -> None:
        self.counts[shard] += 1
        self.positions.append(position)
        self.summarizer.add(*row)

    def result(self) -> SplitIndex:
        positions = np.array(self.positions, np.int64)
        return SplitIndex(self.paths, self.counts, positions, self.summarizer.result())


@dataclasses.dataclass
class Indexer:
    """Makes the index of shards.

    Args:
      name: Of the source, for errors.
      origins: Paths of the shards by split; "train" among them.
      reader: Of the columns.
      classes: Whether the answers are labels.
      shares: Of a validation and a test split that have no shards of their own.
    """

    name: str
    origins: Mapping[str, Sequence[str]]
    reader: RowReader
    classes: bool
    shares: Mapping[str, float]
    notes: list[str] = dataclasses.field(default_factory=list)
    dropped: Counter[str] = dataclasses.field(default_factory=Counter)
    names: list[str] = dataclasses.field(default_factory=list)

    def index(self, max_held_out: int) -> dict[str, SplitIndex]:
        """Returns the index of each split.

        Args:
          max_held_out: Number of rows above which a validation or test split is a sample.

        Raises:
          DataError: A row or a shard cannot be read, or a split would be empty.
        """
        index = self._scan(set())
        known = index["train"].summary.labels.keys()
        rare = {label for split in self.shares for label in index[split].summary.labels} - known
        if self.classes and rare:  # the hash would keep these labels out of training
            index = self._scan(rare)
        for split, part in index.items():
            if not part.summary.size and split in ("train", *self.shares):
                self._refuse_empty(split, index)
        for split, count in self.dropped.items():
            held = "validation or test" if split == "train" else "test"
            self.notes.append(f"{count:,} rows of {split} dropped: their text is also in {held}")
        if self.shares:
            self.notes.append(splits.stream_note(self.shares))
        for split, part in list(index.items()):
            size = part.summary.size
            if split != "train" and size > max_held_out:
                index[split] = part.take(splits.sample_rows(size, max_held_out), self.reader)
                self.notes.append(splits.sample_note(split, max_held_out, size))
        return index

    def _scan(self, rare: set[str]) -> dict[str, SplitIndex]:
        self.dropped.clear()
        held = np.zeros(0, np.uint64)
        index: dict[str, SplitIndex] = {}
        for origin in (split for split in reversed(SPLITS) if split in self.origins):
            own = ("train", *self.shares) if origin == "train" else (origin,)
            parts = {split: _Part(self.origins[origin], self.classes) for split in own}
            hashes = [held]
            for number, positions, rows in self._chunks(origin):
                ranks = splits.ranks(splits.keys_of(list(zip(*rows, strict=True))[:-1]))
                numbers = [SPLITS.index(origin)] * len(rows)
                if origin == "train":
                    shares = (self.shares.get(split, 0.0) for split in SPLITS[1:])
                    numbers = splits.splits_of_ranks(ranks, *shares).tolist()
                else:
                    hashes.append(ranks[:, 0])
                drop = _contains(held, ranks[:, 0]).tolist()
                self.dropped.update([origin] * sum(drop))
                for place in np.flatnonzero(np.logical_not(drop)).tolist():
                    split = "train" if rows[place][-1] in rare else SPLITS[numbers[place]]
                    parts[split].add(number, positions[place], rows[place])
            held = np.unique(np.concatenate(hashes))
            index |= {split: part.result() for split, part in parts.items()}
        return {split: index[split] for split in SPLITS if split in index}

    def _chunks(self, origin: str) -> Iterator[tuple[int, Sequence[int], Sequence[Row]]]:
        """Yields the number of a shard, and positions and values of some of its rows."""
        for number, path in enumerate(self.origins[origin]):
            shard = open_shard(path)
            self._check_columns(shard)
            rows = self._rows(shard)
            while chunk := list(itertools.islice(rows, CHUNK)):
                positions, values = zip(*chunk, strict=True)
                yield number, positions, values

    def _rows(self, shard: Shard) -> Iterator[tuple[int, Row]]:
        reader, file = self.reader, shard.file
        reader.file = file
        for position, number, values in shard.scan(reader.columns):
            try:
                yield position, reader.row(number, values)
            except DataError as error:
                error.set_in = error.set_in or file.place(number)
                error.valid = error.valid or "a text and an answer in every row"
                raise

    def _check_columns(self, shard: Shard) -> None:
        """Refuses a shard without the columns that are read, or with others than the first one."""
        file = shard.file
        self.names = self.names or file.names
        names = self.names if isinstance(file, Parquet | Separated) else self.reader.columns
        missing = [name for name in names if name not in file.names]
        more = [name for name in file.names if name not in names and names is self.names]
        if missing or more:
            problem = f"has no column {missing[0]!r}" if missing else f"has a column {more[0]!r}"
            raise DataError(
                f"{file.where} {problem}, unlike the first shard.",
                set_in=file.where,
                valid=f"the same columns in every shard: {', '.join(names)}",
            )

    def _refuse_empty(self, split: str, index: Mapping[str, SplitIndex]) -> None:
        total = sum(part.summary.size for part in index.values())
        raise DataError(
            f"{self.name} is too small to be split by a hash of the text: of its {total:,} rows "
            f"the {split} split would have none.",
            valid="a share of 0 for that split, shards of its own, or the rows in memory: "
            "tfft.sources.files",
        )


def _contains(held: np.ndarray, hashes: np.ndarray) -> np.ndarray:
    """Returns True for the hashes that are among `held`, which ascend: bool [n]."""
    if not len(held):
        return np.zeros(len(hashes), bool)
    return held[np.minimum(np.searchsorted(held, hashes), len(held) - 1)] == hashes


def write(index: Mapping[str, SplitIndex], writer: ArrayWriter) -> dict[str, Any]:
    """Appends an index to arrays; returns the rest of it, JSON-able."""
    content = {}
    for split, part in index.items():
        writer.append(f"{split}/positions", part.positions)
        writer.append(f"{split}/codes", part.summary.codes)
        summary = {n: v for n, v in vars(part.summary).items() if n not in ("texts", "codes")}
        counts = part.counts.tolist()
        content[split] = {"paths": list(part.paths), "counts": counts, "summary": summary}
    return content


def read(content: Mapping[str, Any], arrays: Arrays) -> dict[str, SplitIndex]:
    """Returns the index that `write` has written."""
    index = {}
    for split, part in content.items():
        empty, count = part["summary"]["empty"]
        summary = {**part["summary"], "empty": (empty, count), "texts": np.zeros(0, np.int64)}
        codes, positions = arrays[f"{split}/codes"], arrays[f"{split}/positions"]
        counts = np.array(part["counts"], np.int64)
        index[split] = SplitIndex(part["paths"], counts, positions, Summary(**summary, codes=codes))
    return index
