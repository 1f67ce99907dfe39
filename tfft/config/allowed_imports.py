"""Modules that a config may import: the package's own and those that a person allows."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import sys
from collections.abc import Sequence

from tfft.config.bindings import Origin
from tfft.config.catalog import PACKAGE
from tfft.errors import ConfigError

OWN = "tfft"  # whose modules need no leave


class Allowed:
    """The modules of --allow_imports.

    Args:
      entries: names of modules and packages; or paths of a module's file or a package's folder,
        which is then the one that is taken.
    """

    def __init__(self, entries: Sequence[str]):
        self.entries = {_module_of(entry): entry for entry in entries}

    def covers(self, module: str) -> bool:
        """Returns True for an allowed module, and for one within an allowed package."""
        return any(f"{module}.".startswith(f"{name}.") for name in self.entries)

    def flag(self, module: str) -> str:
        """Returns the path that names a module's top; the module if no path names it."""
        entry = self.entries.get(module.partition(".")[0], module)
        return entry if _is_path(entry) else module

    def place(self, module: str) -> pathlib.Path | None:
        """Returns the file or the folder that was named for a module's top, None without one."""
        entry = self.flag(module)
        return pathlib.Path(entry).expanduser().resolve() if _is_path(entry) else None


def _is_path(entry: str) -> bool:
    return os.sep in entry or entry.endswith(".py")


def _module_of(entry: str) -> str:
    return pathlib.PurePath(entry).name.removesuffix(".py") if _is_path(entry) else entry


def is_own(module: str) -> bool:
    """Returns True for the package and its modules."""
    return module.partition(".")[0] == OWN


def add_to_path(folder: pathlib.Path) -> None:
    """Adds a folder to the end of Python's path, in which modules are found."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))


def find_module(
    module: str, allow: Allowed, beside: Sequence[pathlib.Path], origin: Origin
) -> pathlib.Path:
    """Returns the file of a module without importing it; packages above it are imported.

    What is installed comes first, then the folder of a path of --allow_imports, then the current
    folder. The one that has the module becomes part of Python's path, so that it finds its
    neighbours.

    Args:
      module: its name.
      allow: what may be imported.
      beside: folders that others may have filled, of which an error says that they have the module.
      origin: the line that imports it.

    Raises:
      ConfigError: there is no such module, it has no source, or another one of that name comes
        before the one that was named.
    """
    valid, place = None, None
    if is_own(module):  # whose packages load TensorFlow
        stem = PACKAGE.parent.joinpath(*module.split("."))
        found = [path for path in (stem.with_suffix(".py"), stem / "__init__.py") if path.is_file()]
    else:
        place = allow.place(module)
        if place:
            add_to_path(place.parent)
        found = _on_path(module)
        if not found and _within(module, pathlib.Path.cwd()):
            add_to_path(pathlib.Path.cwd())
            found = _on_path(module)
        valid = _elsewhere(module, beside)
    if not found:
        raise ConfigError(
            f"there is no module {module}.", set_in=str(origin), valid=valid, see="tfft list"
        )
    if place and place not in (found[0].resolve(), *found[0].resolve().parents):
        raise ConfigError(
            f"{module} is {found[0]}, which Python finds before {place}.",
            set_in="--allow_imports",
            valid="another name for the file",
        )
    return found[0]


def _on_path(module: str) -> list[pathlib.Path]:
    """Returns the file of a module that Python finds; none of one without a source."""
    importlib.invalidate_caches()
    try:
        spec = importlib.util.find_spec(module)
    except (ModuleNotFoundError, ValueError):
        return []
    path = pathlib.Path(spec.origin) if spec and spec.origin else None
    return [path] if path and path.suffix == ".py" else []


def _within(module: str, folder: pathlib.Path) -> pathlib.Path | None:
    """Returns the file or the package of a module's top in a folder, None if it has none."""
    top = module.partition(".")[0]
    return next((p for p in (folder / f"{top}.py", folder / top) if os.path.exists(p)), None)


def _elsewhere(module: str, folders: Sequence[pathlib.Path]) -> str:
    """Returns where a module could be: in a folder that must be named, or nowhere yet."""
    path = next(filter(None, (_within(module, folder) for folder in folders)), None)
    if path:
        return f"--allow_imports={path}, which runs the code of that file"
    top = module.partition(".")[0]
    return f"{module.replace('.', '/')}.py in this folder, or --allow_imports=FOLDER/{top}.py"
