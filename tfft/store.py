"""What is computed once and kept on disk: token ids, and the outputs of frozen layers.

An entry is a folder named by the hash of its key. `key.json` says in words what it is, `values.bin`
holds its rows, and `parts.jsonl` is a journal with a checksum for each stretch of rows that is
complete. A line is added only when its rows are on the disk; so whatever a killed run leaves is
either usable or noticed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfft.errors import UserError, WorkdirError, near
from tfft.fetch import cache_dir

LIMIT_GIB = 20.0


def store_dir() -> pathlib.Path:
    """Returns the folder of the store: $TFFT_STORE, or `store` beside the fetched items."""
    return pathlib.Path(os.environ.get("TFFT_STORE") or cache_dir() / "store")


def limit_bytes() -> int:
    """Returns the most that the store may hold: $TFFT_STORE_GIB, 20 GiB when it is not set.

    Raises:
      UserError: it is no number.
    """
    given = os.environ.get("TFFT_STORE_GIB", str(LIMIT_GIB))
    try:
        return int(float(given) * 2**30)
    except ValueError:
        raise UserError(
            f"TFFT_STORE_GIB={given} is no size.", set_in="the environment", valid="such as 20"
        ) from None


@dataclasses.dataclass(frozen=True)
class Kept:
    """An entry as `tfft store` lists it.

    Attributes:
      name: of its folder.
      about: the content of key.json.
      size: bytes on disk.
      used: when it was last used, in seconds since 1970.
      complete: whether all its rows are there.
    """

    name: str
    about: dict[str, Any]
    size: int
    used: float
    complete: bool


class Entry:
    """One array [rows, ...] of the store, written in parts in any order.

    Args:
      path: its folder.
      about: what key.json says; `shape` and `dtype` among it.
      warn: gets a line for each part that is damaged.
    """

    def __init__(self, path: pathlib.Path, about: Mapping[str, Any], warn: Any):
        self.path, self.about = path, about
        self.shape, self.dtype = tuple(about["shape"]), _dtype(about["dtype"])
        self._warn = warn
        self.parts: dict[int, dict[str, Any]] = {}
        self.values = np.memmap(path / "values.bin", self.dtype, "r", shape=self.shape)
        self.verify()

    @property
    def complete(self) -> bool:
        return self.shape[0] == sum(part["end"] - part["begin"] for part in self.parts.values())

    def verify(self) -> None:
        """Reads the journal and the rows that it names; what does not agree counts as missing."""
        self.parts = {}
        broken = 0
        for part in _journal(self.path):
            begin, end = part["begin"], part["end"]
            if zlib.crc32(_bytes(self.values[begin:end])) == part["crc32"]:
                self.parts[begin] = part
            elif begin not in self.parts:
                broken += 1
        self.release()
        if broken:
            self._warn(f"{self.path.name}: {broken} parts are damaged and are computed again")

    def has(self, begin: int, end: int) -> bool:
        """Says whether the rows from `begin` to before `end` are there."""
        return begin in self.parts and self.parts[begin]["end"] == end

    def write(self, begin: int, rows: np.ndarray, **measured: float) -> None:
        """Writes rows and, once they are on the disk, their line of the journal."""
        rows = np.ascontiguousarray(rows, self.dtype)
        content = _bytes(rows)
        with open(self.path / "values.bin", "r+b") as file:
            file.seek(begin * int(np.prod(self.shape[1:], dtype=int)) * self.dtype.itemsize)
            file.write(content)
            file.flush()
            os.fdatasync(file.fileno())
        part = {"begin": begin, "end": begin + len(rows), "crc32": zlib.crc32(content), **measured}
        # A torn line before this one must not swallow it.
        with open(self.path / "parts.jsonl", "a") as file:
            file.write("\n" + json.dumps(part) + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.parts[begin] = part

    def release(self) -> None:
        """Gives back the memory of what was read; the rows stay where they are."""
        release(self.values)

    @contextlib.contextmanager
    def filling(self, say: Any) -> Iterator[None]:
        """Keeps other processes from writing the same entry; waits for one that does."""
        with open(self.path / ".lock", "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another process computes {self.path.name}: waiting for it")
                fcntl.flock(lock, fcntl.LOCK_EX)
                self.verify()
            yield


def release(values: np.ndarray) -> None:
    """Gives back the memory of a mapped file's pages; does nothing to an array in memory."""
    mapped = getattr(values, "_mmap", None)
    if mapped is not None:
        import mmap

        mapped.madvise(mmap.MADV_DONTNEED)


class Store:
    """All entries, below a limit of bytes.

    Args:
      folder: where they are.
      limit: the most bytes it may hold.
      say: the console.
    """

    def __init__(self, say: Any, folder: pathlib.Path | None = None, limit: int | None = None):
        self.say = say
        self.folder = folder or store_dir()
        self.limit = limit_bytes() if limit is None else limit

    def path(self, kind: str, key: Mapping[str, Any]) -> pathlib.Path:
        """Returns the folder of an entry; any change of the key is another folder."""
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def find(self, kind: str, key: Mapping[str, Any]) -> Entry | None:
        """Returns an entry that is there, complete or not."""
        path = self.path(kind, key)
        about = _about(path)
        if about is None or not (path / "values.bin").exists():
            return None
        os.utime(path / "key.json")
        return Entry(path, about, self.say.warn)

    def open(
        self, kind: str, key: Mapping[str, Any], shape: Sequence[int], dtype: Any, title: str
    ) -> Entry:
        """Returns an entry, made with room for all its rows when it is not there.

        Raises:
          WorkdirError: the limit or the disk has no room for it, or the folder is not writable.
        """
        found = self.find(kind, key)
        if found is not None:
            return found
        path = self.path(kind, key)
        size = max(1, int(np.prod(shape, dtype=int)) * _dtype(dtype).itemsize)
        self.make_room(size)
        about = {
            "kind": kind,
            "title": title,
            "shape": list(map(int, shape)),
            "dtype": _dtype(dtype).name,
            "key": dict(key),
        }
        with self._made(path) as aside:
            with open(aside / "values.bin", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            (aside / "key.json").write_text(json.dumps(about, indent=1))
        return Entry(path, about, self.say.warn)

    def save(self, kind: str, key: Mapping[str, Any], content: bytes, title: str) -> None:
        """Keeps bytes as an entry that is complete from the start."""
        path = self.path(kind, key)
        self.make_room(len(content))
        with self._made(path) as aside:
            (aside / "content").write_bytes(content)
            about = {"kind": kind, "title": title, "crc32": zlib.crc32(content), "key": dict(key)}
            (aside / "key.json").write_text(json.dumps(about, indent=1))

    def load(self, kind: str, key: Mapping[str, Any]) -> bytes | None:
        """Returns what `save` kept; None when it is not there or damaged, which is said."""
        path = self.path(kind, key)
        about = _about(path)
        if about is None:
            return None
        content = (path / "content").read_bytes() if (path / "content").exists() else b""
        if zlib.crc32(content) != about.get("crc32"):
            self.say.warn(f"{path.name} is damaged and is computed again")
            shutil.rmtree(path, ignore_errors=True)
            return None
        os.utime(path / "key.json")
        return content

    def make_room(self, size: int) -> None:
        """Removes the entries that were not used for longest until `size` bytes fit.

        Raises:
          WorkdirError: they fit in no way.
        """
        if size > self.limit:
            raise WorkdirError(
                f"{told(size)} do not fit into the store's limit of {told(self.limit)}.",
                set_in="the environment: TFFT_STORE_GIB",
                valid='a higher limit, or features="memory" or "off"',
                see="tfft store",
            )
        kept = self.entries()
        total = sum(entry.size for entry in kept)
        for entry in sorted(kept, key=lambda entry: entry.used):
            if total + size <= self.limit:
                return
            if _is_free(self.folder / entry.name):
                self.say.info(f"store: {entry.name} removed ({told(entry.size)}), to make room")
                shutil.rmtree(self.folder / entry.name, ignore_errors=True)
                total -= entry.size

    def entries(self) -> list[Kept]:
        """Returns all entries, the last used first."""
        found = []
        for path in self.folder.glob("*-*") if self.folder.is_dir() else ():
            about = _about(path)
            if about is None or path.name.startswith("."):
                continue
            done = sum(part["end"] - part["begin"] for part in _journal(path))
            used = (path / "key.json").stat().st_mtime
            whole = "shape" not in about or done >= about["shape"][0]
            found.append(Kept(path.name, about, _size(path), used, whole))
        return sorted(found, key=lambda entry: -entry.used)

    def clear(self, names: Iterable[str] = ()) -> int:
        """Removes entries by name, all of them when none is named; returns the bytes freed.

        Raises:
          UserError: there is no such entry, or a process is writing it.
        """
        kept = {entry.name: entry for entry in self.entries()}
        wanted = list(names) or list(kept)
        for name in wanted:
            if name not in kept:
                raise UserError(
                    f"the store has no entry {name!r}.",
                    valid=near(name, kept) if kept else "nothing: it is empty",
                    see="tfft store",
                )
            if not _is_free(self.folder / name):
                raise UserError(
                    f"a process is computing {name}.", valid="stop it, or wait for it first"
                )
        for name in wanted:
            shutil.rmtree(self.folder / name)
        return sum(kept[name].size for name in wanted)

    @contextlib.contextmanager
    def _made(self, path: pathlib.Path) -> Iterator[pathlib.Path]:
        """Makes a folder under another name first, so that no entry is ever half made."""
        aside = self.folder / f".{path.name}-{os.getpid()}-{time.monotonic_ns()}"
        try:
            aside.mkdir(parents=True)
            yield aside
            with contextlib.suppress(OSError):  # another process was first
                aside.rename(path)
        except OSError as error:
            raise WorkdirError(
                f"the store cannot be written: {error.strerror}.",
                set_in=f"{self.folder} (TFFT_STORE)",
                valid='a folder with room that you may write to, or features="memory"',
                see="tfft store",
            ) from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)


def told(size: float) -> str:
    """Returns a number of bytes for a person."""
    for unit, most in (("KiB", 2**20), ("MiB", 2**30)):
        if size < most:
            return f"{size / most * 1024:,.1f} {unit}"
    return f"{size / 2**30:,.1f} GiB"


def _dtype(name: Any) -> np.dtype:
    if str(name) == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _bytes(rows: np.ndarray) -> Any:
    return np.ascontiguousarray(rows).reshape(-1).view(np.uint8)


def _about(path: pathlib.Path) -> dict[str, Any] | None:
    try:
        return json.loads((path / "key.json").read_text())
    except (OSError, ValueError):
        return None


def _journal(path: pathlib.Path) -> list[dict[str, Any]]:
    """Returns the journal's lines; a torn one is left out."""
    parts = []
    file = path / "parts.jsonl"
    for line in file.read_text("utf-8", "replace").splitlines() if file.exists() else ():
        with contextlib.suppress(ValueError):
            if line and {"begin", "end", "crc32"} <= set(part := json.loads(line)):
                parts.append(part)
    return list({part["begin"]: part for part in parts}.values())


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())


def _is_free(path: pathlib.Path) -> bool:
    """Says whether no process is filling an entry."""
    with open(path / ".lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True
