"""A backbone as another run left it, such as one that got used to a kind of text by `MaskedLM`."""

from __future__ import annotations

import pathlib

import numpy as np

from tfft.argument_checks.validated import FILLED, validated
from tfft.backbones.base import Backbone
from tfft.errors import ConfigError, WeightsError
from tfft.layers.inspection import named_variables
from tfft.storage import manifest
from tfft.storage.workdir import BEST, Workdir


@validated(run=FILLED)
def from_run(backbone: Backbone, run: str) -> Backbone:
    """Returns a backbone with the best weights that a run gave it; the run's head is left out.

    Don't Stop Pretraining (Gururangan et al., 2020): a backbone that was first tuned on
    the texts of a field is tuned better for a task of the field.

    Args:
      backbone: as that run began with: the same preset.
      run: its folder, which has to stay: evaluating this run reads it again.

    Raises:
      ConfigError: there is no such run, or it trained adapters, which are no weights of a backbone.
      WeightsError: its weights are not those of this backbone.
      WorkdirError: its training never finished, or its files are damaged.
    """
    if not (pathlib.Path(run).expanduser() / BEST).exists():
        raise ConfigError(
            f"{run!r} is no folder of a run that was trained.",
            set_in="from_run.run",
            valid="the --workdir of tfft train",
        )
    files = Workdir(pathlib.Path(run).expanduser())
    files.read_json("run.json")  # refuses the format of another version
    manifest.require(files, False, None)
    arrays, state = files.load(BEST)
    if state.get("adapters"):
        raise ConfigError(
            f"the run in {run} trained adapters, and a backbone alone cannot hold them.",
            set_in="from_run.run",
            valid="a run whose stages train the backbone's own weights",
        )
    own = named_variables(backbone)
    shared = {name: value for name, value in arrays.items() if name in own}
    wrong = [name for name, value in shared.items() if own[name].shape != value.shape]
    if not shared or wrong:
        what = f"{wrong[0]} has another shape" if wrong else "it trained none of its weights"
        raise WeightsError(
            f"the run in {run} did not train this backbone: {what}.",
            set_in="from_run.run",
            valid="a run on the same preset, with a part of it trained",
        )
    for name, value in shared.items():
        own[name].assign(value)
    count = sum(int(np.size(value)) for value in shared.values())
    backbone.notes = (*backbone.notes, f"{count:,} weights of the backbone are those of {run}")
    backbone.preset = f"{backbone.preset}, adapted in {run}"
    return backbone
