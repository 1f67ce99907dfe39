"""The dropout rates of a backbone's layers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import keras

from tfft.argument_checks.validated import FRACTION, validated
from tfft.errors import ConfigError
from tfft.layers.inspection import inner_layers
from tfft.training.freezing import matching
from tfft.training.regularizers.base import Regularizer


@validated(rate=FRACTION)
@dataclasses.dataclass(frozen=True)
class Dropout(Regularizer):
    """Other rates of the dropout layers that the backbone has.

    Args:
      rate: one number for all, or numbers for patterns such as "layer_*/feedforward_dropout".
    """

    rate: float | Mapping[str, float]

    def prepare(self, backbone: Any) -> None:
        set_dropout(backbone, self.rate)


def set_dropout(backbone: Any, rates: float | Mapping[str, float] | None) -> None:
    """Sets the rates of a backbone's dropout layers; those without one get back their first.

    Raises:
      ConfigError: a pattern matches no layer, or the backbone was built without dropout there.
    """
    layers = _dropouts(backbone)
    first = vars(backbone).setdefault(
        "first_dropout", {n: layer.rate for n, layer in layers.items()}
    )
    requested = dict(first)
    if isinstance(rates, int | float):
        rates = {"*": rates}
    for pattern, rate in (rates or {}).items():
        requested |= dict.fromkeys(matching(pattern, list(layers), "Dropout.rate"), rate)
    for name, rate in requested.items():
        if not 0 <= rate < 1 or rate and not hasattr(layers[name], "seed_generator"):
            raise ConfigError(
                f"the dropout {name} cannot have the rate {rate}.",
                set_in="Dropout.rate",
                valid="0 where the backbone was built without dropout, else 0 to below 1",
            )
        layers[name].rate = rate


def _dropouts(backbone: Any) -> dict[str, Any]:
    """Returns a backbone's dropout layers by group and name; the first group has a shared one."""
    dropouts: dict[str, Any] = {}
    for group, inner in inner_layers(backbone):
        known = any(inner is layer for layer in dropouts.values())
        if isinstance(inner, keras.layers.Dropout) and not known:
            # Keras numbers layers without a name over the whole process.
            name = f"{group}/{re.sub(r'_[0-9]+$', '', inner.name)}"
            more = sum(key == name or key.startswith(f"{name}#") for key in dropouts)
            dropouts[f"{name}#{more}" if more else name] = inner
    return dropouts
