"""Locks on files that the system releases when their process ends in whatever way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pathlib
import pwd
import stat
from collections.abc import Iterator

from tfft.errors import WorkdirError
from tfft.storage.atomic_write import explained

_descriptors: set[int] = set()  # of `open_lock`


def _close_in_child() -> None:
    """Closes the locks in a forked child, which would hold them after its parent has ended."""
    for lock in _descriptors:
        os.close(lock)
    _descriptors.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextlib.contextmanager
def open_lock(path: pathlib.Path, create: bool = True) -> Iterator[int]:
    """Yields the descriptor of a lock file, for `fcntl.flock`.

    The file has mode 600: everybody who can open a file can hold a lock on it.

    Args:
      path: The file; a symbolic link is not followed.
      create: Whether to make the file if it is missing.

    Raises:
      WorkdirError: The path is a symbolic link or no regular file, or cannot be opened.
    """
    flags = (os.O_RDWR | os.O_CREAT) if create else os.O_RDONLY
    with explained(path):
        try:
            lock = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):
                raise _not_regular(path) from error
            raise
    _descriptors.add(lock)
    try:
        found = os.fstat(lock)
        if not stat.S_ISREG(found.st_mode):
            raise _not_regular(path)
        if create and found.st_uid == os.geteuid() and found.st_nlink == 1:
            os.fchmod(lock, 0o600)  # that of an earlier version can be opened by all
        yield lock
    finally:
        if lock in _descriptors:
            _descriptors.remove(lock)
            with contextlib.suppress(OSError):  # also of a child that has not closed it yet
                fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)


def require_held(lock: int, path: pathlib.Path) -> None:
    """Raises a WorkdirError if a path does not name the file of a lock any more."""
    try:
        held = os.path.samestat(os.fstat(lock), os.lstat(path))
    except OSError:
        held = False
    if not held:
        raise WorkdirError(
            f"{path.parent} was removed or replaced while this run works; it writes nothing more.",
            set_in="--workdir",
            valid="a folder that stays, and the same command: it begins anew",
        )


def in_use(path: pathlib.Path, lock: int) -> WorkdirError:
    """Returns the error about a folder whose lock another process holds."""
    return WorkdirError(
        f"another process is running in {path.parent}{_holder(lock)}.",
        set_in="--workdir",
        valid="wait for it, stop it, or choose another folder; if that process is not tfft, "
        f"remove {path}",
    )


def _holder(lock: int) -> str:
    """Returns which process holds a lock: " (process 12 of user ann)", or "" if unknown."""
    found = os.fstat(lock)
    place = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
    with contextlib.suppress(OSError, IndexError):
        for line in pathlib.Path("/proc/locks").read_text().splitlines():
            words = line.split()
            if words[1] == "FLOCK" and words[5] == place:
                return f" (process {words[4]}{_user(words[4])})"
    return ""


def try_lock(lock: int, shared: bool = False) -> bool:
    """Returns True once a lock is held; False if another process holds it."""
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _user(process: str) -> str:
    try:
        number = os.stat(f"/proc/{process}").st_uid
    except OSError:
        return ""
    try:
        return f" of user {pwd.getpwuid(number).pw_name}"
    except KeyError:  # as in containers
        return f" of user {number}"


def _not_regular(path: pathlib.Path) -> WorkdirError:
    return WorkdirError(
        f"{path} is a symbolic link or no regular file: nothing can be locked with it.",
        set_in=str(path),
        valid="the folder without this file, which tfft makes again",
    )
