"""Problems, one file each. `tfft.tasks.NAME` finds the class in whichever file holds it."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Any


def __getattr__(name: str) -> Any:
    for module in pkgutil.iter_modules(__path__):
        if module.name.replace("_", "") == name.lower():
            return getattr(importlib.import_module(f"{__name__}.{module.name}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
