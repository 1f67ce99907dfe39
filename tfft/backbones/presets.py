"""KerasHub's own list of published models."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from tfft.backbones.text.decoder_architectures import ALL

UNDESCRIBED = "KerasHub does not describe it."
LANGUAGES = {"en": "English", "zh": "Chinese", "multi": "many", "multilingual": "many"}


@dataclasses.dataclass(frozen=True)
class Preset:
    """One published model.

    Attributes:
      name: what `keras_hub` takes.
      architecture: a name of `decoder_architectures.ALL`.
      parameters: how many weights; None where KerasHub does not say.
      languages: as the preset's name says; "" where it does not.
      description: KerasHub's own.
      handle: where its files are.
    """

    name: str
    architecture: str
    parameters: int | None
    languages: str
    description: str
    handle: str


def presets() -> Iterator[Preset]:
    """Yields KerasHub's presets for the supported backbones, by backbone and then by size."""
    # XLM-R's class derives from RoBERTa's, which therefore lists its presets too: the later wins.
    by_name: dict[str, Preset] = {}
    for kind in ALL.values():
        for name, details in kind.model.presets.items():
            metadata = details["metadata"]
            spoken = [LANGUAGES[part] for part in name.split("_") if part in LANGUAGES]
            by_name[name] = Preset(
                name=name,
                architecture=kind.name,
                parameters=metadata.get("params"),
                languages=", ".join(metadata.get("languages") or spoken),
                description=" ".join(metadata.get("description", "").split()) or UNDESCRIBED,
                handle=details["kaggle_handle"],
            )
    order = list(ALL)
    yield from sorted(
        by_name.values(), key=lambda p: (order.index(p.architecture), p.parameters or 0, p.name)
    )


def handles() -> dict[str, str]:
    """Returns the handle of every preset by its name."""
    return {preset.name: preset.handle for preset in presets()}
