"""Freezing: from depths and patterns to a mask on the variables, and a learning rate for each."""

from __future__ import annotations

import fnmatch
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from tfft.backbones.splitting import own_groups, prefix_depth, tower_group
from tfft.errors import DepthError, FreezeError, near
from tfft.layers.inspection import inner_layers, named_weights
from tfft.methods.attachment import added_variables, attach
from tfft.methods.base import Method

# The softmax over keys does not change when one constant is added to every score, so the gradient
# of a key bias is zero and only rounding can move it.
INVARIANT = ("*/key/bias", "*key_dense/bias")


def adapt(stages: Iterable[Any], backbone: Any, seed: int) -> None:
    """Adds to a backbone, once, the weights that the methods of stages train beside its own.

    The layers below a stage's `freeze_layers` get nothing.

    Args:
      stages: of a run, all of them, for masks and checkpoints name the weights of each.
      backbone: a Backbone.
      seed: of the run.
    """
    for stage in stages:
        if stage.method is not None and stage.method.adds is not None:
            attach(stage.method.adds, backbone, seed, frozen_groups(stage.freeze_layers, backbone))


def frozen_names(stage: Any, backbone: Any, head: Any) -> frozenset[str]:
    """Returns the names of the variables that the stage does not train.

    What a method has added is trained by a stage with that method alone. Nothing is set, see
    `set_trainable`.

    Raises:
      DepthError: `freeze_layers` is not a depth of this backbone.
      FreezeError: a pattern matches nothing, or nothing is left to train.
    """
    variables = named_weights(backbone, head)
    names, groups = list(variables), frozen_groups(stage.freeze_layers, backbone)
    frozen = {name for name in names if name.split("/")[0] in groups}
    for pattern in stage.freeze:
        frozen |= matching(pattern, names, "Stage.freeze")
    if stage.method is None:
        added = added_variables(backbone)
        frozen |= {name for name in names if id(variables[name]) in added}
    else:
        frozen |= _left_alone(stage.method, names)
    # Norm statistics cannot be trained.
    weights = {id(v) for layer in _inner_layers(backbone, head) for v in layer._trainable_variables}
    if not any(id(variables[name]) in weights for name in names if name not in frozen):
        raise FreezeError(
            f"stage {stage.name!r} trains nothing: every weight is frozen.",
            valid='at most freeze_layers="all", which trains the head',
        )
    return frozenset(frozen)


def _left_alone(method: Method, names: list[str]) -> set[str]:
    """Returns the variables of the backbone that a method does not train."""
    hits = set().union(*(names_matching(pattern, names) for pattern in method.trains))
    if not hits:
        why = f" in this backbone: it has no variable of {', '.join(method.trains)}"
        valid = f"for example {', '.join(names[:3])}"
        if method.adds is not None:
            targets = ", ".join(method.adds.targets)
            why = f": freeze_layers freezes every layer of its targets, {targets}"
            valid = "a smaller freeze_layers"
        raise FreezeError(f"{method.name} has nothing to train{why}.", valid=valid)
    return {name for name in names if name not in hits and name.split("/")[0] != "head"}


def matching(pattern: str, names: list[str], where: str) -> set[str]:
    """Returns the variables that a pattern names, itself or by their group or another part above.

    Raises:
      FreezeError: there are none; `where` says what holds the pattern.
    """
    hits = names_matching(pattern, names)
    if not hits:
        known = {name.split("/")[0] for name in names} | set(names)
        raise FreezeError(
            f"the pattern {pattern!r} in {where} matches no group and no variable.",
            valid=f"for example {near(pattern, known)}",
            see="tfft check --gin_file=FILE",
        )
    return hits


def rate_factors(stage: Any, backbone: Any, head: Any) -> dict[str, float]:
    """Returns the factor of each variable's learning rate; empty where all factors are one.

    The head, and a pooler, have the stage's rate; the top layer `layer_decay` of it, the one below
    `layer_decay ** 2`, and so on down to the embeddings. A pattern's factor comes on
    top. Weights that several layers share have the rate of the lowest.

    Raises:
      FreezeError: a pattern matches nothing.
    """
    optimizer = stage.optimizer
    multipliers = optimizer.learning_rate_multipliers or {}
    if optimizer.layer_decay == 1.0 and not multipliers:
        return {}
    names = list(named_weights(backbone, head))
    above: dict[str, int] = {}
    for tower_name, tower in backbone.towers.items():
        groups = [tower_group(tower_name, each.name) for each in tower.groups[: tower.depth + 1]]
        above |= {name: len(groups) - place for place, name in enumerate(groups)}
    factors = {name: optimizer.layer_decay ** above.get(name.split("/")[0], 0) for name in names}
    for pattern, factor in multipliers.items():
        for name in matching(pattern, names, "learning_rate_multipliers"):
            factors[name] *= factor
    return factors


def frozen_groups(freeze_layers: int | str | Mapping[str, int | str], backbone: Any) -> set[str]:
    """Returns the names of the groups that `freeze_layers` freezes.

    Args:
      freeze_layers: of every tower, or of some by their names; the others are not frozen.
      backbone: a Backbone.

    Raises:
      DepthError: the backbone does not have that many layers, or no such tower.
    """
    towers = backbone.towers
    if not isinstance(freeze_layers, Mapping):
        freeze_layers = dict.fromkeys(towers, freeze_layers)
    elif unknown := [name for name in freeze_layers if name not in towers]:
        raise DepthError(
            f"freeze_layers names {unknown[0]!r}, which is no tower of this backbone.",
            valid=", ".join(map(repr, towers)) if len(towers) > 1 else 'a number, or "all"',
        )
    return {
        tower_group(name, group)
        for name, layers in freeze_layers.items()
        for group in _frozen_in_tower(layers, towers[name], name)
    }


def _frozen_in_tower(freeze_layers: int | str, backbone: Any, tower: str) -> set[str]:
    names = [group.name for group in backbone.groups]
    if freeze_layers == "all":
        return set(names)
    is_depth = isinstance(freeze_layers, int) and not isinstance(freeze_layers, bool)
    if not is_depth or not 0 <= int(freeze_layers) <= backbone.depth:
        title = f"the tower {tower!r}" if tower else "this backbone"
        raise DepthError(
            f"freeze_layers={freeze_layers!r}, but {title} has {backbone.depth} layers.",
            valid=f'0 to {backbone.depth}, or "all"',
            see="tfft check --gin_file=FILE",
        )
    if freeze_layers == 0:
        return set()
    if hasattr(backbone, "check_depth"):
        backbone.check_depth(int(freeze_layers))
    return set(names[: int(freeze_layers) + 1])


def names_matching(pattern: str, names: list[str]) -> set[str]:
    """Returns the names that a pattern matches, itself or by their group or another part above."""
    return {name for name in names if any(fnmatch.fnmatch(p, pattern) for p in _prefixes(name))}


def _prefixes(name: str) -> Iterator[str]:
    """Returns a name and the names of the parts above it."""
    return itertools.accumulate(name.split("/"), "{}/{}".format)


def _inner_layers(backbone: Any, head: Any) -> list[Any]:
    return [*(layer for _, layer in inner_layers(backbone)), *head._flatten_layers()]


def frozen_depths(stage: Any, backbone: Any, head: Any) -> dict[str, tuple[int | None, bool]]:
    """Returns by tower the number of layers of a stage's frozen prefix, and whether it pools.

    None when nothing at the bottom is frozen. Nothing is set, see `set_trainable`.
    """
    frozen = _frozen_throughout(backbone, head, frozen_names(stage, backbone, head))
    own = {name: own_groups(name, frozen) for name in backbone.towers}
    return {
        name: (prefix_depth(tower, own[name]), tower.pools and len(own[name]) == len(tower.groups))
        for name, tower in backbone.towers.items()
    }


def set_trainable(backbone: Any, head: Any, frozen: frozenset[str]) -> frozenset[str]:
    """Sets the mask on every variable; returns the groups of which nothing is trained."""
    for layer in [*(layer for group in backbone.groups for layer in group.layers), head]:
        # Keras does nothing where a value is set that is there already, and a layer that trained in
        # part kept True; so its variables would stay as they are.
        layer.trainable = False
        layer.trainable = True
    variables = named_weights(backbone, head)
    groups = _with_frozen_variables_alone(variables, frozen)
    for layer in (
        layer for group in backbone.groups if group.name in groups for layer in group.layers
    ):
        layer.trainable = False
    # After the layers: setting a layer's `trainable` sets it on all its variables.
    stay = {id(variable) for name, variable in variables.items() if name in frozen}
    _stop_statistics(backbone, head, stay)
    for variable in variables.values():
        if id(variable) in stay:
            variable.trainable = False
    return _frozen_throughout(backbone, head, frozen)


def _frozen_throughout(backbone: Any, head: Any, frozen: frozenset[str]) -> frozenset[str]:
    """Returns the groups of which nothing is trained."""
    variables = named_weights(backbone, head)
    groups = _with_frozen_variables_alone(variables, frozen) - {"head"}
    # A group whose weights all belong to a lower one (shared layers) is frozen with it.
    owners = {id(v): name.split("/")[0] for name, v in variables.items()}
    for group in backbone.groups:
        if all(owners.get(id(v)) in groups for layer in group.layers for v in layer.weights):
            groups.add(group.name)
    return frozenset(groups)


def _with_frozen_variables_alone(variables: Iterable[str], frozen: frozenset[str]) -> set[str]:
    """Returns the groups that have variables of their own, all of which are frozen."""
    trained = {name.split("/")[0] for name in variables if name not in frozen}
    return {name.split("/")[0] for name in variables} - trained


def _stop_statistics(backbone: Any, head: Any, frozen: set[int]) -> None:
    """Puts norms whose statistics are frozen into inference mode, their scales and shifts not."""
    for norm in _inner_layers(backbone, head):
        if isinstance(norm, keras.layers.BatchNormalization) and (
            id(norm.moving_mean) in frozen or id(norm.moving_variance) in frozen
        ):
            norm.trainable = False
            for variable in norm._trainable_variables:
                variable.trainable = id(variable) not in frozen


def freeze_table(
    backbone: Any, head: Any, frozen: frozenset[str], factors: dict[str, float] | None = None
) -> list[dict[str, Any]]:
    """Returns parameter counts per group, bottom to top, the head last.

    With `factors`, also the smallest and the largest one of the group's trained variables.
    """
    rows: dict[str, dict[str, Any]] = {}
    for name, variable in named_weights(backbone, head).items():
        group, size = name.split("/")[0], math.prod(variable.shape)
        row = rows.setdefault(group, {"group": group, "parameters": 0, "trainable": 0})
        row["parameters"] += size
        trained = name not in frozen and variable.trainable
        row["trainable"] += size if trained else 0
        if factors and trained:
            low, high = row.get("rate_factors", (math.inf, 0.0))
            row["rate_factors"] = min(low, factors[name]), max(high, factors[name])
    return list(rows.values())
