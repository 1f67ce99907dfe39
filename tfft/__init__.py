"""Fine-tuning for people who know Keras: configured by gin, frozen where you say, served as is.

Names are imported when they are first used, so that `import tfft` does not load TensorFlow.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.2.0"

_NAMES = {
    "Batching": "tfft.training.batching",
    "EarlyStopping": "tfft.training.early_stopping",
    "Execution": "tfft.training.execution",
    "FeatureCache": "tfft.training.feature_cache.placement",
    "GradualUnfreezing": "tfft.training.stage",
    "Run": "tfft.api",
    "Stage": "tfft.training.stage",
    "UserError": "tfft.errors",
    "build": "tfft.api",
    "check": "tfft.api",
    "load_model": "tfft.export.keras_file",
    "train": "tfft.api",
}
_MODULES = {
    "averaging": "tfft.training.averaging",
    "backbones": "tfft.backbones",
    "methods": "tfft.methods",
    "optimizers": "tfft.training.optimizers",
    "regularizers": "tfft.training.regularizers",
    "schedules": "tfft.training.schedules",
    "sources": "tfft.data.sources",
    "tasks": "tfft.tasks",
    "thresholds": "tfft.evaluation.thresholds",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(_MODULES[name])
    if name not in _NAMES:
        raise AttributeError(f"module 'tfft' has no attribute {name!r}")
    return getattr(importlib.import_module(_NAMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*_NAMES, *_MODULES, "__version__"])
