"""Checksums that the files of a run carry: SHA-256 of their content and of the run they belong to.

Each file is replaced atomically and verifies itself, so a process may be killed between any two.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from tfft.storage.foreign_files import file_digest

INTEGRITY = "integrity"  # the key of JSON objects
Arrays = dict[str, np.ndarray]


class DamageError(ValueError):
    """A file whose content is not what was written."""


def digest(content: Any) -> str:
    """Returns the SHA-256 of a JSON-able value, whatever the order of keys."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def seal(content: Mapping[str, Any], run: str | None) -> dict[str, Any]:
    """Returns a JSON object with its checksum.

    Args:
      content: JSON-able, without NaN.
      run: the id of the run that the object belongs to.

    Raises:
      ValueError: a number is not finite.
    """
    plain = json.loads(json.dumps(content, allow_nan=False))  # keys and tuples as they are read
    return {**plain, INTEGRITY: {"run": run, "sha256": digest([run, plain])}}


def unseal(content: Mapping[str, Any]) -> tuple[dict[str, Any], str | None, str]:
    """Returns the content of a sealed object, the id of its run, and its checksum.

    Raises:
      DamageError: the content has changed.
    """
    plain = {key: value for key, value in content.items() if key != INTEGRITY}
    found = content.get(INTEGRITY)
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), str):
        raise DamageError("it has no checksum")
    run = found.get("run")
    if found["sha256"] != digest([run, plain]):
        raise DamageError("its content does not match its checksum")
    return plain, run, found["sha256"]


def arrays_digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Returns the SHA-256 of named arrays: their names, types, shapes and bits."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        found.update(json.dumps([name, array.dtype.name, arrays[name].shape]).encode())
        found.update(array.reshape(-1).view(np.uint8).data)
    return found.hexdigest()


def to_safetensors(
    arrays: Mapping[str, np.ndarray], state: Any, run: str | None
) -> tuple[bytes, str]:
    """Returns the content of a safetensors file with its checksums, and that of its arrays.

    Args:
      arrays: by name.
      state: JSON-able.
      run: the id of the run that the file belongs to.
    """
    contiguous = {key: np.asarray(value, order="C") for key, value in arrays.items()}
    parts = {"run": run or "", "arrays": arrays_digest(contiguous), "state": json.dumps(state)}
    return save(contiguous, metadata={**parts, "sha256": digest(parts)}), parts["arrays"]


def read_metadata(path: pathlib.Path) -> dict[str, str]:
    """Returns the metadata of a safetensors file: `run`, `arrays`, `state` and `sha256`.

    `arrays` is the `arrays_digest` that the file was written with; the arrays are not read.

    Raises:
      DamageError: the file cannot be read, or its metadata have changed.
    """
    try:
        with safe_open(path, "numpy") as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise DamageError(_reason(error)) from error
    parts = {key: value for key, value in found.items() if key != "sha256"}
    if found.get("sha256") != digest(parts) or parts.keys() != {"run", "arrays", "state"}:
        raise DamageError("its header does not match its checksum")
    return found


def read_safetensors(path: pathlib.Path) -> tuple[Arrays, dict[str, str]]:
    """Returns the arrays and the metadata of a file that `to_safetensors` made.

    Raises:
      DamageError: its content has changed, or it cannot be read.
    """
    found = read_metadata(path)
    try:
        arrays = load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamageError(_reason(error)) from error
    if arrays_digest(arrays) != found["arrays"]:
        raise DamageError("its arrays do not match their checksum")
    return arrays, found


def verified(path: pathlib.Path) -> str:
    """Returns the checksum of a file of a run, compared with its content if the file states it.

    Raises:
      DamageError: the file is missing, or its content has changed.
    """
    if path.suffix == ".safetensors":
        return read_safetensors(path)[1]["sha256"]
    try:
        if path.suffix != ".json":
            return file_digest(path)
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamageError(_reason(error)) from error
    if not isinstance(content, dict):
        raise DamageError("it is not a JSON object")
    return unseal(content)[2]


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
