"""Faults of the process of a command: closed streams, no current folder, no memory, a full disk."""

from __future__ import annotations

import errno
import os
import sys

from tfft.errors import ConfigError, UserError, WorkdirError
from tfft.storage.atomic_write import explained

# Errors of the system that no code of tfft can be the reason of.
SYSTEM = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ENOMEM),
    *(errno.EMFILE, errno.ENFILE, errno.EBADF, errno.ESTALE),
}


def open_standard_streams() -> None:
    """Opens closed standard streams, so that no other file gets their numbers.

    What is written to a closed standard error is lost. Results are not: writing them to a closed
    standard output is an error.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is this one. Standard output refuses what is written to it.
            os.open(os.devnull, os.O_WRONLY if name == "stderr" else os.O_RDONLY)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def check_current_folder() -> None:
    """Raises a ConfigError if the current folder does not exist any more."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise ConfigError(
            "the current folder was removed.", valid="cd to a folder that exists"
        ) from error


def flush_results() -> None:
    """Writes what standard output still holds.

    Raises:
      WorkdirError: It cannot be written.
    """
    with explained("standard output", "the shell", "a file or a program that takes it"):
        sys.stdout.flush()


def discard_results() -> None:
    """Lets standard output go nowhere: what Python flushes at its end would raise again."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def discard_results_that_fail() -> None:
    """Writes what standard output still holds, or lets it go nowhere, after an error."""
    try:
        sys.stdout.flush()
    except OSError:
        discard_results()


def explain(error: Exception) -> UserError | None:
    """Returns the message about an error that the machine is the reason of; None for others."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        reason = str(error).strip().partition("\n")[0][:300]
        return UserError(
            f"there is not enough memory{': ' * bool(reason)}{reason}.",
            valid="a smaller Stage.batch_size, sequence_length or input; or more memory",
        )
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return UserError(
            "~ stands for no folder: HOME is not set, and this user has no entry in the system.",
            set_in="the environment",
            valid="HOME=FOLDER, or paths without ~",
        )
    if isinstance(error, OSError) and error.errno in SYSTEM:
        try:
            with explained(error.filename or "a file or standard output"):
                raise error
        except WorkdirError as explanation:
            return explanation
    return None
