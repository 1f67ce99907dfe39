"""Writes files so that no reader sees half of one, and leaves devices and links what they are."""

from __future__ import annotations

import contextlib
import errno
import os
import pathlib
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator

from tfft.errors import WorkdirError

STREAMS = {"/dev/stdin": 0, "/dev/stdout": 1, "/dev/stderr": 2}
DESCRIPTOR = re.compile(r"/(?:dev|proc/(?:self|thread-self))/fd/(\d+)")
MAX_LINKS = 40  # as Linux


# What helps against an error of the system, by its number; for the others another folder does.
REMEDIES = {
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT),
        "free some space (or inodes: df -i), then run the same command: it continues",
    ),
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "a higher limit (ulimit -n), then the same command: it continues",
    ),
    errno.EFBIG: "a higher limit (ulimit -f), then the same command: it continues",
    errno.EIO: "another disk: this one reports an error of its own",
    errno.ENOLCK: "a folder on a file system that has locks",
}
FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
}


@contextlib.contextmanager
def explained(
    path: str | os.PathLike[str],
    set_in: str = "--workdir or --output",
    valid: str = "a folder that you may write to",
) -> Iterator[None]:
    """Turns an error of the system, such as a full disk, into a `WorkdirError`.

    Args:
      path: The file or the folder that is written.
      set_in: Where the place of the folder is set.
      valid: What helps against errors that have no entry in `REMEDIES`.
    """
    try:
        yield
    except (BrokenPipeError, InterruptedError):
        raise
    except OSError as error:
        number = error.errno or 0
        remedy = REMEDIES.get(number)
        if number in FULL:
            problem = f"{FULL[number]} while writing {path}; nothing was half-written."
        else:
            problem = f"cannot write {path}: {error.strerror or error}."
        raise WorkdirError(
            problem, set_in=None if remedy else set_in, valid=remedy or valid
        ) from error
    except ValueError as error:  # a path with a null character
        raise WorkdirError(f"cannot write {str(path)!r}: {error}.", set_in=set_in) from error


def make_temporary_folder(prefix: str) -> str:
    """Makes a new folder for temporary files and returns its path.

    Raises:
      WorkdirError: There is no place for it.
    """
    with explained("a temporary folder", "the environment: TMPDIR"):
        return tempfile.mkdtemp(prefix=prefix)


@contextlib.contextmanager
def temporary_folder(prefix: str) -> Iterator[str]:
    """Yields the path of a new folder that is removed at the end.

    Raises:
      WorkdirError: There is no place for it.
    """
    room = make_temporary_folder(prefix)
    try:
        yield room
    finally:
        shutil.rmtree(room, ignore_errors=True)


def write_atomic(path: str | os.PathLike[str], content: bytes | str) -> None:
    """Writes a file so that no reader sees half of it.

    A regular file is replaced by a whole new one, with the permissions of the old one and, if the
    system allows it, its owner; of a symbolic link the file that it points to. Devices and FIFOs
    are written to as they are, and so are `/dev/stdout` and the other descriptors.

    Raises:
      WorkdirError: The disk is full, the folder may not be written, or `path` is a folder, a
        socket, a block device or a link that leads nowhere.
    """
    path = pathlib.Path(path)
    data = content.encode() if isinstance(content, str) else content
    with explained(path):
        target = _target(path)
        if isinstance(target, int):
            _write_descriptor(target, data)
        elif _is_replaced(target):
            _replace(target, data)
        else:
            with open(target, "wb") as file:
                file.write(data)


def refuse_existing(output: str, force: bool) -> None:
    """Refuses an output that exists, and one that cannot be written, before anything is computed.

    Args:
      output: A path; "-" for standard output.
      force: Whether an existing regular file is to be replaced.

    Raises:
      WorkdirError: The output is a regular file and `force` is False, or a folder, a socket, a
        block device or a link that leads nowhere.
    """
    if output == "-":
        return
    if not output:
        raise WorkdirError(
            "the output has no name.", set_in="--output", valid="a file, or - for standard output"
        )
    path = pathlib.Path(output)
    with explained(path):
        target = _target(path)
        exists = not isinstance(target, int) and _is_replaced(target) and target.exists()
    if exists and not force:
        raise WorkdirError(
            f"{output} exists.", set_in="--output", valid="another name, or --force to replace it"
        )


def _target(path: pathlib.Path) -> pathlib.Path | int:
    """Returns what a path names in the end: a file, or the number of an open descriptor.

    `/dev/stdout` must not be resolved to the file behind it, whose content it would replace.
    """
    text = str(path)
    for _ in range(MAX_LINKS):
        absolute = os.path.abspath(text)
        if absolute in STREAMS:
            return STREAMS[absolute]
        if descriptor := DESCRIPTOR.fullmatch(absolute):
            return int(descriptor[1])
        if not os.path.islink(text):
            return pathlib.Path(text)
        text = os.path.join(os.path.dirname(text), os.readlink(text))
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))


def _is_replaced(path: pathlib.Path) -> bool:
    """Returns True for a regular file and a new one, False for what is written to as it is.

    Raises:
      WorkdirError: The path is a folder, a socket or a block device.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return True
    refused = {stat.S_ISDIR: "a folder", stat.S_ISSOCK: "a socket", stat.S_ISBLK: "a disk"}
    for is_kind, kind in refused.items():
        if is_kind(mode):
            raise WorkdirError(
                f"{path} is {kind}, not a file.", set_in="--output", valid="the name of a file"
            )
    return stat.S_ISREG(mode)


def _replace(path: pathlib.Path, data: bytes) -> None:
    """Writes a new file aside, syncs it and renames it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The system applies the umask to a new file; one that takes the place of another is private
    # until it has the permissions of that one.
    mode = 0o600 if path.exists() else 0o666
    aside = path.with_name(f".{path.name[:40]}.{secrets.token_hex(4)}")
    handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _copy_owner(path, aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _copy_owner(path: pathlib.Path, aside: pathlib.Path) -> None:
    """Gives a new file the owner and the permissions of the one that it replaces, if there is one.

    A file that came in between has the permissions of the new one.
    """
    try:
        old = path.stat()
    except FileNotFoundError:
        return
    with contextlib.suppress(PermissionError):
        os.chown(aside, old.st_uid, old.st_gid)
    os.chmod(aside, stat.S_IMODE(old.st_mode))


def _write_descriptor(number: int, data: bytes) -> None:
    """Writes to an open descriptor, after what Python has written to it."""
    sys.stdout.flush()
    sys.stderr.flush()
    with open(os.dup(number), "wb") as file:
        file.write(data)
