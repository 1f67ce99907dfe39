"""Command lines of other programs, which run nothing that lies in the current folder."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any


def python_command(*arguments: str) -> list[str]:
    """Returns a command of this Python whose module path does not begin with the current folder.

    It is `-P`, not `-I`: packages of the user's site folder and of PYTHONPATH stay importable. Run
    it in an empty folder, because PYTHONPATH may hold a relative path.
    """
    return [sys.executable, "-P", *arguments]


def find_program(name: str) -> str | None:
    """Returns the path of a program on the PATH, without the PATH's relative folders."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    absolute = [folder for folder in folders if os.path.isabs(folder)]
    return shutil.which(name, path=os.pathsep.join(absolute)) if absolute else None


def run_aside(command: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in an empty folder and captures its output as text.

    Args:
      command: Program and arguments.
      options: Further arguments of `subprocess.run`.
    """
    with tempfile.TemporaryDirectory(prefix="tfft-process-") as folder:
        return subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
            **options,
        )


def git_commit(folder: pathlib.Path) -> str | None:
    """Returns the git commit of a folder; None without a commit or without git."""
    git = find_program("git")
    if git is None:
        return None
    # A repository's own settings can name programs that git starts.
    settings = ["-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}"]
    try:
        place = str(folder.absolute())
        done = run_aside([git, *settings, "-C", place, "rev-parse", "--verify", "HEAD"])
    except OSError:  # no current folder, no room for the empty one, or git cannot be started
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
