"""The dropout rates of a backbone's layers."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import keras

from tfft.argument_checks.validated import FRACTION, validated
from tfft.errors import ConfigError
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


def set_dropout(body: Any, rates: float | Mapping[str, float] | None) -> None:
    """Sets the rates of the body's dropout layers; those without one get back their first.

    Raises:
      ConfigError: a pattern matches no layer, or the body was built without dropout there.
    """
    layers = _dropouts(body)
    first = vars(body).setdefault("first_dropout", {n: layer.rate for n, layer in layers.items()})
    wanted = dict(first)
    if rates is not None and not isinstance(rates, Mapping):
        rates = {"*": rates}
    for pattern, rate in (rates or {}).items():
        hits = matching(pattern, list(layers), "Dropout.rate")
        wanted |= dict.fromkeys(hits, rate)
    for name, rate in wanted.items():
        if not 0 <= rate < 1 or rate and not hasattr(layers[name], "seed_generator"):
            raise ConfigError(
                f"the dropout {name} cannot have the rate {rate}.",
                set_in="Dropout.rate",
                valid="0 where the body was built without dropout, else 0 to below 1",
            )
        layers[name].rate = rate


def _dropouts(body: Any) -> dict[str, Any]:
    """Returns the body's dropout layers by group and name, one that groups share by the first."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    for group in body.groups:
        for layer in group.layers:
            for inner in layer._flatten_layers():
                if isinstance(inner, keras.layers.Dropout) and id(inner) not in seen:
                    seen.add(id(inner))
                    # Keras numbers layers without a name over the whole process.
                    name = f"{group.name}/{re.sub(r'_[0-9]+$', '', inner.name)}"
                    more = sum(key == name or key.startswith(f"{name}#") for key in found)
                    found[f"{name}#{more}" if more else name] = inner
    return found
