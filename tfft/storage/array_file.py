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

from tfft.errors import WorkdirError
from tfft.storage import checksums
from tfft.storage.locks import open_lock, try_lock

LINE = "line"  # the key of a journal's line for its checksum


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
        part = {"begin": begin, "end": begin + len(rows), "crc32": zlib.crc32(content), **measured}
        with writing(self.path.parent):
            self._write(begin, content, part)
        self.parts[begin] = part

    def _write(self, begin: int, content: Any, part: Mapping[str, Any]) -> None:
        with open(self.path / "values.bin", "r+b") as file:
            file.seek(begin * int(np.prod(self.shape[1:], dtype=int)) * self.dtype.itemsize)
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        # A torn line before this one must not swallow it.
        with open(self.path / "parts.jsonl", "a") as file:
            file.write("\n" + json.dumps({**part, LINE: _line_checksum(part)}) + "\n")
            file.flush()
            os.fsync(file.fileno())

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


@contextlib.contextmanager
def writing(store: pathlib.Path) -> Iterator[None]:
    """Turns an error of the system into a `WorkdirError` about the store's folder."""
    try:
        yield
    except OSError as error:
        raise WorkdirError(
            f"the store cannot be written: {error.strerror or error} ({error.filename or store}).",
            set_in=f"{store} (TFFT_STORE)",
            valid='a folder with room that you may write to, or FeatureCache.where = "memory"',
            see="tfft store",
        ) from error


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


def write_about(path: pathlib.Path, about: Mapping[str, Any]) -> None:
    """Writes an entry's key.json, with its checksum."""
    (path / "key.json").write_text(json.dumps(checksums.seal(about, None), indent=1))


def read_about(path: pathlib.Path, key: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Returns the content of an entry's key.json; None if it is damaged or missing.

    Args:
      path: the entry's folder.
      key: that it must have; None for any.
    """
    try:
        found = checksums.unseal(json.loads((path / "key.json").read_text()))[0]
    except (OSError, ValueError, AttributeError, RecursionError):
        return None
    same = key is None or found.get("key") == json.loads(json.dumps(key))
    return found if same and isinstance(found.get("key"), dict) and _has_shape(found) else None


def _has_shape(about: Mapping[str, Any]) -> bool:
    """Returns True if what key.json says of an array can be one, or if it describes none."""
    shape = about.get("shape", [0])
    known = isinstance(shape, list) and bool(shape)
    try:
        to_dtype(about.get("dtype", "i1"))
    except TypeError:
        return False
    return known and all(type(size) is int and 0 <= size < 2**48 for size in shape)


def stated_key(path: pathlib.Path) -> dict[str, Any]:
    """Returns the key that an entry states, unverified, as other versions of tfft wrote it."""
    try:
        found = json.loads((path / "key.json").read_text())["key"]
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def read_journal(path: pathlib.Path) -> tuple[list[dict[str, Any]], int]:
    """Returns the journal's lines, the last one of each part, and how many others are torn."""
    file, torn = path / "parts.jsonl", 0
    parts: dict[int, dict[str, Any]] = {}
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    for line in filter(None, text.splitlines()):
        try:
            part = json.loads(line)
            if part.pop(LINE) != _line_checksum(part):
                raise ValueError
            parts[part["begin"]] = part
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            torn += 1
    return list(parts.values()), torn


def _line_checksum(part: Mapping[str, Any]) -> int:
    """Returns the checksum of a journal's line."""
    return zlib.crc32(json.dumps(part, sort_keys=True).encode())


def is_free(path: pathlib.Path) -> bool:
    """Returns True if no process is filling an entry, or if it cannot be removed anyway."""
    try:
        with open_lock(path / ".lock") as lock:
            return try_lock(lock)
    except WorkdirError as error:
        # The lock of another user, which cannot be looked at. In a folder that users share the
        # entry can be removed nevertheless.
        return not (isinstance(error.__cause__, PermissionError) and os.access(path, os.W_OK))


def note_use(path: pathlib.Path) -> None:
    """Sets when an entry was last used; a store that is read-only does not record it."""
    with contextlib.suppress(OSError):
        os.utime(path / "key.json")
