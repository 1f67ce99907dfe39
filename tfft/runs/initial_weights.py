"""The weights that a backbone was loaded with, for the next run that trains it.

A run trains the variables of the backbone that it gets. The next run with the same backbone starts
from the weights that the backbone was loaded with, as it does in a new process.
"""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft.backbones.splitting import own_groups, tower_group
from tfft.errors import ConfigError, WorkdirError
from tfft.layers.inspection import is_seed, named_variables
from tfft.methods import attachment
from tfft.training.freezing import frozen_groups, names_matching
from tfft.training.stage import Stage, reinitialized_layers

ANEW = 'a backbone loaded anew for each run, such as tfft.backbones.keras_hub("minilm_l6")'


@dataclasses.dataclass
class _State:
    """What is known of a backbone that runs have trained.

    Attributes:
      initial: values that the backbone was loaded with, of variables that runs may have changed.
      adapted: the Dense layers that had adapters when the backbone was loaded.
      complete: whether `initial` has every variable that was changed.
      holder: the folder of the run whose weights the backbone has; None while a run trains it.
    """

    initial: dict[str, np.ndarray]
    adapted: frozenset[str]
    complete: bool = True
    holder: pathlib.Path | None = None


# By the lowest layer of each tower of a backbone, which all views of it share.
_STATES: weakref.WeakKeyDictionary[keras.layers.Layer, _State] = weakref.WeakKeyDictionary()


def start_run(backbone: Any, stages: Sequence[Stage], say: Any, *, keep: bool) -> None:
    """Puts the weights that the backbone was loaded with into it, if a run has trained it.

    Args:
      backbone: a Backbone.
      stages: of the run that starts.
      say: the console, which gets a warning.
      keep: whether the values of variables that the stages train are kept for a later run. They
        take as much memory as these variables.

    Raises:
      ConfigError: the values were not kept.
    """
    for tower in backbone.towers.values():
        state = _STATES.get(_key(tower))
        if state is None:
            _STATES[_key(tower)] = _State({}, frozenset(attachment.parts(tower)))
        else:
            _reset(tower, state, say)
    trained = _trained(stages, backbone, named_variables(backbone)) if keep else set()
    for name, tower in backbone.towers.items():
        state = _STATES[_key(tower)]
        state.holder, state.complete = None, keep
        variables = named_variables(tower)
        own = own_groups(name, frozenset(trained)) - state.initial.keys()
        state.initial |= {each: np.array(variables[each]) for each in own}


def _reset(backbone: Any, state: _State, say: Any) -> None:
    """Puts the weights that a tower was loaded with into it."""
    if not state.complete:
        raise ConfigError(
            "this backbone has the weights of another run, and those that it was loaded with were "
            "not kept.",
            set_in="train.backbone",
            valid=ANEW,
        )
    attachment.detach(backbone, state.adapted)
    variables = named_variables(backbone)
    for name, value in state.initial.items():
        variables[name].assign(value)
    say.warn(
        "another run has trained this backbone: it starts from the weights that it was loaded "
        "with, and the model of the earlier run changes with it; to keep both, load a backbone "
        "for each run"
    )


def note_restored(backbone: Any, names: Iterable[str], workdir: pathlib.Path) -> None:
    """Records that a backbone has the weights of a run.

    Args:
      backbone: a Backbone.
      names: the variables that were set.
      workdir: the folder of the run.
    """
    found = frozenset(names)
    for name, tower in backbone.towers.items():
        state = _STATES.setdefault(_key(tower), _State({}, frozenset(), complete=False))
        added = attachment.added_variables(tower)
        variables = named_variables(tower).items()
        own = {each for each, value in variables if id(value) not in added and not is_seed(each)}
        changed = own & own_groups(name, found)
        state.complete = state.complete and changed <= state.initial.keys()
        state.holder = workdir.absolute()


def check_holder(backbone: Any, workdir: pathlib.Path) -> None:
    """Raises a WorkdirError if a backbone no longer has the weights of the run in a folder."""
    states = [_STATES.get(_key(tower)) for tower in backbone.towers.values()]
    if any(state is not None and state.holder != workdir.absolute() for state in states):
        raise WorkdirError(
            f"the weights of the run in {workdir} are no longer in memory: its backbone was used "
            "by a later run.",
            valid=f"{ANEW}; tfft predict --workdir={workdir} and the other commands read the "
            "weights from the folder",
        )


@contextlib.contextmanager
def unchanged(backbone: Any, stages: Sequence[Stage]) -> Iterator[None]:
    """Runs a block on the weights that a backbone was loaded with, and restores it at the end."""
    variables = named_variables(backbone)
    initial: dict[str, np.ndarray] = {}
    for name, tower in backbone.towers.items():
        state = _STATES.get(_key(tower))
        if state is not None and state.complete:
            initial |= {tower_group(name, each): value for each, value in state.initial.items()}
    names = _trained(stages, backbone, variables) | set(filter(is_seed, variables)) | set(initial)
    values = {name: np.array(variables[name]) for name in names}
    adapted = frozenset(attachment.parts(backbone))
    try:
        for name, value in initial.items():
            variables[name].assign(value)
        yield
    finally:
        attachment.detach(backbone, adapted)
        for name, value in values.items():
            variables[name].assign(value)


def _trained(stages: Sequence[Stage], backbone: Any, variables: Mapping[str, Any]) -> set[str]:
    """Returns the names of the variables that some stage may change."""
    names = [name for name in variables if not is_seed(name)]
    trained: set[str] = set()
    for stage in stages:
        if reinitialized_layers(stage):
            return set(names)
        if stage.method is not None:
            for pattern in stage.method.trains:
                trained |= names_matching(pattern, names)
        else:
            frozen = frozen_groups(stage.freeze_layers, backbone)
            trained |= {name for name in names if name.split("/")[0] not in frozen}
    return trained


def _key(tower: Any) -> keras.layers.Layer:
    """Returns the lowest layer; the lowest group has none where a model begins with a block."""
    return next(layer for group in tower.groups for layer in group.layers)
