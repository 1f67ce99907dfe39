"""Several arrays of unknown length on disk, written chunk by chunk and read through memory maps.

A folder holds one file for each array and `key.json` with their shapes, types and checksums. It is
an entry of the store: either complete, or not there.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import tempfile
import zlib
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, BinaryIO

import numpy as np

from tfft.errors import WorkdirError
from tfft.storage.array_file import note_use, read_about, release, write_about
from tfft.storage.atomic_write import explained, temporary_folder
from tfft.storage.cache_store import Store

Arrays = dict[str, np.ndarray]
PLACE = "the environment: TFFT_STORE, TMPDIR"
CHECKED = 2**26  # bytes that are read at a time to verify a file


class ArrayWriter:
    """Appends rows to the arrays of a folder.

    Args:
      folder: An empty folder.
    """

    def __init__(self, folder: pathlib.Path):
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._about: dict[str, dict[str, Any]] = {}

    def append(self, name: str, rows: np.ndarray) -> None:
        """Adds rows [n ...] to an array; all rows of an array have one shape and type.

        Raises:
          WorkdirError: They cannot be written.
        """
        rows = np.ascontiguousarray(rows)
        if name not in self._files:
            file = f"{len(self._files)}.bin"
            with explained(self._folder / file, PLACE):
                self._files[name] = open(self._folder / file, "wb")  # noqa: SIM115
            shape = [0, *rows.shape[1:]]
            self._about[name] = {"file": file, "shape": shape, "dtype": rows.dtype.name, "crc32": 0}
        about = self._about[name]
        assert (about["shape"][1:], about["dtype"]) == ([*rows.shape[1:]], rows.dtype.name), name
        if rows.size:
            content = rows.reshape(-1).view(np.uint8).data
            with explained(self._folder / about["file"], PLACE):
                self._files[name].write(content)
            about["crc32"] = zlib.crc32(content, about["crc32"])
        about["shape"][0] += len(rows)

    def close(self) -> dict[str, dict[str, Any]]:
        """Writes all to the disk; returns `file`, `shape`, `dtype` and `crc32` of each array."""
        for file in self._files.values():
            with explained(file.name, PLACE), file:
                file.flush()
                os.fsync(file.fileno())
        return self._about


def open_arrays(folder: pathlib.Path, about: Mapping[str, Mapping[str, Any]]) -> Arrays:
    """Returns the arrays of a folder as read-only memory maps; empty ones as plain arrays."""
    found = {}
    for name, each in about.items():
        shape, dtype = tuple(each["shape"]), np.dtype(each["dtype"])
        size = int(np.prod(shape, dtype=np.int64))
        found[name] = (
            np.memmap(folder / each["file"], dtype, "r", shape=shape)
            if size
            else np.empty(shape, dtype)
        )
    return found


def find_arrays(store: Store, kind: str, key: Mapping[str, Any]) -> tuple[Arrays, Any] | None:
    """Returns the arrays of an entry and its `content`; None if it is not there.

    A damaged entry is removed, with a warning.
    """
    path = store.path(kind, key)
    if not store.has(path):
        return None
    about = read_about(path, key)
    try:
        arrays = open_arrays(path, about["arrays"]) if about else {}
        damaged = about is None or any(
            _checksum(array) != about["arrays"][name]["crc32"] for name, array in arrays.items()
        )
    except (OSError, AttributeError, KeyError, ValueError, TypeError):
        damaged = True
    if damaged or about is None:
        store.discard(path)
        return None
    note_use(path)
    return arrays, about["content"]


def write_arrays(
    store: Store,
    kind: str,
    key: Mapping[str, Any] | None,
    title: str,
    fill: Callable[[ArrayWriter], Any],
) -> tuple[Arrays, Any]:
    """Returns the arrays that `fill` writes, and the JSON-able content that it returns.

    Args:
      store: Keeps them, if it has room. Without room the files are temporary, with a warning.
      kind: Of the entry.
      key: Of the entry; None for temporary files.
      title: Of the entry, for `tfft store`.
      fill: Appends to a writer.
    """
    path = store.path(kind, key or {"process": os.getpid(), "title": title})
    try:
        with store.new_folder(path) as folder:
            content, about = _filled(folder, fill)
            if key is not None and _has_room(store, title, about):
                texts = {"kind": kind, "title": title, "tfft": metadata.version("tfft")}
                described = {**texts, "arrays": about, "content": content, "key": dict(key)}
                write_about(folder, described)
                return open_arrays(folder, about), content
            arrays = open_arrays(folder, about)
            shutil.rmtree(folder)  # the maps keep the files' content until they are closed
            return arrays, content
    except WorkdirError as error:
        store.say.warn(
            f"{title}: not kept for other runs, written to {tempfile.gettempdir()}: {error.problem}"
        )
    with temporary_folder("tfft-arrays-") as room:
        content, about = _filled(pathlib.Path(room), fill)
        return open_arrays(pathlib.Path(room), about), content


def _filled(folder: pathlib.Path, fill: Callable[[ArrayWriter], Any]) -> tuple[Any, Any]:
    writer = ArrayWriter(folder)
    try:
        content = fill(writer)
    finally:
        about = writer.close()
    return content, about


def _has_room(store: Store, title: str, about: Mapping[str, Mapping[str, Any]]) -> bool:
    """Makes room in the store; returns False, with a warning, if there is not enough."""
    sizes = (np.prod([np.dtype(a["dtype"]).itemsize, *a["shape"]]) for a in about.values())
    try:
        store.make_room(int(sum(sizes)))
    except WorkdirError as error:
        store.say.warn(f"{title}: not kept for other runs: {error.problem}")
        return False
    return True


def _checksum(array: np.ndarray) -> int:
    """Returns the checksum of an array, read in parts whose memory is given back."""
    flat, found = array.reshape(-1).view(np.uint8), 0
    for begin in range(0, len(flat), CHECKED):
        found = zlib.crc32(flat[begin : begin + CHECKED].data, found)
        release(array)
    return found
