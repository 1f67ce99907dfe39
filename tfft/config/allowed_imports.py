"""Modules that a config may import: the package's own and those that a person allows."""

from __future__ import annotations

import importlib.util
import pathlib
import sys
from collections.abc import Sequence

from tfft.config.bindings import Origin
from tfft.config.catalog import PACKAGE
from tfft.errors import ConfigError

OWN = "tfft"  # whose modules need no leave


def is_allowed(module: str, allow: Sequence[str]) -> bool:
    """Says whether a module, or a package that it is in, is one of those allowed."""
    return any(f"{module}.".startswith(f"{name}.") for name in (OWN, *allow))


def add_to_path(*folders: pathlib.Path) -> None:
    """Adds folders to the end of Python's path, in which modules are found."""
    sys.path += [str(each) for each in dict.fromkeys(folders) if str(each) not in sys.path]


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
