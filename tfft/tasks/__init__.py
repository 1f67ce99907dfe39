"""Problems, one file each. `tfft.tasks.NAME` finds the class in whichever file holds it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from tfft.errors import ExportError


def __getattr__(name: str) -> Any:
    for module in pkgutil.iter_modules(__path__):
        if module.name.replace("_", "") == name.lower():
            return getattr(importlib.import_module(f"{__name__}.{module.name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def of_card(card: dict[str, Any], where: str) -> Any:
    """Returns the task that an export's card describes, as far as its answers need it.

    Args:
      card: what `Task.config` returned.
      where: the export, for a person.

    Raises:
      ExportError: no task of this package has that name.
    """
    name = card["task"]
    if name not in {module.name for module in pkgutil.iter_modules(__path__)}:
        raise ExportError(
            f"{where} answers for a task of somebody's own, {name!r}: only its file says how its "
            "answers read.",
            valid="tf.saved_model.load, or the workdir of the run in its place",
        )
    module = importlib.import_module(f"{__name__}.{name}")
    found: Any = next(
        value
        for value in vars(module).values()
        if isinstance(value, type) and vars(value).get("name") == name
    )
    try:
        return found.of_card(card)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExportError(
            f"the tfft.json of {where} does not describe a task {name!r}: {error!r}.",
            valid="a new export: tfft export --workdir=FOLDER, with the folder of the run",
        ) from error
