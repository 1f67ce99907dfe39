"""A person's Keras callbacks, which see each stage as one long `fit`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.errors import ConfigError
from tfft.training.schedules.constant import Constant

SETS_RATE = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
OWN_TO_FIT = ("_model", "params")  # attributes that `fit` sets
States = Sequence[Mapping[str, Any]]
ARRAY = "callback/{:04d}/{}/{:04d}"  # the name of an array in a checkpoint


class StageCallbacks(keras.callbacks.Callback):
    """Passes the events of a stage's epochs on; the loop calls `fit` once an epoch.

    The callbacks get one `on_train_begin` and one `on_train_end` a stage, and the epochs and
    batches of the stage are numbered through, also where a run was resumed.

    Args:
      callbacks: of the person.
      model: that is trained.
      epochs, steps: of the stage and of an epoch, for `params`.
    """

    def __init__(
        self, callbacks: Sequence[keras.callbacks.Callback], model: Any, epochs: int, steps: int
    ):
        super().__init__()
        self.callbacks = tuple(callbacks)
        params = {"verbose": 0, "epochs": epochs, "steps": steps}
        self._list = keras.callbacks.CallbackList(list(callbacks), model=model, **params)
        for name in ("on_test_begin", "on_test_end", "on_test_batch_begin", "on_test_batch_end"):
            setattr(self, name, getattr(self._list, name))
        self._first = 0  # batches of the epoch that an earlier process trained
        self._logs: Mapping[str, Any] = {}

    def begin_stage(self) -> None:
        """Calls `on_train_begin`."""
        self._list.on_train_begin()

    def end_stage(self) -> None:
        """Calls `on_train_end` with the logs of the last epoch."""
        self._list.on_train_end(dict(self._logs))

    def resume_epoch(self, step: int) -> None:
        """Numbers the batches of the next epoch from `step`."""
        self._first = step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if not self._first:
            self._list.on_epoch_begin(epoch, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._first, self._logs = 0, dict(logs or {})
        self._list.on_epoch_end(epoch, logs)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self._list.on_train_batch_begin(self._first + batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._list.on_train_batch_end(self._first + batch, logs)

    def state(self) -> tuple[list[dict[str, Any]], dict[str, np.ndarray]]:
        """Returns the callbacks' state in a checkpoint: JSON-able values, and arrays by name.

        Of each callback the attributes that are numbers, texts, or arrays; the names of the others
        are listed under "not_saved".
        """
        states, arrays = [], dict[str, np.ndarray]()
        for number, callback in enumerate(self.callbacks):
            state: dict[str, Any] = {"class": type(callback).__name__}
            state |= {"values": {}, "arrays": {}, "not_saved": []}
            for name, value in vars(callback).items():
                if name in OWN_TO_FIT:
                    continue
                try:
                    state["values"][name] = json.loads(json.dumps(value, default=_number))
                    continue
                except (TypeError, ValueError):  # no JSON
                    parts = value if isinstance(value, list | tuple) else [value]
                if parts and all(isinstance(part, np.ndarray) for part in parts):
                    state["arrays"][name] = {"count": len(parts), "single": parts[0] is value}
                    for place, part in enumerate(parts):
                        arrays[ARRAY.format(number, name, place)] = np.array(part)
                elif type(callback).__module__.partition(".")[0] != "keras":
                    state["not_saved"].append(name)
            states.append(state)
        return states, arrays

    def restore(
        self, states: States, arrays: Mapping[str, np.ndarray], warn: Callable[[str], None]
    ) -> None:
        """Sets the callbacks' attributes to those of a checkpoint.

        Args:
          states, arrays: of `state`, in the process that wrote the checkpoint.
          warn: is called with a message for what cannot be restored.
        """
        names = [type(callback).__name__ for callback in self.callbacks]
        if [state["class"] for state in states] != names:
            warn(describe_change(states, names))
            return
        for number, (callback, state) in enumerate(zip(self.callbacks, states, strict=True)):
            for name, value in state["values"].items():
                setattr(callback, name, value)
            for name, about in state["arrays"].items():
                parts = [arrays[ARRAY.format(number, name, n)] for n in range(about["count"])]
                setattr(callback, name, parts[0] if about["single"] else parts)
            if state["not_saved"] or isinstance(callback, keras.callbacks.LambdaCallback):
                what = ", ".join(state["not_saved"]) or "what its functions remember"
                warn(
                    f"a checkpoint does not hold {what} of the callback {names[number]}: the "
                    "result may differ from that of a run that was not stopped"
                )


def describe_change(states: States, names: Sequence[str]) -> str:
    """Returns the message for a run that continues with other callbacks.

    Args:
      states: of a checkpoint.
      names: of the classes of the callbacks now.
    """
    before = ", ".join(state["class"] for state in states) or "none"
    return (
        f"the run was stopped with the callbacks {before} and continues with "
        f"{', '.join(names) or 'none'}: the result is not exactly that of a run that was not "
        "stopped"
    )


def check_callbacks(callbacks: Sequence[keras.callbacks.Callback], stage: Any) -> None:
    """Refuses callbacks that set a learning rate which the stage's schedule sets.

    Raises:
      ConfigError: says which.
    """
    if isinstance(stage.schedule, Constant) and not stage.schedule.warmup:
        return
    if setting := [one for one in callbacks if isinstance(one, SETS_RATE)]:
        raise ConfigError(
            f"the callback {type(setting[0]).__name__} sets the learning rate, and the schedule of "
            f"stage {stage.name!r} sets it too.",
            set_in="Stage.schedule",
            valid="Constant(warmup=0), or no such callback",
        )


def _number(value: Any) -> Any:
    """Returns a number of NumPy as one of Python."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} is not JSON-able")
