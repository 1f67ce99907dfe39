"""The metrics of each epoch for TensorBoard."""

from __future__ import annotations

import contextlib
import pathlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import tensorflow as tf


class TensorBoard:
    """Writes numbers by step. Where they cannot be written it warns once, and training goes on.

    Args:
      folder: Of the event files.
      warn: Gets the warning.
    """

    def __init__(self, folder: pathlib.Path, warn: Callable[[str], None]):
        self._folder, self._warn = folder, warn
        self._writer: Any = None
        with self._tolerated():
            self._writer = tf.summary.create_file_writer(str(folder))

    def write(self, record: Mapping[str, Any]) -> None:
        """Writes the floats of an epoch's record."""
        if self._writer is None:
            return
        with self._tolerated(), self._writer.as_default(record["step"]):
            for name, value in record.items():
                if isinstance(value, float):
                    tf.summary.scalar(name, value)
            self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        if self._writer is not None:
            with self._tolerated():
                self._writer.close()

    @contextlib.contextmanager
    def _tolerated(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            self._writer = None
            text = re.sub(r"\{\{function_node .*?\}\} ?", "", str(error))
            reason = text.strip().partition("\n")[0][:300]
            self._warn(
                f"TensorBoard's log cannot be written in {self._folder}, training goes on without "
                f"it: {reason}"
            )
