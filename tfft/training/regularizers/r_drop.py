"""How far two passes with different dropout are apart."""

from __future__ import annotations

from typing import Any

import keras


def divergence(p: Any, q: Any) -> Any:
    """Returns half of KL(p, q) + KL(q, p), the mean over all but the last axis, [... n]."""
    low = keras.config.epsilon()
    logs = keras.ops.log(keras.ops.maximum(p, low)) - keras.ops.log(keras.ops.maximum(q, low))
    return keras.ops.mean(keras.ops.sum((p - q) * logs, axis=-1)) / 2
