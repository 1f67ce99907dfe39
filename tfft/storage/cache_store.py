"""What is computed once and kept on disk: token ids, and the outputs of frozen layers.

An entry is a folder named by the hash of its key. `key.json` says in words what it is, `values.bin`
holds its rows, and `parts.jsonl` is a journal with a checksum for each stretch of rows that is
complete. A line is added only when its rows are on the disk; so whatever a killed run leaves is
either usable or noticed.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import functools
import hashlib
import json
import math
import os
import pathlib
import re
import shutil
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

import psutil

from tfft.errors import UserError, WorkdirError, near
from tfft.storage.array_file import (
    Entry,
    file_state,
    is_free,
    note_use,
    read_about,
    read_journal,
    stated_key,
    to_dtype,
    values_size,
    write_about,
    writing,
)
from tfft.storage.downloads.fetch import cache_dir
from tfft.storage.unfinished_folders import held, remove_abandoned

LIMIT_GIB, LARGEST_GIB = 20.0, 2.0**30
# The names of all that the store makes in its folder; nothing else in it is ever removed.
ENTRY = re.compile(r"(tokens|features|index)-[0-9a-f]{16}")
UNFINISHED = re.compile(rf"\.{ENTRY.pattern}-\d+-\d+")
# Marks the folder as the store's own, and as a cache for programs that make backups: the first line
# is that of the Cache Directory Tagging Specification.
TAG = "CACHEDIR.TAG"
UNFINISHED_TAG = re.compile(rf"\.{re.escape(TAG)}-\d+-\d+")
TAG_TEXT = (
    "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# tfft store: token ids and features that tfft computed and may remove.\n"
)


def store_dir() -> pathlib.Path:
    """Returns the folder of the store: $TFFT_STORE, or `store` beside the fetched items."""
    given = os.environ.get("TFFT_STORE")
    return pathlib.Path(given).expanduser() if given else cache_dir() / "store"


def _variable() -> str:
    """Returns the environment variable that sets the store's folder."""
    return "TFFT_STORE" if os.environ.get("TFFT_STORE") else "TFFT_HOME"


def limit_bytes() -> int:
    """Returns the most that the store may hold: $TFFT_STORE_GB, 20 GiB when it is not set.

    Raises:
      UserError: it is no number, or none that a disk can have.
    """
    given, size = os.environ.get("TFFT_STORE_GB", str(LIMIT_GIB)), math.nan
    with contextlib.suppress(ValueError):
        size = float(given)
    if not 0 <= size <= LARGEST_GIB:
        raise UserError(
            f"TFFT_STORE_GB={given[:80]} is no size.",
            valid="a number of GiB in the environment, such as 20",
        )
    return int(size * 2**30)


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
        self._verified: dict[pathlib.Path, tuple[Any, Entry]] = {}

    def path(self, kind: str, key: Mapping[str, Any]) -> pathlib.Path:
        """Returns the folder of an entry; any change of the key is another folder."""
        text = json.dumps(key, sort_keys=True)
        return self.folder / f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def find(self, kind: str, key: Mapping[str, Any]) -> Entry | None:
        """Returns an entry that is there, complete or not; its rows are verified when they changed.

        An entry that cannot be read at all is removed, which is said.
        """
        path = self.path(kind, key)
        if not self.has(path):
            self._log_other_format(key)
            return None
        about, values, journal = read_about(path, key), path / "values.bin", path / "parts.jsonl"
        readable = values.is_file() and (journal.is_file() or not journal.exists())
        if about is None or not readable or values.stat().st_size != values_size(about):
            self.discard(path)
            return None
        note_use(path)
        state = file_state(path)
        if path not in self._verified or self._verified[path][0] != state:
            self._verified[path] = state, Entry(path, about, self.say.warn)
        return self._verified[path][1]

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
        about = {
            "kind": kind,
            "title": title,
            "tfft": metadata.version("tfft"),
            "shape": list(map(int, shape)),
            "dtype": to_dtype(dtype).name,
            "key": dict(key),
        }
        size = values_size(about)
        self.make_room(size)
        with self.new_folder(path) as aside:
            with open(aside / "values.bin", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
            write_about(aside, about)
        return Entry(path, about, self.say.warn)

    def save(self, kind: str, key: Mapping[str, Any], content: bytes, title: str) -> None:
        """Keeps bytes as an entry that is complete from the start."""
        path = self.path(kind, key)
        self.make_room(len(content))
        with self.new_folder(path) as aside:
            (aside / "content").write_bytes(content)
            about = {
                "kind": kind,
                "title": title,
                "tfft": metadata.version("tfft"),
                "crc32": zlib.crc32(content),
                "key": dict(key),
            }
            write_about(aside, about)

    def load(self, kind: str, key: Mapping[str, Any]) -> bytes | None:
        """Returns what `save` kept; None when it is not there or damaged, which is said."""
        path = self.path(kind, key)
        if not self.has(path):
            self._log_other_format(key)
            return None
        about, file = read_about(path, key), path / "content"
        content = file.read_bytes() if file.is_file() else None
        if about is None or content is None or zlib.crc32(content) != about.get("crc32"):
            self.discard(path)
            return None
        note_use(path)
        return content

    @functools.cached_property
    def _keys(self) -> dict[str, dict[str, Any]]:
        """The keys of the entries that are there at first, by name."""
        return {path.name: stated_key(path) for path in self._own(ENTRY)}

    def _log_other_format(self, key: Mapping[str, Any]) -> None:
        """Logs, once, that an entry is there in the format of another version of tfft."""
        own = json.loads(json.dumps(key))
        for name, other in list(self._keys.items()):
            found = other.get("format")
            if found != own.get("format") and other == {**own, "format": found}:
                del self._keys[name]
                self.say.info(
                    f"{name} has cache format {found}; this version of tfft reads format "
                    f"{own['format']}: it is computed again"
                )

    def make_room(self, size: int) -> None:
        """Removes the entries that were not used for longest until `size` bytes fit.

        Raises:
          WorkdirError: they fit in no way.
        """
        if size > self.limit:
            raise WorkdirError(
                f"{told(size)} do not fit into the store's limit of {told(self.limit)}.",
                set_in="the environment: TFFT_STORE_GB",
                valid='a higher limit, or FeatureCache.where = "memory" or "off"',
                see="tfft store",
            )
        self._sweep()
        kept = self.entries()
        total = sum(entry.size for entry in kept)
        for entry in sorted(kept, key=lambda entry: entry.used):
            if total + size > self.limit and is_free(self.folder / entry.name):
                self.say.info(f"store: {entry.name} removed ({told(entry.size)}), to make room")
                self.remove(self.folder / entry.name)
                total -= 0 if (self.folder / entry.name).exists() else entry.size
        if total + size > self.limit:
            raise WorkdirError(
                f"{told(size)} do not fit into the store beside what other processes compute "
                f"({told(total)} of {told(self.limit)}).",
                set_in="the environment: TFFT_STORE_GB",
                valid='a higher limit, or FeatureCache.where = "memory" or "off"',
                see="tfft store",
            )

    def entries(self) -> list[Kept]:
        """Returns all entries, the last used first."""
        found = []
        for path in self._own(ENTRY):
            about = read_about(path)
            done = sum(part["end"] - part["begin"] for part in read_journal(path)[0])
            whole = about is not None and ("shape" not in about or done >= about["shape"][0])
            about = about or {"title": "damaged"}
            there = path / "key.json"
            used = (there if there.exists() else path).stat().st_mtime
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
            if not is_free(self.folder / name):
                raise UserError(
                    f"a process is computing {name}.", valid="stop it, or wait for it first"
                )
        for name in wanted:
            self.remove(self.folder / name)
            with writing(self.folder):
                if (self.folder / name).exists():
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        self._sweep()
        return sum(kept[name].size for name in wanted)

    def free_disk(self) -> int:
        """Returns the free bytes of the disk that the folder is on, or will be on."""
        folder = self.folder
        while not folder.exists():
            folder = folder.parent
        return psutil.disk_usage(str(folder)).free

    def remove(self, path: pathlib.Path) -> None:
        """Removes an entry's folder; of a link the link alone."""
        self._verified.pop(path, None)
        with contextlib.suppress(OSError):
            path.unlink() if path.is_symlink() or path.is_file() else shutil.rmtree(path)

    def discard(self, path: pathlib.Path) -> None:
        """Removes a damaged entry, with a warning."""
        self.say.warn(f"{path.name} is damaged and is computed again")
        self.remove(path)

    def has(self, path: pathlib.Path) -> bool:
        """Returns True if an entry's folder exists in a folder that is the store's."""
        self._check_owner()
        if path.is_file() and not path.is_symlink():
            self.discard(path)
        return path.is_dir()

    def _own(self, names: re.Pattern[str]) -> list[pathlib.Path]:
        """Returns the store's own folders whose names match, links left out."""
        self._check_owner()
        found = self.folder.iterdir() if self.folder.is_dir() else ()
        own = (path for path in found if names.fullmatch(path.name))
        return sorted(path for path in own if path.is_dir() and not path.is_symlink())

    def _check_owner(self) -> None:
        """Refuses a folder that holds what the store has not made.

        A folder is the store's if its tag says so, or if nothing else than entries is in it, as in
        an empty folder and in one of version 0.1.0, which wrote no tag.

        Raises:
          WorkdirError: The folder belongs to somebody else, or cannot be read.
        """
        try:
            if not self.folder.exists() or (self.folder / TAG).read_text() == TAG_TEXT:
                return
        except (OSError, UnicodeDecodeError):
            pass  # no tag, or the tag of another program
        with writing(self.folder):
            names = sorted(path.name for path in self.folder.iterdir())
        known = (ENTRY, UNFINISHED, UNFINISHED_TAG)
        other = [name for name in names if not any(each.fullmatch(name) for each in known)]
        if other:
            raise WorkdirError(
                f"{self.folder} holds files that tfft did not write, such as {other[0]!r}; the "
                "store removes old entries, so it needs a folder of its own.",
                set_in=f"the environment: {_variable()}",
                valid=f"TFFT_STORE={self.folder / 'tfft-store'}, or another folder that does not "
                "exist or is empty",
                see="tfft store",
            )

    def _claim(self) -> None:
        """Makes the folder, with its tag."""
        self._check_owner()
        self.folder.mkdir(parents=True, exist_ok=True)
        if not (self.folder / TAG).exists():
            aside = self.folder / f".{TAG}-{os.getpid()}-{time.monotonic_ns()}"
            aside.write_text(TAG_TEXT)
            with contextlib.suppress(FileNotFoundError):  # another process has made the tag
                aside.rename(self.folder / TAG)

    def _sweep(self) -> None:
        """Removes what a process left that was killed while it made an entry or the tag."""
        remove_abandoned(self._own(UNFINISHED))
        if (self.folder / TAG).exists():
            for path in self.folder.glob(f".{TAG}-*"):
                with contextlib.suppress(OSError):
                    path.unlink() if UNFINISHED_TAG.fullmatch(path.name) else None

    @contextlib.contextmanager
    def new_folder(self, path: pathlib.Path) -> Iterator[pathlib.Path]:
        """Makes a folder under another name first, so that no entry is ever half made."""

        def make() -> pathlib.Path:
            aside = self.folder / f".{path.name}-{os.getpid()}-{time.monotonic_ns()}"
            aside.mkdir()
            return aside

        with writing(self.folder):
            self._claim()
            with held(make) as aside:
                yield aside
                try:
                    aside.rename(path)
                except OSError:  # another process was first, or removed the folder
                    if aside.is_dir() and not path.is_dir():
                        raise


def told(size: float) -> str:
    """Returns a number of bytes for a person."""
    for unit, most in (("KiB", 2**20), ("MiB", 2**30)):
        if size < most:
            return f"{size / most * 1024:,.1f} {unit}"
    return f"{size / 2**30:,.1f} GiB"


def _size(path: pathlib.Path) -> int:
    return sum(file.stat().st_size for file in path.iterdir() if file.is_file())
