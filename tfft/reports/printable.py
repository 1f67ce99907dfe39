"""Text as others may see it: without control characters, and without the paths of a machine."""

from __future__ import annotations

import pathlib
import re
from typing import Any

# C0 without tab and line feed, delete, C1, marks and overrides of the direction of writing, the
# separators of lines and paragraphs, and single surrogates, which no terminal can be sent.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)
# An absolute path in a sentence, which ends before a space or a mark that no name ends with.
PATH = re.compile(r"(?<![\w.~:/-])(?:file://)?/[^\s/:,;'\"()]+(?:/[^\s/:,;'\"()]*)*")


def printable(text: str, lines: bool = True) -> str:
    r"""Returns a text with control characters written as Python writes them, such as `\x1b`.

    Args:
      text: of a label, a file's name, an error or another value that somebody else may have chosen.
      lines: whether it may have several lines and tabs.
    """
    text = CONTROL.sub(escaped, text)
    return text if lines else text.replace("\n", "\\n").replace("\t", "\\t")


def escaped(match: re.Match[str]) -> str:
    r"""Returns a character as `\x1b` or `\u202e`."""
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"


def portable_path(path: str) -> str:
    """Returns a path below the current folder as relative to it, another absolute one as a name."""
    place = pathlib.Path(path.removeprefix("file://"))
    here = pathlib.Path.cwd()
    if not place.is_absolute():
        return path
    return str(place.relative_to(here)) if place.is_relative_to(here) else place.name


def portable(value: Any, *paths: str) -> Any:
    """Returns a text, or what lists and dicts hold of texts, with `portable_path` of each path.

    Args:
      value: JSON-able.
      paths: that the texts may hold, with spaces too; others are recognized up to a space.
    """
    if isinstance(value, dict):
        return {key: portable(item, *paths) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [portable(item, *paths) for item in value]
    if not isinstance(value, str):
        return value
    for path in paths:
        if pathlib.Path(path).is_absolute() and len(pathlib.Path(path).parts) > 1:
            value = value.replace(path, portable_path(path))
    return PATH.sub(lambda match: portable_path(match[0]), value)
