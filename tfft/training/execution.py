"""How a stage is computed: precision and XLA."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def set_precision(body: Any, head: Any, precision: str) -> None:
    """Gives all layers of the body the dtype policy; the head's output stays float32."""
    policy = keras.DTypePolicy(precision)
    for group in body.groups:
        for layer in group.layers:
            for inner in layer._flatten_layers():
                inner.dtype_policy = policy


def use_xla(choice: bool | str) -> bool:
    """Says whether a step is compiled with XLA: on for GPU and TPU when `choice` is "auto"."""
    if choice == "auto":
        return bool(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    return bool(choice)
