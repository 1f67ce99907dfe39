"""From a source to batches: examples, splits, encoded splits, length buckets."""

from __future__ import annotations

import importlib
from typing import Any


def __getattr__(name: str) -> Any:
    if name != "sources":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return importlib.import_module("tfft.data.sources")
