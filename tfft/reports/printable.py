"""Text as others may see it: without control characters, and without the paths of a machine."""

from __future__ import annotations

import contextlib
import os
import pathlib
import re
from collections.abc import Callable
from typing import Any

# C0 without tab and line feed, delete, C1, marks and overrides of the direction of writing, the
# separators of lines and paragraphs, and single surrogates, which no terminal can be sent.
CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069"
    "\ud800-\udfff]"
)
# An absolute path in a sentence, which ends before a space or a mark that no name ends with.
PATH = re.compile(r"(?<![\w.~:/<-])(?:file://)?/[^\s/:,;'\"()]+(?:/[^\s/:,;'\"()]*)*")


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
    if not place.is_absolute():
        return path
    with contextlib.suppress(OSError, ValueError):  # the folder was removed, or is another one
        return str(place.relative_to(pathlib.Path.cwd()))
    return place.name


def portable(value: Any, data: str | os.PathLike[str] | None = None) -> Any:
    """Returns sentences in which absolute paths are replaced, see `portable_path`.

    Args:
      value: a text, or lists and dicts that hold texts.
      data: the path of the run's data, which may have spaces; others end before a space.
    """
    value = without_folder(value, None if data is None else os.fspath(data))
    return _replaced(value, lambda text: PATH.sub(lambda found: portable_path(found[0]), text))


def without_folder(value: Any, data: str | None) -> Any:
    """Returns texts without the folder of the run's data, where these have an absolute path."""
    if not data or not pathlib.Path(data).is_absolute() or len(pathlib.Path(data).parts) < 3:
        return value
    short = portable_path(data)
    folder = data.removesuffix(short) if data.endswith(short) else f"{pathlib.Path(data).parent}/"
    return _replaced(value, lambda text: text.replace(folder, ""))


def _replaced(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _replaced(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_replaced(item, change) for item in value]
    return change(value) if isinstance(value, str) else value
