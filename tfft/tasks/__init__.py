"""Problems, one file each. `tfft.tasks.NAME` finds the class in whichever file holds it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any

from tfft.errors import ExportError

PARTS = {"calibrations", "evaluators", "signatures", "targets"}  # folders without tasks


def modules() -> dict[str, str]:
    """Returns the full name of each module that can hold a task, by file name."""
    packages = pkgutil.walk_packages(__path__, f"{__name__}.")
    names = (each.name for each in packages if not each.ispkg)
    return {n.rpartition(".")[2]: n for n in names if PARTS.isdisjoint(n.split("."))}


def __getattr__(name: str) -> Any:
    for file, module in modules().items():
        if file.replace("_", "") == name.lower():
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def of_card(card: dict[str, Any], where: str) -> Any:
    """Returns the task that an export's card describes, as far as its answers need it.

    Args:
      card: the result of `Task.get_config`.
      where: the export, for a person.

    Raises:
      ExportError: no task of this package has that name.
    """
    name = card["task"]
    module = modules().get(name)
    values = vars(importlib.import_module(module)).values() if module else ()
    classes = (value for value in values if isinstance(value, type))
    kind: Any = next((each for each in classes if vars(each).get("name") == name), None)
    if kind is None:
        raise ExportError(
            f"{where} answers for a task of somebody's own, {name!r}: only its file says how its "
            "answers read.",
            valid="tf.saved_model.load, or the workdir of the run in its place",
        )
    try:
        return kind.from_config(card)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ExportError(
            f"the tfft.json of {where} does not describe a task {name!r}: {error!r}.",
            valid="a new export: tfft export --workdir=FOLDER, with the folder of the run",
        ) from error
