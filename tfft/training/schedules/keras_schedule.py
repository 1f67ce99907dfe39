"""Any schedule of Keras, by name."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import keras

from tfft.argument_checks.validated import FILLED, validated
from tfft.errors import ConfigError, near
from tfft.training.schedules.base import Schedule

FIRST = "initial_learning_rate"  # what Keras calls the stage's learning rate


@validated(name=FILLED)
@dataclasses.dataclass(frozen=True)
class KerasSchedule(Schedule):
    """A class of `keras.optimizers.schedules` that starts from the stage's learning rate.

    Args:
      name: of the class, such as "ExponentialDecay".
      settings: its arguments without `initial_learning_rate`. Steps are those of the optimizer.
    """

    name: str
    settings: Mapping[str, Any]

    def __post_init__(self) -> None:
        known = {
            name: kind
            for name, kind in vars(keras.optimizers.schedules).items()
            if isinstance(kind, type) and FIRST in inspect.signature(kind).parameters
        }
        if self.name not in known:
            raise ConfigError(
                f"KerasSchedule.name={self.name!r} is no schedule of Keras with {FIRST}.",
                set_in="KerasSchedule.name",
                valid=near(self.name, known, 5),
            )
        parameters = dict(inspect.signature(known[self.name]).parameters)
        del parameters[FIRST]
        refuse = functools.partial(ConfigError, set_in="KerasSchedule.settings")
        if wrong := [name for name in self.settings if name not in parameters]:
            problem = f"has {wrong[0]!r}, which {self.name} does not take from a stage."
            raise refuse(f"KerasSchedule.settings {problem}", valid=near(wrong[0], parameters))
        for name, parameter in parameters.items():
            if parameter.default is parameter.empty and name not in self.settings:
                problem = f"lacks {name!r}, which {self.name} needs."
                raise refuse(f"KerasSchedule.settings {problem}", valid=", ".join(parameters))

    def build(
        self, learning_rate: float, steps: int, batches_per_step: int
    ) -> keras.optimizers.schedules.LearningRateSchedule:
        kind = getattr(keras.optimizers.schedules, self.name)
        return ByStep(kind(learning_rate, **self.settings), batches_per_step)


@keras.saving.register_keras_serializable("tfft")
@dataclasses.dataclass(eq=False)
class ByStep(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that counts steps where Keras counts batches.

    Args:
      schedule: of steps.
      batches_per_step: batches whose gradients make one step.
    """

    schedule: Any
    batches_per_step: int

    def __call__(self, step: Any) -> Any:
        return self.schedule(step // self.batches_per_step)

    def get_config(self) -> dict[str, Any]:
        schedule = keras.saving.serialize_keras_object(self.schedule)
        return {"schedule": schedule, "batches_per_step": self.batches_per_step}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ByStep:
        schedule = keras.saving.deserialize_keras_object(config["schedule"])
        return cls(schedule, config["batches_per_step"])
