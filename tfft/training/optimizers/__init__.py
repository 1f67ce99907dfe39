"""Optimizers: what a stage updates its weights with.

A config's `AdamW` or `KerasOptimizer`; `build.py` makes Keras' optimizer of it.
"""

from tfft.training.optimizers.adamw import AdamW
from tfft.training.optimizers.keras_optimizer import KerasOptimizer

__all__ = ["AdamW", "KerasOptimizer"]
