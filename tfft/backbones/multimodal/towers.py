"""A backbone of several towers, one for each kind of input."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import keras

from tfft.argument_checks.validated import validated
from tfft.backbones.base import Backbone, Group, Reads
from tfft.backbones.splitting import tower_group
from tfft.errors import ConfigError
from tfft.layers.serialization import deserialize
from tfft.preprocessing.multimodal.tower_preprocessor import TowerPreprocessor


@validated()
def towers(by_name: Mapping[str, Backbone]) -> Backbone:
    """Returns a backbone whose towers read different inputs of an example.

    Args:
      by_name: two or more backbones by their names. A tower reads the input that has its name;
        else those of its modality, such as the texts, that no other tower has the name of.

    Raises:
      ConfigError: fewer than two towers, one of several towers, or one that is there twice.
    """
    if len(by_name) < 2:
        raise ConfigError(
            f"there must be several towers. Received: {len(by_name)}.",
            set_in="towers.by_name",
            valid="two or more backbones by their names",
        )
    return TowerBackbone(by_name)


@keras.saving.register_keras_serializable("tfft")
class TowerBackbone(Backbone):
    """Several backbones side by side, see `towers`.

    The head reads a dict of what each tower gives. Groups are named after the tower: "image.stem".
    """

    def __init__(self, by_name: Mapping[str, Backbone]):
        _check(by_name)
        self._towers = dict(by_name)
        self._arrange()

    def _arrange(self) -> None:
        """Sets the attributes that follow from the towers."""
        parts = self._towers.values()
        self.model = _Models([tower.model for tower in parts])
        self.name = "towers"
        self.preset = " + ".join(f"{name}: {tower.title}" for name, tower in self._towers.items())
        self.pooling = ", ".join(tower.pooling for tower in parts)
        self.modality = " and ".join(dict.fromkeys(tower.modality for tower in parts))
        self.notes = tuple(
            f"{name}: {note}" for name, tower in self._towers.items() for note in tower.notes
        )
        self.depth = max(tower.depth for tower in parts)
        self.dim = sum(tower.dim for tower in parts)
        self.pools = all(tower.pools for tower in parts)
        self.groups = tuple(
            Group(tower_group(name, group.name), group.layers)
            for name, tower in self._towers.items()
            for group in tower.groups
        )

    @property
    def towers(self) -> Mapping[str, Backbone]:
        return self._towers

    @property
    def title(self) -> str:
        return self.preset

    @property
    def packed(self) -> bool:
        return all(tower.packed for tower in self._towers.values())

    @packed.setter
    def packed(self, value: bool) -> None:
        for tower in self._towers.values():
            tower.packed = value

    def read_for(self, task: Any) -> Backbone:
        """Returns the towers that a task has inputs for, as it reads each of them.

        A single tower that reads all inputs is returned as it is, without its name.

        Raises:
          ConfigError: an input that no tower reads, or several do; or several towers, and windows
            of long texts or texts that the task writes.
        """
        places = self._places(task)
        if len(places) == 1:
            return self._towers[next(iter(places))].read_for(task)
        if hasattr(task, "encode_training_examples"):
            raise ConfigError(
                f"{task.name} learns texts that it writes, which a backbone of towers cannot.",
                set_in="train.backbone",
                valid="a backbone of one tower with a decoder",
            )
        read = copy.copy(self)
        read._towers = {}
        for name, own in places.items():
            part = copy.copy(task)
            part.inputs = tuple(task.inputs[place] for place in own)
            part.backbone_output = _output_of(task, name)
            read._towers[name] = tower = self._towers[name].read_for(part)
            if tower.average is not None:
                raise ConfigError(
                    f"the tower {name!r} reads an example in several rows, which a backbone of "
                    "several towers cannot.",
                    set_in="train.backbone",
                    valid='long_texts="cut"',
                )
        read._arrange()
        parts = {name: tower.preprocessor for name, tower in read._towers.items()}
        read.preprocessor = TowerPreprocessor(parts, places)
        return read

    def _places(self, task: Any) -> dict[str, list[int]]:
        """Returns which inputs of a task each tower reads; towers without one are left out."""
        result: dict[str, list[int]] = {name: [] for name in self._towers}
        named = {each.name for each in task.inputs} & result.keys()
        for place, each in enumerate(task.inputs):
            kinds = [name for name in result if self._towers[name].modality == each.modality]
            readers = [each.name] if each.name in named else [n for n in kinds if n not in named]
            if len(readers) != 1 or self._towers[readers[0]].modality != each.modality:
                raise ConfigError(
                    f"the input {each.name!r} of {task.name} is of the modality {each.modality}, "
                    f"and is not read by one tower of {', '.join(result)}. A tower with the name "
                    "of an input reads that input alone.",
                    set_in="towers.by_name",
                    valid=f"a tower of that modality with the name {each.name!r}, or with a name "
                    "that no input has",
                )
            result[readers[0]].append(place)
        return {name: own for name, own in result.items() if own}

    @property
    def reads(self) -> Reads:
        return {
            f"{name}_{key}": value
            for name, tower in self._towers.items()
            for key, value in tower.reads.items()
        }

    @property
    def head_shape(self) -> Any:
        """The shapes of what a head reads, by tower."""
        return {name: tower.head_shape for name, tower in self._towers.items()}

    @property
    def compute_dtype(self) -> str:
        return next(iter(self._towers.values())).compute_dtype

    def settings(self) -> dict[str, Any]:
        return {name: tower.settings() for name, tower in self._towers.items()}

    def describe_splits(self, splits: Mapping[str, Any]) -> tuple[list[Any], list[str]]:
        tables: list[Any] = []
        lines: list[str] = []
        for name, tower in self._towers.items():
            own = tower.describe_splits({s: each.parts[name] for s, each in splits.items()})
            tables += [(f"{name}: {title}", *rest) for title, *rest in own[0]]
            lines += [f"{name}: {line}" for line in own[1]]
        return tables, lines

    def config(self) -> dict[str, Any]:
        parts = {name: tower.config() for name, tower in self._towers.items()}
        return {"name": self.name, "preset": self.preset, "depth": self.depth, "towers": parts}

    def get_config(self) -> dict[str, Any]:
        """Returns what a `.keras` file holds of the towers, see `Backbone.get_config`."""
        for tower in self._towers.values():
            tower.get_config()  # refuses adapters before Keras opens a file
        return {"by_name": self._towers}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> TowerBackbone:
        """Returns towers without preprocessors, their weights still to be loaded."""
        backbone = cls({name: deserialize(each) for name, each in config["by_name"].items()})
        backbone.preprocessor = None
        return backbone


def _output_of(task: Any, tower: str) -> Any:
    """Returns what a task reads of a tower."""
    output = task.backbone_output
    if not isinstance(output, Mapping):
        return output
    if tower not in output:
        raise ConfigError(
            f"{task.name} does not say which output of the tower {tower!r} it reads.",
            set_in=f"{type(task).__name__}.backbone_output",
            valid=f"a dict with {tower!r}, or one BackboneOutput for all towers",
        )
    return output[tower]


class _Models:
    """The models of several towers, as far as they are read as one."""

    def __init__(self, models: list[Any]):
        self._models = models
        self.name = "towers"

    @property
    def weights(self) -> list[Any]:
        return [variable for model in self._models for variable in model.weights]

    def count_params(self) -> int:
        """Returns the number of weights."""
        return sum(int(model.count_params()) for model in self._models)


def _check(by_name: Mapping[str, Backbone]) -> None:
    def wrong(problem: str, valid: str) -> ConfigError:
        return ConfigError(problem, set_in="towers.by_name", valid=valid)

    for name, tower in by_name.items():
        longer = [other for other in by_name if other.startswith(f"{name}_")]
        if longer:
            problem = f"inputs of the towers {name!r} and {longer[0]!r} could have the same name."
            raise wrong(problem, f"a name that does not begin with '{name}_'")
        if len(tower.towers) > 1:
            problem = f"the tower {name!r} has several towers itself."
            raise wrong(problem, "all of them in one towers(...)")
        if not name.isidentifier():
            problem = f"the name of a tower must be an identifier. Received: {name!r}"
            raise wrong(problem, "such as 'image' or 'text'")
    if len({id(tower.model) for tower in by_name.values()}) < len(by_name):
        problem = "two towers are the same backbone: they would have the same weights."
        raise wrong(problem, "a backbone for each tower, loaded twice")
