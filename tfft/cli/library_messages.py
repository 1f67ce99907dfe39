"""Warnings and log lines of other packages, kept off the terminal of the command.

Only the command does this: in Python, warnings stay as the caller has set them.
"""

from __future__ import annotations

import contextlib
import logging
import pathlib
import sysconfig
import warnings
from collections.abc import Iterator
from typing import Any, TextIO

from tfft.config.catalog import PACKAGE
from tfft.reports.printable import printable

# What a person has to know of a warning, by its class; the others are for -v alone.
SENTENCES = {
    "ConvergenceWarning": "a baseline of the report, a linear model, did not converge: its metrics "
    "may be lower than what it can reach",
}
LOGGERS = ("", "absl", "tensorflow")


@contextlib.contextmanager
def routed(console: Any, verbose: bool) -> Iterator[None]:
    """Shows warnings of a person's own modules in one line, those of libraries not at all.

    Args:
      console: Gets the lines.
      verbose: Shows everything, as Python does.
    """
    if verbose:
        before = warnings.formatwarning
        warnings.formatwarning = lambda *parts, **more: printable(before(*parts, **more))
        try:
            yield
        finally:
            warnings.formatwarning = before
        return
    shown: set[str] = set()

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = SENTENCES.get(category.__name__)
        if text is None and not _is_installed(filename):
            text = f"{message} ({filename}:{lineno})"
        if text and text not in shown:
            shown.add(text)
            console.warn(text)

    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        warnings.showwarning = show
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _is_installed(filename: str) -> bool:
    """Returns True for a file of Python, of an installed package or of this one."""
    path = pathlib.Path(filename)
    folders = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    known = [PACKAGE, *map(pathlib.Path, filter(None, folders))]
    if not path.is_absolute() or {"site-packages", "dist-packages"} & {*path.parts}:
        return True  # "<string>", "<frozen ...>", "sys"
    return any(path.is_relative_to(folder) for folder in known)
