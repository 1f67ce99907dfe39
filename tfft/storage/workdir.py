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
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np

from tfft.errors import WorkdirError
from tfft.storage import checksums
from tfft.storage.atomic_write import explained, write_atomic
from tfft.storage.checksums import DamageError
from tfft.storage.format_versions import KEY, check_workdir
from tfft.storage.locks import in_use, open_lock, require_held, try_lock

KEPT_CHECKPOINTS = 2
LOCK = ".lock"
CHECKPOINT = re.compile(r"step-\d{9,}\.safetensors")  # what else is beside them stays
BEST = "best/weights.safetensors"
RUN = "run.json"
DIGEST = re.compile(r"[0-9a-f]{64}")
SURROGATE = re.compile(r"[\ud800-\udfff]")
FOLDERS = ("", "best", "checkpoints", "floors")
# Names of the files that a run writes aside before it renames them.
ASIDE = re.compile(
    r"\.(?:config\.gin|(?:run|held_out|manifest|report|diverged|mlflow|decision)\.json|"
    r"metrics\.jsonl|report\.(?:html|md)|(?:outputs|weights|frozen_features|step-\d{9,})"
    r"\.safetensors)\.[a-z0-9_]{8}"
)
AGAIN = "the command that trained the run once more: it writes the file again"


class Workdir:
    """A folder that holds one run.

    `open` must be entered before anything is written: it takes the lock, which the system gives
    back when the process ends in whatever way, and refuses a folder that holds another run.

    Attributes:
      watchers: called with the records of all epochs whenever they are written.
      listed: checksums by file name that `read_json` and `load` compare, see `manifest.require`.
    """

    def __init__(self, path: str | os.PathLike[str]):
        self.path = pathlib.Path(path)
        self.listed: Mapping[str, str] = {}
        self._run_id: str | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._writing: Future[None] | None = None
        self._lock: int | None = None
        self.watchers: list[Callable[[list[dict[str, Any]]], None]] = []

    @contextlib.contextmanager
    def open(self, identity: dict[str, Any], warn: Any = None) -> Iterator[Workdir]:
        """Holds the folder for the run that `identity` describes.

        Temporary files that a killed process of the run has left are removed.

        Args:
          identity: JSON-able; the same values mean the same run: config, data, weights, seed.
          warn: gets a line if run.json is missing beside weights of the run.

        Raises:
          WorkdirError: another process holds the folder, or it holds another run.
        """
        with explained(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
        with open_lock(self.path / LOCK) as lock:
            with explained(self.path / LOCK):  # a file system without locks
                free = try_lock(lock)
            if not free:
                raise in_use(self.path / LOCK, lock)
            self._refuse_other_run(identity, warn)
            self._run_id = checksums.digest(identity)
            self._lock = lock
            self._remove_aside()
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
                with explained(self.path / LOCK):
                    free = try_lock(lock, shared=True)
                if not free:
                    raise in_use(self.path / LOCK, lock)
        return self._refuse_other_run(identity)

    def _refuse_other_run(self, identity: dict[str, Any], warn: Any = None) -> None:
        found = self.read_json(RUN)
        if found is None:
            self._refuse_other_weights(checksums.digest(identity), warn)
        elif found["identity"] != identity:
            raise WorkdirError(
                f"{self.path} holds another run.\n{_difference(found['identity'], identity)}",
                set_in="--workdir",
                valid="the run's own config and data, or another folder",
                see=f"tfft show --gin_file={self.path / 'config.gin'}",
            )

    def _refuse_other_weights(self, run: str, warn: Any) -> None:
        """Refuses weights without a run.json that are not of the run with this id."""
        names = [name for name in (BEST, *self.checkpoints()) if (self.path / name).is_file()]
        for name in names:
            with contextlib.suppress(DamageError):
                if checksums.read_metadata(self.path / name)["run"] == run:
                    if warn is not None:
                        warn(f"{self.path / RUN} is missing: it is written again")
                    return
        if names:
            raise WorkdirError(
                f"{self.path} holds weights of another run, and no {RUN} that describes it.",
                set_in="--workdir",
                valid=f"the config, data and seed of that run, its {RUN}, or another folder",
            )

    def _remove_aside(self) -> None:
        """Removes the files that a killed process wrote aside and did not rename."""
        for folder in FOLDERS:
            for path in (self.path / folder).glob(".*"):
                if ASIDE.fullmatch(path.name) and path.is_file() and not path.is_symlink():
                    path.unlink(missing_ok=True)

    @property
    def run_id(self) -> str | None:
        """The id of the run, a hash of its identity; None for a folder without run.json."""
        if self._run_id is None and (found := self.read_json(RUN)) is not None:
            self._run_id = checksums.digest(found["identity"])
        return self._run_id

    def read_json(self, name: str) -> dict[str, Any] | None:
        """Returns the content of a JSON file that `write_json` wrote, None when there is none.

        Raises:
          WorkdirError: the file is damaged, or belongs to another run or another version of tfft.
        """
        try:
            found = json.loads((self.path / name).read_text("utf-8"))
            if not isinstance(found, dict):
                raise DamageError("it is not a JSON object")
            if name == RUN and (KEY in found or checksums.INTEGRITY not in found):
                check_workdir(found, self.path)
            content, run, checksum = checksums.unseal(found)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError, RecursionError) as error:
            raise self.damaged(name, getattr(error, "strerror", None) or str(error)) from error
        if name == RUN:
            if not isinstance(content.get("identity"), dict):
                raise self.damaged(name, "it has no identity of a run")
            self._check_run(name, run, checksums.digest(content["identity"]))
        else:
            self._check_run(name, run, self.run_id)
        self._check_listed(name, checksum)
        return content

    def _check_run(self, name: str, run: str | None, wanted: str | None) -> None:
        if run == wanted:
            return
        if wanted is None:
            raise WorkdirError(
                f"{self.path / RUN} is missing, which tells what run {name} belongs to.",
                set_in=str(self.path / RUN),
                valid=AGAIN,
            )
        raise self.damaged(name, f"it belongs to another run than {RUN}")

    def _check_listed(self, name: str, checksum: str) -> None:
        if self.listed.get(name, checksum) != checksum:
            raise self.damaged(name, "it is not the file that the run ended with")

    def damaged(self, name: str, reason: str) -> WorkdirError:
        """Returns the error about a file of the run whose content is not what the run wrote."""
        path = self.path / name
        before = "the file that the run wrote; without it, " if name == RUN else ""
        after = ", if a checkpoint holds the same weights" if name == BEST else ""
        valid = f"{before}{AGAIN}{after}"
        return WorkdirError(f"{path} is damaged: {reason}.", set_in=str(path), valid=valid)

    def write(self, name: str, content: bytes | str) -> None:
        """Writes a file of this folder so that no reader sees half of it.

        Raises:
          WorkdirError: The file cannot be written, or this folder was removed since `open`.
        """
        if self._lock is not None:
            require_held(self._lock, self.path / LOCK)
        path = self.path / name
        if path.is_dir():
            raise WorkdirError(
                f"{path} is a folder, in the place of a file of the run.",
                set_in=str(path),
                valid="the folder in another place, then the same command",
            )
        write_atomic(path, content)

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

    def write_json(self, name: str, value: Mapping[str, Any]) -> None:
        """Writes a JSON object with its checksum."""
        sealed = checksums.seal(value, self.run_id if name != RUN else _id_of(value))
        text = json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False)
        # Bytes of a path that are not UTF-8.
        text = SURROGATE.sub(lambda each: f"\\u{ord(each[0]):04x}", text)
        self.write(name, text + "\n")

    def write_records(self, records: list[dict[str, Any]]) -> None:
        """Writes metrics.jsonl, one object an epoch; null for a number that is not finite."""
        lines = [json.dumps(_with_null(record), allow_nan=False) + "\n" for record in records]
        self.write("metrics.jsonl", "".join(lines))
        for watch in self.watchers:
            watch(records)

    def save(self, name: str, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> str:
        """Writes named arrays and the JSON-able `state` that belongs to them as one file.

        Returns:
          The checksum of the arrays.
        """
        content, checksum = checksums.to_safetensors(arrays, state, self.run_id)
        self.write(name, content)
        return checksum

    def load(self, name: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Returns what `save` wrote.

        Raises:
          WorkdirError: the file is missing or damaged, or belongs to another run.
        """
        path = self.path / name
        if not path.exists():
            raise self._missing(name)
        try:
            arrays, found = checksums.read_safetensors(path)
            state = json.loads(found["state"])
        except (ValueError, RecursionError) as error:
            raise self.damaged(name, str(error)) from error
        self._check_run(name, found["run"] or None, self.run_id)
        self._check_listed(name, found["sha256"])
        return arrays, state

    def arrays_checksum(self, name: str) -> str:
        """Returns the checksum of a file's arrays that its header states.

        Raises:
          WorkdirError: the header is damaged.
        """
        try:
            return checksums.read_metadata(self.path / name)["arrays"]
        except DamageError as error:
            raise self.damaged(name, str(error)) from error

    def _missing(self, name: str) -> WorkdirError:
        path, trained = self.path / name, (self.path / RUN).exists()
        again = "the command that trained the run" if trained else None
        if name != BEST:
            return WorkdirError(f"{path} is missing.", set_in=str(path), valid=again or AGAIN)
        begun = trained and not self.listed and bool(self.checkpoints())
        why = "training was stopped before its first evaluation" if begun else ""
        return WorkdirError(
            f"{path} is missing: this folder holds no trained weights{': ' * begun}{why}.",
            set_in="--workdir",
            valid=f"{again}: it continues" if again else None,
            see=f"tfft train --gin_file=FILE --workdir={self.path if trained else 'FOLDER'}",
        )

    def checkpoints(self) -> list[str]:
        """Returns the names of the checkpoints, the newest first."""
        found = (self.path / "checkpoints").glob("step-*.safetensors")
        own = (path for path in found if CHECKPOINT.fullmatch(path.name))
        return sorted((f"checkpoints/{path.name}" for path in own), reverse=True)

    def save_checkpoint(
        self, step: int, arrays: dict[str, np.ndarray], state: dict[str, Any]
    ) -> None:
        """Writes a checkpoint, then removes those before it but the newest."""
        own = f"checkpoints/step-{step:09d}.safetensors"
        self.save(own, arrays, state)
        # Those of later steps are damaged, or the run would have continued from them.
        there = [name for name in self.checkpoints() if name <= own]
        for name in there[KEPT_CHECKPOINTS:]:
            if (self.path / name).is_file():
                (self.path / name).unlink()

    def newest_state(self) -> dict[str, Any] | None:
        """Returns the state of the newest checkpoint of the run, None if there is none."""
        for name in self.checkpoints():
            with contextlib.suppress(DamageError, ValueError):
                found = checksums.read_metadata(self.path / name)
                if found["run"] == (self.run_id or ""):
                    return json.loads(found["state"])
        return None

    def newest_checkpoint(self, warn: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
        """Returns the newest checkpoint that is whole; `warn` gets a line for each damaged one."""
        names = self.checkpoints()
        for place, name in enumerate(names, 1):
            try:
                return self.load(name)
            except WorkdirError as error:
                last = place == len(names)
                use = "No other is left." if last else "The one before it is used."
                warn(f"{error.problem} {use}")
        return None


def _id_of(run: Mapping[str, Any]) -> str:
    """Returns the id of the run that the content of a run.json describes."""
    return checksums.digest(run["identity"])


def _with_null(record: dict[str, Any]) -> dict[str, Any]:
    """Returns a record with None for floats that JSON cannot hold."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }


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
