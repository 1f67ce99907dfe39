"""A run's folder: one owner at a time, every file whole or absent, and where to resume."""

from __future__ import annotations

import contextlib
import difflib
import errno
import json
import math
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from tfft.errors import WorkdirError
from tfft.storage.atomic_write import explained, write_atomic
from tfft.storage.format_versions import check_workdir
from tfft.storage.locks import holder, is_held, open_lock, try_lock

KEPT_CHECKPOINTS = 2
LOCK = ".lock"
CHECKPOINT = re.compile(r"step-\d{9,}\.safetensors")  # what else is beside them stays
BEST = "best/weights.safetensors"
DIGEST = re.compile(r"[0-9a-f]{64}")


class Workdir:
    """A folder that holds one run.

    `open` must be entered before anything is written: it takes the lock, which the system gives
    back when the process ends in whatever way, and refuses a folder that holds another run.

    Attributes:
      watchers: called with the records of all epochs whenever they are written.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._lock: int | None = None
        self.watchers: list[Callable[[list[dict[str, Any]]], None]] = []

    @contextlib.contextmanager
    def open(self, identity: dict[str, Any]) -> Iterator[Workdir]:
        """Holds the folder for the run that `identity` describes.

        Args:
          identity: JSON-able; the same values mean the same run: config, data, weights, seed.

        Raises:
          WorkdirError: another process holds the folder, or it holds another run.
        """
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with open_lock(self.path / LOCK) as lock:
            if not try_lock(lock):
                raise self._in_use(lock)
            self._refuse_other_run(identity)
            self._lock = lock
            try:
                yield self
            finally:
                try:
                    self.finish()
                finally:
                    self._end_thread()
                    self._lock = None

    def check(self, identity: dict[str, Any]) -> None:
        """Raises what `open` would raise, and writes nothing.

        Args:
          identity: As for `open`.

        Raises:
          WorkdirError: The folder cannot be written, another process holds it, or it holds another
            run.
        """
        with explained(self.path):
            above = self.path
            while not above.exists():
                above = above.parent
            if not above.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(above, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        if os.path.lexists(self.path / LOCK):
            with open_lock(self.path / LOCK, create=False) as lock:
                if not try_lock(lock, shared=True):
                    raise self._in_use(lock)
        return self._refuse_other_run(identity)

    def _in_use(self, lock: int) -> WorkdirError:
        return WorkdirError(
            f"another process is running in {self.path}{holder(lock)}.",
            set_in="--workdir",
            valid=f"wait for it, stop it, or choose another folder; if it is no tfft, remove "
            f"{self.path / LOCK}",
        )

    def _refuse_other_run(self, identity: dict[str, Any]) -> None:
        found = self.read_json("run.json")
        if found is None:
            return
        check_workdir(found, self.path)
        if not isinstance(found.get("identity"), dict):
            raise self._unreadable("run.json", "it names no run")
        if found["identity"] == identity:
            return
        raise WorkdirError(
            f"{self.path} holds another run.\n{_difference(found['identity'], identity)}",
            set_in="--workdir",
            valid="the run's own config and data, or another folder",
            see=f"tfft show --gin_file={self.path / 'config.gin'}",
        )

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Returns the content of a JSON file of this folder, None when there is none.

        Raises:
          WorkdirError: it cannot be read, or is no object.
        """
        try:
            found = json.loads((self.path / name).read_text("utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise self._unreadable(name, str(error)) from error
        if not isinstance(found, dict):
            raise self._unreadable(name, "it is no object")
        return found

    def _unreadable(self, name: str, reason: str) -> WorkdirError:
        path = self.path / name
        return WorkdirError(
            f"{path} is not readable JSON: {reason}.",
            set_in=str(path),
            valid="the file that the run wrote; without it, the command that trained the run "
            "writes it again",
        )

    def write(self, name: str, content: bytes | str) -> None:
        """Writes a file of this folder so that no reader sees half of it.

        Raises:
          WorkdirError: The file cannot be written, or the folder was removed or replaced since
            `open`.
        """
        if self._lock is not None and not is_held(self._lock, self.path / LOCK):
            raise WorkdirError(
                f"{self.path} was removed or replaced while this run works: {name} is not written.",
                set_in="--workdir",
                valid="the same command again: it begins anew; and a folder that stays",
            )
        write_atomic(self.path / name, content)

    def later(self, write: Callable[[], None]) -> None:
        """Calls `write` in the background, once the call before it has ended.

        Raises:
          WorkdirError: the call before it failed.
        """
        self.finish()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "tfft-workdir")
        self._writing = self._thread.submit(write)

    def _end_thread(self) -> None:
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.shutdown()

    def finish(self) -> None:
        """Waits until all is written.

        Raises:
          WorkdirError: it could not be.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def write_json(self, name: str, value: Any) -> None:
        text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False)
        self.write(name, text + "\n")

    def write_records(self, records: list[dict[str, Any]]) -> None:
        """Writes metrics.jsonl, one object an epoch; null for a number that is not finite."""
        lines = [json.dumps(_with_null(record), allow_nan=False) + "\n" for record in records]
        self.write("metrics.jsonl", "".join(lines))
        for watch in self.watchers:
            watch(records)

    def save(self, name: str, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
        """Writes named arrays and the JSON-able `state` that belongs to them as one file."""
        contiguous = {key: np.asarray(value, order="C") for key, value in arrays.items()}
        self.write(name, save(contiguous, metadata={"state": json.dumps(state)}))

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Returns what `save` wrote.

        Raises:
          WorkdirError: the file is missing or damaged.
        """
        path = self.path / name
        if not path.is_file():
            begun = ": training was stopped before its first evaluation" * bool(self.checkpoints())
            raise WorkdirError(
                f"{path} is missing: this folder holds no trained weights{begun}.",
                set_in="--workdir",
                valid="the command that trained the run: it continues" if begun else None,
                see=f"tfft train --gin_file=FILE --workdir={self.path if begun else 'FOLDER'}",
            )
        try:
            return load_file(path), _state(path)
        except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
            raise WorkdirError(
                f"{path} is damaged: {error}.",
                set_in=str(path),
                valid="the file that the run wrote, or the command that trained it, in another "
                "folder",
            ) from error

    def checkpoints(self) -> list[str]:
        """Returns the names of the checkpoints, the newest first."""
        found = (self.path / "checkpoints").glob("step-*.safetensors")
        own = (path for path in found if CHECKPOINT.fullmatch(path.name))
        return sorted((f"checkpoints/{path.name}" for path in own), reverse=True)

    def save_checkpoint(
        self, step: int, arrays: dict[str, np.ndarray], state: dict[str, Any]
    ) -> None:
        """Writes a checkpoint, then removes all but the newest two."""
        self.save(f"checkpoints/step-{step:09d}.safetensors", arrays, state)
        for name in self.checkpoints()[KEPT_CHECKPOINTS:]:
            (self.path / name).unlink()

    def newest_state(self) -> dict[str, Any] | None:
        """Returns the state of the newest whole checkpoint, None if there is none."""
        for name in self.checkpoints():
            with contextlib.suppress(OSError, SafetensorError, ValueError, KeyError, TypeError):
                return _state(self.path / name)
        return None

    def newest_checkpoint(self, warn: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Returns the newest checkpoint that is whole; `warn` gets a line for each damaged one."""
        for name in self.checkpoints():
            try:
                return self.load(name)
            except WorkdirError as error:
                warn(f"{error.problem} The one before it is used.")
        return None


def _with_null(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record with None for floats that JSON cannot hold."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }


def _state(path: pathlib.Path) -> dict[str, Any]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return json.loads(file.metadata()["state"])


def _difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Returns the lines in which two identities differ, a config's as a unified diff."""
    lines: list[str] = []
    for key in sorted(found.keys() | wanted.keys()):
        old, new = str(found.get(key)), str(wanted.get(key))
        if old == new:
            continue
        if "\n" in old + new:
            changed = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
            lines += [f"  {key} differs:", *(f"    {line}" for line in list(changed)[2:])]
        elif DIGEST.fullmatch(old) and DIGEST.fullmatch(new):
            lines.append(f"  the {key} are others than those of that run")
        else:
            lines.append(f"  {key}: there {old}, now {new}")
    return "\n".join(lines)
