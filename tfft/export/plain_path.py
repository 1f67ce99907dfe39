"""Folders under a name that TensorFlow can read."""

from __future__ import annotations

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def plain_path(folder: pathlib.Path) -> Iterator[str]:
    """Yields a path of a folder that holds letters and digits alone.

    TensorFlow takes brackets and stars in a path for a pattern, and reads no name that is not
    UTF-8. The path is a link to the folder and is removed in the end.
    """
    with tempfile.TemporaryDirectory(prefix="tfft-") as room:
        link = os.path.join(room, "export")
        os.symlink(os.path.abspath(folder), link, target_is_directory=True)
        yield link
