"""Where a config finds what it names: other configs, and a person's own modules."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Sequence

from tfft.config.bindings import Binding, Composition, Origin
from tfft.errors import ConfigError, near

MAX_BYTES = 2**18  # of a config
STATEMENT = re.compile(r"(include|import|from)\s|[A-Za-z_][\w./]*\s*=(?!=)")
# Parameters of sources and backbones that are paths, or names for which a path may stand.
PATHS = ("data", "validation", "test", "data_dir", "preset", "run", "weights")


def packaged() -> pathlib.Path:
    """Returns the folder of the packaged configs: in the wheel, or at the top of a checkout."""
    here = pathlib.Path(__file__).parents[1]
    return here / "configs" if (here / "configs").is_dir() else here.parent / "configs"


def find_config(name: str, folder: pathlib.Path, origin: Origin | None) -> pathlib.Path:
    """Returns the config of that name beside `folder`'s files or among the packaged ones."""
    where = str(origin) if origin else f"--gin_file={name}"
    for place in (folder / name, packaged() / name):
        try:
            if place.is_file():
                return place
            exists = place.exists()
        except (OSError, ValueError) as error:
            raise _unreadable(name, error, where) from error
        if exists and name:
            kind = "a folder" if place.is_dir() else "no regular file"
            own = sorted(path.name for path in place.glob("*.gin")) if place.is_dir() else []
            raise ConfigError(
                f"{name} is {kind}, not a gin config.",
                set_in=where,
                valid=" or ".join(f"{name.rstrip('/')}/{each}" for each in own[:5])
                or "the path of a .gin file",
                see="tfft list",
            )
    shipped = [str(path.relative_to(packaged())) for path in packaged().rglob("*.gin")]
    beside = [path.name for path in folder.glob("*.gin")]
    raise ConfigError(
        f"there is no config {name!r}.",
        set_in=where,
        valid=near(name, [*shipped, *beside]),
        see="tfft list",
    )


def read_config(path: pathlib.Path, origin: Origin | None) -> str:
    """Returns the text of a gin config; no error quotes a file that is something else.

    Args:
      path: Of the file.
      origin: The line that includes it, None if a flag names it.

    Raises:
      ConfigError: Its name does not end in `.gin`, it is too large, it is not text in UTF-8, or it
        may not be read.
    """
    name = shown(path)
    where = str(origin) if origin else f"--gin_file={name}"
    if path.suffix != ".gin":
        raise ConfigError(
            f"{name} is not a gin config: its name does not end in .gin.",
            set_in=where,
            valid="a file such as run.gin",
            see="tfft list",
        )
    try:
        size, content = path.stat().st_size, b""
        if size <= MAX_BYTES:
            content = path.read_bytes()
    except OSError as error:
        raise _unreadable(name, error, where) from error
    if size > MAX_BYTES:
        raise ConfigError(
            f"{name} is not a gin config: it has {size:,} bytes.",
            set_in=where,
            valid=f"at most {MAX_BYTES:,} bytes",
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            "the config is not UTF-8.", set_in=f"{name}:{line}", valid="a text in UTF-8"
        ) from error


def _unreadable(name: str, error: OSError | ValueError, where: str) -> ConfigError:
    reason = getattr(error, "strerror", None) or error
    return ConfigError(
        f"the config {name!r} cannot be read: {reason}.",
        set_in=where,
        valid="a .gin file that you may read",
        see="tfft list",
    )


def is_gin(text: str) -> bool:
    """Returns True if the first line that says something looks like a statement of gin."""
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    return bool(STATEMENT.match(next(lines, "")))


def shown(path: pathlib.Path) -> str:
    """Returns the path as a person would type it from here."""
    path, here = path.resolve(), pathlib.Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def flags_of(files: Sequence[str], modules: Iterable[str]) -> str:
    """Returns the flags that name configs, and the modules that they import."""
    flags = [f"--gin_file={file}" for file in files] or ["--gin_file=FILE"]
    allowed = ",".join(dict.fromkeys(modules))
    return " ".join([*flags, *([f"--allow_imports={allowed}"] if allowed else [])])


def relocated(
    composition: Composition, bindings: Sequence[Binding], folder: pathlib.Path
) -> tuple[list[Binding], list[str]]:
    """Returns bindings with paths from another folder, and a note for each such path.

    Of sources and backbones only, and of a person's own classes what looks like a path: relative
    ones that exist in `folder` and not in the current folder.

    Args:
      composition: of the bindings.
      bindings: all of them.
      folder: absolute.
    """
    moved: dict[int, str] = {}  # by the binding that holds the path
    notes = []
    for binding in composition.bindings.values():
        target = composition.configurables.get(binding.name)
        origin = composition.source_of(binding)
        value = origin.value
        if target is None or not isinstance(value, str) or not value or id(origin) in moved:
            continue
        named = target.kind in ("source", "backbone") and binding.parameter in PATHS
        if not named and not (target.module and "/" in value):
            continue
        place = pathlib.Path(value).expanduser()
        if place.is_absolute() or place.exists() or not (folder / place).exists():
            continue
        moved[id(origin)] = str(folder / place)
        notes.append(f"{value} stands for {folder / place}, from where the run was trained")
    return [
        dataclasses.replace(each, value=moved.get(id(each), each.value)) for each in bindings
    ], notes
