"""What a path or standard input holds: one of the formats, by its name or by what a folder has."""

from __future__ import annotations

import pathlib
import sys
from collections.abc import Callable
from io import BytesIO

from tfft.errors import DataError, near
from tfft.sources._arrow import STATE, Arrow
from tfft.sources._formats import (
    STANDARD_INPUT,
    ClassFolders,
    Format,
    JsonLines,
    Lines,
    Open,
    Parquet,
    Separated,
)

SUFFIXES: dict[str, Callable[[str, Open], Format]] = {
    ".arrow": lambda where, file: Arrow(where),
    ".csv": lambda where, file: Separated(where, file, ","),
    ".jsonl": JsonLines,
    ".ndjson": JsonLines,
    ".parquet": Parquet,
    ".tsv": lambda where, file: Separated(where, file, "\t"),
    ".txt": Lines,
}


def open_format(path: str) -> Format:
    """Returns the rows of a file, a folder per class, a saved data set, or standard input ("-").

    Raises:
      DataError: there is no such file, its kind is not known, or it is broken from the start.
    """
    if path == "-":
        content = sys.stdin.buffer.read()
        begin = content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
        kind = SUFFIXES[".jsonl" if begin == b"{" else ".csv"]
        return kind(STANDARD_INPUT, lambda: BytesIO(content))
    place = pathlib.Path(path).expanduser()
    if place.is_dir():
        return Arrow(path) if (place / STATE).exists() else ClassFolders(str(place))
    if not place.exists():
        beside = [each.name for each in place.parent.glob("*")] if place.parent.is_dir() else []
        raise DataError(
            f"there is no file {path}.",
            valid=f"in {place.parent}: {near(place.name, beside)}"
            if place.parent.is_dir()
            else f"a path that exists; there is no folder {place.parent} either",
        )
    if place.suffix.lower() not in SUFFIXES:
        raise DataError(
            f"{path}: a file that ends in {place.suffix or 'nothing'!r} is not read.",
            valid=f"{', '.join(sorted(SUFFIXES))}, or a folder for each class; - is standard input",
        )
    try:
        return SUFFIXES[place.suffix.lower()](path, lambda: place.open("rb"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error
