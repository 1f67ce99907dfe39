"""The config that a command line names: of its files, or of the folder of a run."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping
from typing import Any

from tfft.cli.flags import Options
from tfft.config import load
from tfft.errors import ConfigError, WorkdirError
from tfft.reports.console import Console
from tfft.runs.trackers import is_local
from tfft.storage import manifest
from tfft.storage.workdir import Workdir


def required_path(options: Options, flag: str, example: str) -> str:
    value = getattr(options.flags, flag)
    if not value:
        raise ConfigError(f"--{flag} is missing.", valid=f"--{flag}={example}", see="tfft")
    refuse_path(value, f"--{flag}")
    return value


def refuse_path(value: str, where: str) -> None:
    """Refuses a path that cannot be; who reads one that is missing says so."""
    try:
        os.lstat(value)
    except (FileNotFoundError, NotADirectoryError):
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise WorkdirError(
            f"{value[:200]!r} cannot be a path: {reason}.", set_in=where, valid="another path"
        ) from error


def config_of_flags(options: Options, say: Console, strict: bool = True) -> load.Config:
    if not options.flags.gin_file:
        raise ConfigError(
            "--gin_file is missing.", valid="--gin_file=quick/text.gin", see="tfft list"
        )
    found = load.load(
        options.flags.gin_file,
        options.overrides,
        seed=options.flags.seed,
        strict=strict,
        allow=options.flags.allow_imports,
        trust_data=options.flags.trust_data,
    )
    _refuse_remote(found)
    for note in found.notes:
        say.info(note)
    return found


def _refuse_remote(found: load.Config) -> None:
    """Refuses a file that has a run send its texts and metrics to another machine.

    Raises:
      ConfigError: `train.mlflow` is an address elsewhere, and no flag sets it.
    """
    uri, binding = found.value("train.mlflow"), found.composition.bindings.get("train.mlflow")
    origin = found.composition.source_of(binding).origin if binding else None
    if origin and origin.line and isinstance(uri, str) and not is_local(uri):
        raise ConfigError(
            f"train.mlflow = {uri!r} is an address outside this machine, which would get the "
            "config, metrics and texts of the run.",
            set_in=str(origin),
            valid=f"a folder; or the address on the command line: --gin.train.mlflow={uri}",
        )


def config_of_run(workdir: str, options: Options, say: Console) -> load.Config:
    """Returns the config of a run.

    Paths in it that do not exist in the current folder are those of the folder that the run was
    trained in.
    """
    path = pathlib.Path(workdir) / "config.gin"
    if not os.path.isfile(path):  # False for an impossible name too, where pathlib raises
        raise WorkdirError(
            f"{workdir} holds no run.",
            set_in=f"--workdir={workdir}",
            valid="the folder of a run, with its config.gin",
            see=f"tfft train --gin_file=quick/text.gin --gin.DATA=FILE --workdir={workdir}",
        )
    runs = sorted(path.parent.name for path in pathlib.Path(workdir).glob("*/config.gin"))
    if runs and not (pathlib.Path(workdir) / "best").is_dir():
        raise WorkdirError(
            f"{workdir} holds a plan of {len(runs)} runs.",
            set_in=f"--workdir={workdir}",
            valid=", ".join(f"--workdir={pathlib.Path(workdir) / name}" for name in runs[:10]),
            see=f"tfft compare {workdir}",
        )
    files = Workdir(path.parent)
    manifest.check_config(files)
    folder = _trained_in(files.read_json("run.json") or {})
    allowed = {"allow": options.flags.allow_imports, "trust_data": options.flags.trust_data}
    found = load.load([str(path)], **allowed, folder=folder)
    for note in found.notes:
        say.info(note)
    return found


def _trained_in(content: Mapping[str, Any]) -> pathlib.Path | None:
    """Returns the folder that a run was trained in, None if it is this one or is not known."""
    try:
        found = pathlib.Path(content["folder"])
        return found if found.is_dir() and not found.samefile(pathlib.Path.cwd()) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # what is damaged is refused where it is needed


def is_export(workdir: str) -> bool:
    """Says whether a folder is an export, or holds numbered ones, and no run."""
    folder = pathlib.Path(workdir)
    if os.path.exists(folder / "config.gin") or not os.path.isdir(folder):
        return False
    versions = [path for path in folder.iterdir() if path.name.isdigit()]
    files = ("saved_model.pb", "tfft.json")  # one of which may be damaged
    return any((path / name).is_file() for path in (folder, *versions) for name in files)
