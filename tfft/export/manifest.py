"""The file tfft.json of an export: what it is, and a checksum of each of its files.

It is written last and verified before anything of the export is loaded. TensorFlow itself has
checksums of the weights alone, not of the graph, the vocabulary in it, and the names of labels.
"""

from __future__ import annotations

import json
import os
import pathlib
import stat
from collections.abc import Mapping
from typing import Any

from tfft.errors import ExportError
from tfft.storage.atomic_write import write_atomic
from tfft.storage.checksums import DamageError, seal, unseal
from tfft.storage.foreign_files import file_digest, parse_json, read_regular
from tfft.storage.format_versions import check_export

NAME = "tfft.json"
MODEL = "saved_model.pb"
FILES = "files"
UNREAD = "assets.extra"  # requests with which TensorFlow Serving warms up; no loader reads them
MOST_BYTES = 64 * 2**20  # of a tfft.json, which holds the names of labels
AGAIN = "tfft export --workdir=FOLDER"


def write(version: pathlib.Path, card: Mapping[str, Any]) -> None:
    """Writes the tfft.json of an export whose other files are complete.

    Args:
      version: the folder of the export.
      card: JSON-able, without NaN.
    """
    files = {
        name: {"bytes": (version / name).stat().st_size, "sha256": file_digest(version / name)}
        for name in _names(version)
    }
    content = seal({**card, FILES: files}, None)
    write_atomic(version / NAME, json.dumps(content, indent=1, ensure_ascii=False))


def read(version: pathlib.Path) -> dict[str, Any]:
    """Returns the content of an export's tfft.json: `task`, `inputs`, `backbone`, and more.

    Raises:
      ExportError: it is missing, damaged or of another format.
    """
    path = version / NAME
    try:
        content = parse_json(read_regular(path, MOST_BYTES))
        json.dumps(content, ensure_ascii=False).encode()  # half of a pair of surrogates is no text
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise damaged(path, f"cannot be read: {reason}") from error
    if not isinstance(content, dict) or "task" not in content:
        raise damaged(path, "is not what tfft export writes")
    check_export(content, version)
    try:
        card = unseal(content)[0]
    except DamageError as error:
        raise damaged(path, f"is damaged: {error}") from error
    if not _is_card(card):
        raise damaged(path, "is not what tfft export writes")
    return card


def verify(version: pathlib.Path, card: Mapping[str, Any]) -> None:
    """Compares each file of an export with its checksum.

    Args:
      version: the folder of the export.
      card: the content of its tfft.json.

    Raises:
      ExportError: a file is missing, damaged, or none of those that the export was made of.
    """
    names = _names(version)
    for name in sorted(names - card[FILES].keys()):
        raise ExportError(
            f"{version / name} is no file of this export.",
            set_in=str(version),
            valid=f"the files that tfft.json lists, and what TensorFlow Serving reads in {UNREAD}/",
            see=AGAIN,
        )
    for name, expected in card[FILES].items():
        path = version / name
        if name not in names:
            raise damaged(path, "is a folder" if path.is_dir() else "is missing")
        try:
            state = path.stat()
            if not stat.S_ISREG(state.st_mode) or state.st_size != expected["bytes"]:
                raise damaged(path, f"is damaged: it is no file of {expected['bytes']:,} bytes")
            if file_digest(path) != expected["sha256"]:
                raise damaged(path, "is damaged: its content does not match its checksum")
        except OSError as error:
            raise damaged(path, f"cannot be read: {error.strerror}") from error


def damaged(path: pathlib.Path, problem: str) -> ExportError:
    """Returns the error of a file of an export."""
    return ExportError(
        f"{path} {problem}.",
        set_in=str(path),
        valid="the files as tfft export wrote them",
        see=AGAIN,
    )


def _is_card(card: Mapping[str, Any]) -> bool:
    task, inputs, files = (card.get(key) for key in ("task", "inputs", FILES))
    return (
        isinstance(task, dict)
        and isinstance(task.get("task"), str)
        and isinstance(inputs, list)
        and all(isinstance(name, str) for name in inputs)
        and isinstance(files, dict)
        and all(isinstance(each, dict) for each in files.values())
        and all(isinstance(each.get("sha256"), str) for each in files.values())
        and all(isinstance(each.get("bytes"), int) for each in files.values())
        and MODEL in files
    )


def _names(version: pathlib.Path) -> set[str]:
    """Returns the files below a folder, by their path in it; those that no loader reads apart."""
    found = set()
    for folder, folders, files in os.walk(version):
        at_top = folder == str(version)
        folders[:] = [each for each in folders if not (at_top and each == UNREAD)]
        folders[:] = [each for each in folders if not each.startswith(".")]  # .git and the like
        inside = (os.path.relpath(os.path.join(folder, name), version) for name in files)
        found |= {name.replace(os.sep, "/") for name in inside if name != NAME}
    return {name for name in found if not name.rpartition("/")[2].startswith(".")}
