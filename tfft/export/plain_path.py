"""Folders under a name that TensorFlow can read."""

from __future__ import annotations

import contextlib
import os
import pathlib
from collections.abc import Iterator

from tfft.storage.atomic_write import temporary_folder


@contextlib.contextmanager
def plain_path(folder: pathlib.Path) -> Iterator[str]:
    """Yields a path of a folder that holds letters and digits alone.

    TensorFlow takes brackets and stars in a path for a pattern, and reads no name that is not
    UTF-8. The path is a link to the folder and is removed in the end.
    """
    with temporary_folder("tfft-") as room:
        link = os.path.join(room, "export")
        os.symlink(os.path.abspath(folder), link, target_is_directory=True)
        yield link
