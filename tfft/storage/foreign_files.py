"""Reading of files that other people wrote: regular files, limited sizes, JSON of limited depth."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pathlib
import stat
from collections.abc import Callable
from typing import Any

from tfft.errors import UserError

DEPTH = 100  # of lists and objects within each other
TOO_DEEP = f"lists and objects are nested more than {DEPTH} deep"
SHOWN = 200  # characters of a path in an error
_KINDS: dict[Callable[[int], bool], str] = {
    stat.S_ISFIFO: "a pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
    stat.S_ISDIR: "a folder",
}


def local_path(path: str | os.PathLike[str], error: type[UserError]) -> pathlib.Path:
    """Returns a path with the home folder in place of ~; there may be no such file.

    Args:
      path: As the user wrote it.
      error: Class of the error.

    Raises:
      UserError: No file can have this name, as it is too long, not UTF-8, or has a NUL; or its
        folder cannot be read.
    """
    name = os.fspath(path)
    try:
        name.encode()
        place = pathlib.Path(name).expanduser()
        place.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError, RuntimeError) as problem:  # RuntimeError: ~ of an unknown user
        utf8 = "its name is not UTF-8" if isinstance(problem, UnicodeError) else str(problem)
        reason = getattr(problem, "strerror", None) or utf8
        shown = ascii(name)[1:-1]
        shown = shown if len(shown) <= SHOWN else f"{shown[:SHOWN]}... ({len(name):,} characters)"
        raise error(
            f"{shown} cannot be read: {reason}.", set_in=shown, valid="the path of a file"
        ) from problem
    return place


def refuse_special(path: str | os.PathLike[str]) -> None:
    """Raises an OSError unless a path leads to a regular file.

    Reading a pipe, a socket or a device could wait or go on forever.
    """
    _refuse_special(os.stat(path).st_mode, path)


def _refuse_special(mode: int, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(mode):
        kind = next((kind for test, kind in _KINDS.items() if test(mode)), "no file")
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(number, f"it is {kind}, and only regular files are read", os.fspath(path))


def open_regular(path: str | os.PathLike[str]) -> io.BufferedReader:
    """Opens a regular file for reading.

    Raises:
      OSError: There is no such file, it cannot be read, or it is a pipe, a socket or a device.
    """
    refuse_special(path)  # before it is opened: opening a device may do something
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    _refuse_special(os.fstat(file.fileno()).st_mode, path)
    return file


def read_regular(path: str | os.PathLike[str], most: int) -> bytes:
    """Returns the content of a regular file.

    Args:
      path: Of the file.
      most: Number of bytes that it may have.

    Raises:
      OSError: As `open_regular`, or the file is larger.
    """
    with open_regular(path) as file:
        content = file.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it has more than {most:,} bytes", os.fspath(path))
    return content


def file_digest(path: str | os.PathLike[str]) -> str:
    """Returns the SHA-256 of a regular file in hex.

    Raises:
      OSError: As `open_regular`.
    """
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parse_json(text: str | bytes, most: int | None = None, **options: Any) -> Any:
    """Returns the value of a JSON text.

    Args:
      text: In UTF-8 if bytes.
      most: Number of lists and objects that it may have, about; None for any.
      options: Of `json.loads`.

    Raises:
      ValueError: It is no JSON, or lists and objects are nested too deeply or are too many.
    """
    count = text.count(b"[") + text.count(b"{") if isinstance(text, bytes) else _opened(text)
    if most is not None and count > most:
        raise ValueError(f"it has {count:,} lists and objects, and at most {most:,} are read")
    try:
        value = json.loads(text, **options)
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    if count > DEPTH:
        refuse_deep(value)
    return value


def refuse_deep(value: Any) -> None:
    """Raises a ValueError if lists and objects are nested too deeply in a value of JSON."""
    if _depth(value) > DEPTH:
        raise ValueError(TOO_DEEP)


def _opened(text: str) -> int:
    return text.count("[") + text.count("{")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level and depth <= DEPTH:
        level = [each for each in level if isinstance(each, list | dict)]
        inner = (each.values() if isinstance(each, dict) else each for each in level)
        level, depth = [each for values in inner for each in values], depth + bool(level)
    return depth
