"""Folders of files that are not complete yet. What killed processes leave of them is removed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator

from tfft.storage.atomic_write import explained
from tfft.storage.locks import try_lock


@contextlib.contextmanager
def unfinished_folder(
    parent: pathlib.Path, prefix: str, set_in: str = "--workdir"
) -> Iterator[pathlib.Path]:
    """Yields a new folder, and removes it at the end if it was not renamed.

    Folders of the same prefix that a killed process has left there are removed first.

    Args:
      parent: The folder that it is made in.
      prefix: Of its name; begins with a dot, and nobody else uses it.
      set_in: Where the place of `parent` is set.

    Raises:
      WorkdirError: It cannot be made.
    """

    def make() -> pathlib.Path:
        folder = parent / f"{prefix}{secrets.token_hex(4)}"
        with explained(parent, set_in):
            folder.mkdir()
        return folder

    remove_abandoned(parent.glob(f"{prefix}????????"))
    with held(make) as folder:
        yield folder


@contextlib.contextmanager
def held(make: Callable[[], pathlib.Path]) -> Iterator[pathlib.Path]:
    """Yields the folder that a function makes, locked; removes it at the end if it is there."""
    folder, lock = make(), -1
    try:
        while lock < 0:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            taken = False  # by another process, for an abandoned one
            with contextlib.suppress(OSError):  # file systems without locks
                taken = not try_lock(lock)
            if taken or not folder.exists():
                os.close(lock)
                folder, lock = make(), -1
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock >= 0:
            os.close(lock)


def remove_abandoned(folders: Iterable[pathlib.Path]) -> None:
    """Removes those of some folders of `held` whose process has ended."""
    for folder in folders:
        with contextlib.suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                if try_lock(lock):
                    shutil.rmtree(folder)
            finally:
                os.close(lock)
