"""The stored outputs of frozen layers, of all towers of a backbone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data.encoded_split import Encoded
from tfft.data.encoded_towers import EncodedTowers
from tfft.data.example_reader import ExampleReader
from tfft.errors import ConfigError
from tfft.storage.cache_store import Store
from tfft.training.feature_cache.cache import Features
from tfft.training.feature_cache.cache_keys import Cut
from tfft.training.feature_cache.placement import Decision

KINDS = ("off", "disk", "memory")  # all towers use the first of these that one of them decides on


@dataclasses.dataclass(frozen=True)
class TowerCut:
    """Where the frozen prefix of a tower ends, now and later.

    Attributes:
      cut: of the stage.
      via: shallower depths that later stages continue from.
    """

    cut: Cut
    via: tuple[int, ...] = ()


Cuts = Mapping[str, TowerCut]


class TowerFeatures:
    """The outputs of the frozen layers of each tower over the splits of one job.

    Args:
      backbone: with one tower or several.
      splits: by name, as each tower reads them.
      store: for what is kept on disk.
      say: the console.
      shared: features in memory that the runs of a plan share; None for a run of its own.

    Attributes:
      towers: by name the features of each.
    """

    def __init__(
        self,
        backbone: Any,
        splits: Mapping[str, Encoded | EncodedTowers],
        store: Store,
        say: Any,
        shared: dict[str, Any] | None = None,
    ):
        self.towers = {
            name: Features(
                tower,
                {split: _part(encoded, name) for split, encoded in splits.items()},
                store,
                say,
                shared if shared is None or not name else shared.setdefault(name, {}),
            )
            for name, tower in backbone.towers.items()
        }

    def decide(self, stage: Any, cuts: Cuts, epochs: float, random: str | None = None) -> Decision:
        """Returns where the features of all towers with a frozen prefix are kept, see `Features`.

        Raises:
          ConfigError: "memory" or "disk" is requested and not possible.
        """
        reading = [name for name, each in cuts.items() if each.cut.depth is not None]
        found: dict[str, Decision] = {}
        for name in reading or list(cuts)[:1]:
            taken = sum(each.size for each in found.values())
            features = self.towers[name]
            found[name] = features.decide(stage, cuts[name].cut, epochs, random, taken)
        kind = min((each.kind for each in found.values()), key=KINDS.index)
        reasons = [
            f"{name}: {each.reason}" if name else each.reason for name, each in found.items()
        ]
        if kind == "off" and stage.feature_cache.where != "auto" and len(reasons) > 1:
            raise ConfigError(
                f'FeatureCache.where="{stage.feature_cache.where}" is not possible for all towers: '
                f"{'; '.join(reasons)}.",
                set_in="FeatureCache.where",
                valid='"auto" or "off"',
            )
        return Decision(kind, "; ".join(reasons), sum(each.size for each in found.values()))

    def begin_stage(self, cuts: Sequence[Mapping[str, Cut]]) -> None:
        """Takes the weights as they are now, see `Features.begin_stage`.

        Args:
          cuts: of this stage and of the later ones, by tower.
        """
        for name, features in self.towers.items():
            features.begin_stage([each[name] for each in cuts])

    def keep(self, cuts: Cuts) -> None:
        """Forgets what is in memory for other cuts than these."""
        for name, features in self.towers.items():
            own = cuts[name]
            features.keep([own.cut, *map(Cut, own.via)])

    @property
    def measured(self) -> dict[str, float]:
        """What half precision changed in this stage's features, the largest of all towers."""
        each = [features.measured for features in self.towers.values() if features.measured]
        return {name: max(one[name] for one in each) for name in (each[0] if each else ())}

    def inputs(
        self, split: str, encoded: Encoded | EncodedTowers, cuts: Cuts, kind: str, half: bool
    ) -> ExampleReader:
        """Returns what the stage's model reads of a split, computing features if it has to.

        Args:
          split: the name of the split.
          encoded: the split, with its targets.
          cuts: of the stage; a tower without a frozen prefix is read as it is encoded.
          kind: "memory" or "disk".
          half: whether features are stored in float16.
        """
        parts = {}
        for name, features in self.towers.items():
            own = cuts[name]
            read = _part(encoded, name)
            if own.cut.depth is None:
                parts[name] = ExampleReader(read)
            else:
                values = features.get(split, own.cut, kind, half, own.via)
                parts[name] = ExampleReader(read, values, own.cut.pooled)
        if isinstance(encoded, EncodedTowers):
            return ExampleReader(encoded, towers=parts)
        return parts[""]


def _part(encoded: Encoded | EncodedTowers, tower: str) -> Encoded:
    return encoded.parts[tower] if isinstance(encoded, EncodedTowers) else encoded
