"""Where a config finds what it names: other configs, and a person's own modules."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import re
import sys
from collections.abc import Sequence

from tfft.config.bindings import Binding, Composition, Origin
from tfft.config.catalog import PACKAGE
from tfft.errors import ConfigError, near

OWN = "tfft"  # whose modules need no leave
MAX_BYTES = 2**20  # of a config
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


def flags_of(files: Sequence[str], modules: Sequence[str]) -> str:
    """Returns the flags that name configs, and the modules that they import."""
    flags = [f"--gin_file={file}" for file in files] or ["--gin_file=FILE"]
    return " ".join([*flags, *([f"--allow_imports={','.join(modules)}"] if modules else [])])


def is_allowed(module: str, allow: Sequence[str]) -> bool:
    """Says whether a module, or a package that it is in, is one of those allowed."""
    return any(f"{module}.".startswith(f"{name}.") for name in (OWN, *allow))


def add_to_path(*folders: pathlib.Path) -> None:
    """Adds folders to the end of Python's path, in which modules are found."""
    sys.path += [str(each) for each in dict.fromkeys(folders) if str(each) not in sys.path]


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


def find_module(module: str, folder: pathlib.Path, origin: Origin) -> pathlib.Path:
    """Returns the file of a module without importing it; packages above it are imported.

    What is installed comes first, then `folder`, then the current folder; the two become part of
    Python's path, so that the module finds its neighbours.

    Raises:
      ConfigError: there is no such module, or it has no source.
    """
    if is_allowed(module, ()):  # whose packages load TensorFlow
        stem = PACKAGE.parent.joinpath(*module.split("."))
        found = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
        valid = None
    else:
        add_to_path(folder.resolve(), pathlib.Path.cwd())
        importlib.invalidate_caches()
        try:
            spec = importlib.util.find_spec(module)
        except (ModuleNotFoundError, ValueError):
            spec = None
        path = pathlib.Path(spec.origin) if spec and spec.origin else None
        found = [path] if path and path.suffix == ".py" else []
        name = module.replace(".", "/")
        valid = f"{name}.py in this folder or beside the config, or PYTHONPATH=FOLDER for another"
    if not found:
        raise ConfigError(
            f"there is no module {module}.", set_in=str(origin), valid=valid, see="tfft list"
        )
    return found[0]
