"""The versions of the formats that are written to disk, and the refusal of other ones."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

from tfft.errors import ExportError, WorkdirError

KEY = "format"  # of a JSON object that states its version; version 0.1.0 stated none
WORKDIR = 3  # of a run's folder, in its run.json
EXPORT = 3  # of an export, in its tfft.json


def check_workdir(content: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Refuses a run's folder that another version of tfft has written.

    Args:
      content: of its run.json.
      folder: for the message.

    Raises:
      WorkdirError: its format is another one.
    """
    found = content.get(KEY, 1)
    if found != WORKDIR:
        raise WorkdirError(
            f"{folder} has workdir format {found!r}; this version of tfft reads format {WORKDIR}.",
            set_in=str(folder / "run.json"),
            valid=f"{_writer(found, WORKDIR)}; or train the run again in another folder",
        )


def check_export(content: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Refuses an export that another version of tfft has written.

    Args:
      content: of its tfft.json.
      folder: for the message.

    Raises:
      ExportError: its format is another one.
    """
    found = content.get(KEY, 1)
    if found != EXPORT:
        raise ExportError(
            f"{folder} has export format {found!r}; this version of tfft reads format {EXPORT}.",
            set_in=str(folder / "tfft.json"),
            valid=f"{_writer(found, EXPORT)}; TensorFlow Serving and tf.saved_model.load read "
            "every format",
        )


def _writer(found: Any, own: int) -> str:
    older = isinstance(found, int) and found < own
    return "the earlier tfft that wrote it" if older else "the newer tfft that wrote it"
