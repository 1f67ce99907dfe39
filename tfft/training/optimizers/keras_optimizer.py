"""Any optimizer of Keras, by name."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from typing import Any

import keras

from tfft.argument_checks.validated import FILLED, NON_NEGATIVE, Range, each, validated
from tfft.errors import ConfigError, near
from tfft.training.optimizers.base import LARGE_RATE, Optimizer
from tfft.training.optimizers.fused_adamw import FusedAdamW

# These scale the gradient otherwise.
LARGE_RATES = dict.fromkeys(("sgd", "adadelta", "adagrad", "ftrl"), 10.0)
WRAPPERS = ("Optimizer", "LossScaleOptimizer", "MultiOptimizer")
OTHER_CLIPPING = ("clipnorm", "clipvalue")
STAGE_SETTINGS = {  # by the arguments of Keras in whose place they are
    "learning_rate": "Stage.learning_rate",
    "weight_decay": "KerasOptimizer.weight_decay",
    "global_clipnorm": "KerasOptimizer.global_clipnorm",
    "gradient_accumulation_steps": "Batching.gradient_accumulation_steps",
    "use_ema": "Stage.averaging = (@EMA(),)",
    "ema_momentum": "EMA.momentum",
}


@validated(
    **each("weight_decay layer_decay learning_rate_multipliers", NON_NEGATIVE),
    name=FILLED,
    global_clipnorm=Range(above=0),
)
@dataclasses.dataclass(frozen=True)
class KerasOptimizer(Optimizer):
    """An optimizer of `keras.optimizers`.

    Args:
      name: of the class, in lower case: "sgd", "lion", "adafactor".
      settings: further arguments of the class, such as {"momentum": 0.9}.
      weight_decay, global_clipnorm, layer_decay, learning_rate_multipliers: as of `AdamW`.
    """

    name: str
    settings: Mapping[str, Any] | None = None
    weight_decay: float = 0.01
    global_clipnorm: float | None = 1.0
    layer_decay: float = 1.0
    learning_rate_multipliers: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        parameters = [
            one.name
            for one in inspect.signature(self.keras_class).parameters.values()
            if one.kind is not one.VAR_KEYWORD and one.name not in STAGE_SETTINGS
        ]
        for name in self.settings or {}:
            problem, valid = "", ""
            if name in STAGE_SETTINGS:
                problem, valid = ", which the stage decides", STAGE_SETTINGS[name]
            elif name not in parameters:
                problem, valid = f", which {self.name} does not take", near(name, parameters)
            elif name in OTHER_CLIPPING and self.global_clipnorm is not None:
                problem = (
                    f" beside global_clipnorm={self.global_clipnorm:g}: Keras clips in one way"
                )
                valid = f"KerasOptimizer.global_clipnorm = None, or no {name}"
            if problem:
                where = "KerasOptimizer.settings"
                raise ConfigError(f"{where} has {name!r}{problem}.", set_in=where, valid=valid)

    @property
    def keras_class(self) -> type[keras.optimizers.Optimizer]:  # type: ignore[override]
        """The class of Keras.

        Raises:
          ConfigError: Keras has no optimizer of that name.
        """
        members = {name: m for name, m in vars(keras.optimizers).items() if isinstance(m, type)}
        known = {
            name.lower(): member
            for name, member in members.items()
            if issubclass(member, keras.optimizers.Optimizer) and name not in WRAPPERS
        } | {"adamw": FusedAdamW}
        if self.name.lower() not in known:
            raise ConfigError(
                f"KerasOptimizer.name={self.name!r} is no optimizer of Keras.",
                set_in="KerasOptimizer.name",
                valid=near(self.name, known, 5),
            )
        return known[self.name.lower()]

    @property
    def title(self) -> str:
        return self.name

    @property
    def large_rate(self) -> float:  # type: ignore[override]
        return LARGE_RATES.get(self.name.lower(), LARGE_RATE)

    def arguments(self) -> dict[str, Any]:
        return dict(self.settings or {})
