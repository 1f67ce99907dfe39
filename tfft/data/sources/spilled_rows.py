"""Rows of a dataset that are collected in memory, or in temporary files if they are many."""

from __future__ import annotations

import itertools
import json
import pathlib
import shutil
import tempfile
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfft.data.sources.base import Source
from tfft.data.sources.shards import open_source
from tfft.data.splits import MAX_HELD_OUT

MAX_BYTES = 2**28  # of rows in memory
PER_TEXT = 56  # bytes that a string takes beside its characters


class RowCollector:
    """Rows by split: inputs, the answer and further columns, in lists or in files.

    Args:
      inputs: Names of the inputs.
      columns: Names of further columns.
      may_spill: Whether more than `MAX_BYTES` of rows are written to temporary files.

    Attributes:
      rows: Columns in memory by split; empty lists after a spill.
      spilled: Whether the rows are in files.
    """

    def __init__(self, inputs: Sequence[str], columns: Sequence[str], may_spill: bool):
        self._names = [f"input {name}" for name in inputs] + ["label", *columns]
        self._inputs, self._may_spill, self._size = tuple(inputs), may_spill, 0
        self._folder: pathlib.Path | None = None
        self.rows: dict[str, tuple[list[str], ...]] = {}

    @property
    def spilled(self) -> bool:
        return self._folder is not None

    def add(self, split: str, rows: Iterable[Sequence[str]]) -> None:
        """Collects the rows of a split."""
        columns = self.rows[split] = tuple([] for _ in self._names)
        rows = iter(rows)
        for row in rows if not self.spilled else ():
            for column, value in zip(columns, row, strict=True):
                column.append(value)
            self._size += sum(map(len, row)) + PER_TEXT * len(row)
            if self._may_spill and self._size > MAX_BYTES:
                self._folder = pathlib.Path(tempfile.mkdtemp(prefix="tfft-rows-"))
                break
        if self.spilled:
            for each in self.rows:
                self._write(each, rows if each == split else ())

    def streamed_source(self, classes: bool, shares: Mapping[str, float]) -> Source:
        """Returns a source of the rows in the files, which are removed together with it."""
        assert self._folder is not None
        settings: dict[str, Any] = {"text": self._names[: len(self._inputs)], "label": "label"}
        settings |= {"classes": classes, "shares": shares, "max_held_out": MAX_HELD_OUT}
        settings["verbatim"] = True
        size = f"{MAX_BYTES / 2**20:,.0f} MiB"
        note = f"more than {size} of rows: written to {self._folder} and streamed from there"
        origins = {split: [str(self._folder / f"{split}.jsonl")] for split in self.rows}
        source = open_source("memory", origins, settings, [note])
        source.inputs, source.schema = self._inputs, None
        weakref.finalize(source, shutil.rmtree, self._folder, True)
        return source

    def _write(self, split: str, rows: Iterable[Sequence[str]]) -> None:
        """Appends the rows in memory and further ones to the file of a split."""
        assert self._folder is not None
        with open(self._folder / f"{split}.jsonl", "a", encoding="utf-8") as file:
            for row in itertools.chain(zip(*self.rows[split], strict=True), rows):
                named = dict(zip(self._names, row, strict=True))
                file.write(json.dumps(named, ensure_ascii=False) + "\n")
        for column in self.rows[split]:
            column.clear()
