"""One array on disk, written in parts, each with its line in a journal.

A folder holds `key.json`, which says in words what the array is, `values.bin`, its rows, and
`parts.jsonl`, the journal: a checksum for each stretch of rows that is complete. A line is added
only when its rows are on the disk; so whatever a killed process leaves is either usable or noticed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import math
import mmap
import os
import pathlib
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfft.storage.atomic_write import explained
from tfft.storage.locks import open_lock, try_lock

STORE = "the environment: TFFT_STORE"


class Entry:
    """One array [rows, ...] of the store, written in parts in any order.

    Args:
      path: its folder.
      about: what key.json says; `shape` and `dtype` among it.
      warn: gets a line for each part that is damaged.
    """

    def __init__(self, path: pathlib.Path, about: Mapping[str, Any], warn: Any):
        self.path, self.about = path, about
        self.shape, self.dtype = tuple(about["shape"]), to_dtype(about["dtype"])
        self._warn = warn
        self.parts: dict[int, dict[str, Any]] = {}
        self.values = np.memmap(path / "values.bin", self.dtype, "r", shape=self.shape)
        self.verify()

    @property
    def complete(self) -> bool:
        return self.shape[0] == sum(part["end"] - part["begin"] for part in self.parts.values())

    def verify(self) -> None:
        """Reads the journal and the rows that it names; what does not agree counts as missing."""
        self.parts = {}
        broken = 0
        journal, torn = read_journal(self.path)
        for part in journal:
            begin, end = part["begin"], part["end"]
            if zlib.crc32(_bytes(self.values[begin:end])) == part["crc32"]:
                self.parts[begin] = part
            else:
                broken += 1
            self.release()
        if torn and not self.complete:
            self._warn(f"{self.path.name}: its journal is torn; what it lost is computed again")
        if broken:
            self._warn(f"{self.path.name}: {broken} parts are damaged and are computed again")

    def has(self, begin: int, end: int) -> bool:
        """Says whether the rows from `begin` to before `end` are there."""
        return begin in self.parts and self.parts[begin]["end"] == end

    def write(self, begin: int, rows: np.ndarray, **measured: float) -> None:
        """Writes rows and, once they are on the disk, their line of the journal."""
        rows = np.ascontiguousarray(rows, self.dtype)
        content = _bytes(rows)
        values, journal = self.path / "values.bin", self.path / "parts.jsonl"
        with explained(values, STORE), open(values, "r+b") as file:
            file.seek(begin * int(np.prod(self.shape[1:], dtype=int)) * self.dtype.itemsize)
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        part = {"begin": begin, "end": begin + len(rows), "crc32": zlib.crc32(content), **measured}
        # A torn line before this one must not swallow it.
        with explained(journal, STORE), open(journal, "a") as file:
            file.write("\n" + json.dumps(part) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.parts[begin] = part

    def release(self) -> None:
        """Gives back the memory of what was read; the rows stay where they are."""
        release(self.values)

    @contextlib.contextmanager
    def filling(self, say: Any) -> Iterator[None]:
        """Keeps other processes from writing the same entry; waits for one that does."""
        with open_lock(self.path / ".lock") as lock:
            if not try_lock(lock):
                say(f"another process computes {self.path.name}: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.verify()
            yield


class Kept:
    """An array in memory, written like an `Entry`."""

    def __init__(self, values: np.ndarray, parts: dict[int, dict[str, Any]]):
        self.values, self.parts = values, parts

    def has(self, begin: int, end: int) -> bool:
        return begin in self.parts

    def write(self, begin: int, rows: np.ndarray, **measured: float) -> None:
        self.values[begin : begin + len(rows)] = rows
        self.parts[begin] = {"begin": begin, "end": begin + len(rows), **measured}


def release(values: np.ndarray) -> None:
    """Gives back the memory of a mapped file's pages; does nothing to an array in memory."""
    mapped = getattr(values, "_mmap", None)
    if mapped is not None:
        mapped.madvise(mmap.MADV_DONTNEED)


def to_dtype(name: Any) -> np.dtype:
    if str(name) == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def values_size(about: Mapping[str, Any]) -> int:
    """Returns the size of an entry's values.bin; a file has to have a byte to be mapped."""
    return max(1, math.prod(about.get("shape", (0,))) * to_dtype(about.get("dtype", "i1")).itemsize)


def file_state(path: pathlib.Path) -> tuple[Any, ...]:
    """Returns what changes when an entry's files do."""
    files = [path / "values.bin", path / "parts.jsonl"]
    found = [file.stat() for file in files if file.exists()]
    return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in found)


def _bytes(rows: np.ndarray) -> Any:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8)


def read_about(path: pathlib.Path) -> dict[str, Any] | None:
    try:
        return json.loads((path / "key.json").read_text())
    except (OSError, ValueError):
        return None


def read_journal(path: pathlib.Path) -> tuple[list[dict[str, Any]], int]:
    """Returns the journal's lines, the last one of each part, and how many others are torn."""
    file, torn = path / "parts.jsonl", 0
    parts: dict[int, dict[str, Any]] = {}
    for line in filter(
        None, file.read_text("utf-8", "replace").splitlines() if file.exists() else ()
    ):
        try:
            part = json.loads(line)
            parts[part["begin"]] = {"end": part["end"], "crc32": part["crc32"], **part}
        except (ValueError, TypeError, KeyError):
            torn += 1
    return list(parts.values()), torn
