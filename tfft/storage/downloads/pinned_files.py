"""Fetched files compared with their pinned hashes, once for each state of a file."""

from __future__ import annotations

import contextlib
import json
import pathlib
from collections.abc import Mapping

from tfft.errors import WorkdirError
from tfft.storage.atomic_write import write_atomic
from tfft.storage.foreign_files import file_digest

NAME = ".verified.json"  # beside the folders of the items


def damaged_files(folder: pathlib.Path, hashes: Mapping[str, str]) -> list[str]:
    """Returns the names of files whose content is not the pinned one.

    A file is read again when its size or its time has changed since it was compared. Where that
    cannot be remembered, as in a folder that may not be written, it is read each time.

    Args:
      folder: of the item, in the folder of all items.
      hashes: SHA-256 in hex by the name of a file.

    Raises:
      OSError: a file cannot be read.
    """
    memory = folder.parent / NAME
    known = _read(memory)
    states = {}
    for name, expected in hashes.items():
        state = (folder / name).stat()
        states[f"{folder.name}/{name}"] = [state.st_size, state.st_mtime_ns, expected]
    unknown = [key for key, state in states.items() if known.get(key) != state]
    names = [key.partition("/")[2] for key in unknown]
    damaged = [name for name in names if file_digest(folder / name) != hashes[name]]
    if unknown and not damaged:
        with contextlib.suppress(WorkdirError):
            write_atomic(memory, json.dumps({**_read(memory), **states}, indent=1))
    return damaged


def _read(memory: pathlib.Path) -> dict[str, object]:
    """Returns the states of files that were compared, none if they cannot be read."""
    try:
        found = json.loads(memory.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
