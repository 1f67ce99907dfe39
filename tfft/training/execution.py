"""How a stage is computed: precision, XLA, and batches in one call."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import keras
import tensorflow as tf

from tfft.argument_checks.validated import COUNT, validated
from tfft.layers.inspection import inner_layers

SHORT_STEPS = 16  # a step of the head alone is shorter than the call around it


@validated(steps_per_execution=COUNT)
@dataclasses.dataclass(frozen=True)
class Execution:
    """How the steps of a stage are computed.

    Args:
      dtype_policy: the layers' dtype policy; weights stay in float32. "mixed_float16" scales the
        loss and skips a step that overflows (Micikevicius et al. 2018).
      jit_compile: "auto" compiles with XLA on GPU and TPU, not on a CPU, where it gains nothing and
        compiles anew for each shape.
      steps_per_execution: batches in one call of TensorFlow; progress, checkpoints and Ctrl-C wait
        for its end. "auto" takes 16 where the head alone is trained on stored features, whose steps
        are shorter than a call, else 1.
    """

    dtype_policy: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    jit_compile: bool | Literal["auto"] = "auto"
    steps_per_execution: int | Literal["auto"] = "auto"

    def batches_per_call(self, head_alone: bool) -> int:
        """Returns `steps_per_execution`, chosen by whether the head alone is trained."""
        if self.steps_per_execution == "auto":
            return SHORT_STEPS if head_alone else 1
        return self.steps_per_execution


def set_precision(backbone: Any, head: Any, precision: str) -> None:
    """Gives all layers of a backbone the dtype policy; the head's output stays float32."""
    policy = keras.DTypePolicy(precision)
    for _, layer in inner_layers(backbone):
        layer.dtype_policy = policy


def use_xla(choice: bool | str) -> bool:
    """Returns True if a step is compiled with XLA: on GPU and TPU when `choice` is "auto"."""
    if choice == "auto":
        return bool(tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("TPU"))
    return bool(choice)
