"""manifest.json, written last: it marks a run as complete and lists the checksums of its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfft.errors import WorkdirError
from tfft.storage import checksums
from tfft.storage.workdir import BEST, Workdir

MANIFEST = "manifest.json"
UNFINISHED = "the training of this run never finished: the best weights so far are used"
PAGES = frozenset({"report.html", "report.md", "metrics.jsonl"})  # follow from report.json
FILES = (
    *("config.gin", "held_out.json", BEST, "best/decision.json", "outputs.safetensors"),
    *("report.json", *sorted(PAGES)),
)


def write(files: Workdir, names: Iterable[str] = FILES) -> None:
    """Marks a run as complete.

    Args:
      files: the run's folder.
      names: of the files that belong to it; those that do not exist are left out.
    """
    there = [name for name in names if (files.path / name).exists()]
    try:
        found = {name: checksums.verified(files.path / name) for name in there}
    except checksums.DamageError as error:
        raise WorkdirError(
            f"a file in {files.path} changed while the run ended: {error}.",
            valid="the same command once more, while nothing else writes into the folder",
        ) from error
    files.write_json(MANIFEST, {"files": found})


def remove(files: Workdir) -> None:
    """Marks a run as not complete, before its files change."""
    path = files.path / MANIFEST
    if path.is_file():
        path.unlink()


def listed(files: Workdir) -> Mapping[str, str] | None:
    """Returns the checksums by file name; None for a run that is not complete.

    Raises:
      WorkdirError: the manifest is damaged, or belongs to another run.
    """
    content = files.read_json(MANIFEST)
    if content is None:
        return None
    found = content.get("files")
    if not isinstance(found, dict) or not all(isinstance(each, str) for each in found.values()):
        raise files.damaged(MANIFEST, "it lists no files")
    return found


def changed(files: Workdir) -> list[str] | None:
    """Returns the names of files that are not as the run ended; None if it is not complete.

    All files are read.
    """
    try:
        found = listed(files)
    except WorkdirError:
        return [MANIFEST]
    return None if found is None else [n for n, each in found.items() if not _same(files, n, each)]


def _same(files: Workdir, name: str, checksum: str) -> bool:
    try:
        return checksums.verified(files.path / name) == checksum
    except checksums.DamageError:
        return False


def require(files: Workdir, unfinished: bool, warn: Any) -> bool:
    """Makes `files` compare what it reads with the manifest; returns True for a complete run.

    Args:
      files: the run's folder.
      unfinished: whether a run that is not complete is used, with a warning.
      warn: gets the warning; None where the caller cannot use such a run.

    Raises:
      WorkdirError: the run is not complete and `unfinished` is False, or its manifest is damaged.
    """
    found = listed(files)
    if found is not None:
        files.listed = found
        return True
    if not any((files.path / name).exists() for name in (BEST, "report.json")):
        files.load(BEST)  # raises the error about it
    if not unfinished:
        also = "; or --unfinished, to use the best weights so far" if warn else ""
        raise WorkdirError(
            f"the training of the run in {files.path} never finished: it has no {MANIFEST}.",
            set_in="--workdir",
            valid=f"the command that trained the run: it continues{also}",
            see=f"tfft train --gin_file=FILE --workdir={files.path}",
        )
    warn(UNFINISHED)
    return False


def check_config(files: Workdir) -> None:
    """Raises a WorkdirError if config.gin is not the config that run.json describes."""
    run: Any = files.read_json("run.json") or {}
    path = files.path / "config.gin"
    try:
        same = not run or path.read_bytes().decode() == run["identity"].get("config")
    except (OSError, ValueError) as error:
        raise files.damaged("config.gin", str(error)) from error
    if not same:
        raise files.damaged("config.gin", "it is not the config of the run in run.json")
