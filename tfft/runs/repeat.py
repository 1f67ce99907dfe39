"""Several runs as one: seeds or folds, with mean and spread."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tfft.argument_checks.validated import SEED
from tfft.data import examples
from tfft.data.folds import FoldSource, fold_numbers, groups_of, lists
from tfft.data.sources.base import Source
from tfft.errors import ConfigError, FreezeError
from tfft.evaluation import calibration, run_comparison, stored_predictions
from tfft.layers.inspection import named_variables
from tfft.methods import attachment
from tfft.runs import run_files
from tfft.runs.repeat_member import RepeatMember
from tfft.runs.repeat_summary import summarize_plan, write
from tfft.runs.restore import built_head, restore
from tfft.runs.run import Run
from tfft.runs.workdir_state import run_identity
from tfft.storage.atomic_write import make_temporary_folder
from tfft.storage.workdir import Workdir
from tfft.tasks.base import needs_fit
from tfft.training import checkpointing, early_stopping
from tfft.training.freezing import adapt, frozen_names
from tfft.training.stage import Stage

MOST_RUNS = 1_000
HEADER = "# Run {name} of a plan; this config repeats the whole plan.\n"


@dataclasses.dataclass(frozen=True)
class RepeatPlan:
    """Which runs there are.

    Args:
      seed: of the first run; of all where they are folds.
      seeds: how many runs with a seed each.
      folds: how many runs with a part of the data held out each.

    Raises:
      ConfigError: both are asked for, or a number is too small.
    """

    seed: int
    seeds: int
    folds: int

    def __post_init__(self) -> None:
        if min(self.seeds, self.folds) < 1 or min(self.seeds, self.folds) > 1:
            raise ConfigError(
                f"seeds={self.seeds} and folds={self.folds} make no plan.",
                set_in="train.seeds, train.folds",
                valid="2 or more of one of them; 1 of the other",
            )
        if max(self.seeds, self.folds) > MOST_RUNS or not SEED.is_met(self.seed + self.seeds - 1):
            raise ConfigError(
                f"seed={self.seed}, seeds={self.seeds} and folds={self.folds} make no plan.",
                set_in="train.seed, train.seeds, train.folds",
                valid=f"up to {MOST_RUNS:,} runs, with seeds {SEED}",
            )

    @property
    def kind(self) -> str:
        return "seeds" if self.seeds > 1 else "folds"

    @property
    def names(self) -> list[str]:
        """The folders of the runs."""
        if self.seeds > 1:
            return [f"seed-{self.seed + number}" for number in range(self.seeds)]
        return [f"fold-{number}" for number in range(self.folds)]

    def seed_of(self, number: int) -> int:
        return self.seed + number if self.seeds > 1 else self.seed


def repeat(
    plan: RepeatPlan,
    one: Callable[..., Run],
    covers: Callable[[Any, Any], bool],
    task: Any,
    backbone: Any,
    source: Source,
    stages: Sequence[Stage],
    workdir: str | os.PathLike[str] | None,
    config_text: str | None,
    against: str | None,
    say: Any,
) -> Run:
    """Trains the runs of a plan that are not complete, then reports on all of them.

    Each run begins with the body's weights as they are now. Frozen features stay in memory from
    run to run; folds pick theirs from those of the training and validation data together.

    Args:
      plan: which runs.
      one: `tfft.api.train` with all that they have in common.
      covers: says whether the report of a complete run on its data has the slices that are asked.
      task, backbone, source, stages, config_text, say: as in `tfft.api.train`; stages written out.
      workdir: has a folder for each run.
      against: the folder of a run or plan to compare with, or "previous".

    Returns:
      The run whose best epoch is the best by `EarlyStopping.monitor` of the last stage; its
      `summary` is the content of the plan's report.json.
    """
    files = Workdir(workdir or make_temporary_folder("tfft-"))
    base = run_comparison.resolve(against, files.path, say)
    identity = run_identity(task, backbone, source.fingerprint(), stages, plan.seed, config_text)
    with files.open({**identity, "plan": plan.names}, say.warn):
        run_files.write_run(files, {**identity, "plan": plan.names}, {}, config_text, say)
        labelled = task.with_training_answers(source.label_counts("train"))
        for _, _, data in _parts(plan, source) if needs_fit(task) else ():
            calibration.check(labelled, data)
        head = built_head(labelled, backbone)
        adapted = set(attachment.parts(backbone))
        adapt(stages, backbone, plan.seed)  # the masks name what it adds
        trained = _trained(backbone, head, stages)
        before = checkpointing.values(trained)
        features: dict[str, Any] = {}
        floors: dict[str, Any] | None = {} if plan.kind == "seeds" else None
        for number, (name, numbers, data) in enumerate(_parts(plan, source)):
            found = stored_predictions.finished(Workdir(files.path / name))
            if found and covers(found, data):
                say.info(f"{name} is complete")
                continue
            say.info(f"{name}: run {number + 1} of {len(plan.names)}")
            attachment.detach(backbone, adapted)  # each run makes its own
            checkpointing.assign(trained, before)
            _check_weights(backbone, identity["weights"])
            part = RepeatMember(name, numbers, features, floors)
            text = config_text and HEADER.format(name=name) + config_text
            folder = files.path / name
            one(data, seed=plan.seed_of(number), workdir=folder, config_text=text, part=part)
        content = stored_predictions.finished(files)
        if content is None or content["schema"] != stored_predictions.SCHEMA:
            lower = early_stopping.lower_is_better(stages[-1].early_stopping, labelled)
            watched = stages[-1].early_stopping.monitor
            content = summarize_plan(plan.kind, plan.names, files, base, watched, lower)
        write(files, content, say)
        best = _chosen(content["best"], task, backbone, source, files)
        best.summary = content
    return best


def _parts(plan: RepeatPlan, source: Source) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """Yields the name, the numbers of the pool's examples and the data of each run."""
    if plan.kind == "seeds":
        for name in plan.names:
            yield name, {}, source
        return
    splits = [split for split in source.splits if split != "test"]
    pool = lists(source, splits)
    known = tuple(zip(*map(source.identified, zip(*pool, strict=True)), strict=True))
    groups = groups_of(source, splits)
    every = fold_numbers(known, plan.folds, plan.seed, source.classes, groups)
    for name, numbers in zip(plan.names, every, strict=True):
        yield name, numbers, FoldSource(source, pool, numbers)


def _trained(backbone: Any, head: Any, stages: Sequence[Stage]) -> dict[str, Any]:
    """Returns the body's variables that a stage may change, by name."""
    masks = [frozen_names(stage, backbone, head) for stage in stages]
    always = frozenset.intersection(*masks)
    variables = named_variables(backbone, head)
    return {
        name: variable
        for name, variable in variables.items()
        if name not in always and not name.startswith("head/")
    }


def _check_weights(backbone: Any, wanted: str) -> None:
    if backbone.fingerprint() != wanted:
        raise FreezeError(
            "the body is not what it was before the plan's first run: a run changed more of it "
            "than its stages train.",
            valid="the same command again: it continues with a body that is loaded anew",
        )


def _chosen(name: str, task: Any, backbone: Any, source: Source, files: Workdir) -> Run:
    folder = Workdir(files.path / name)
    task, _, model = restore(task, backbone, folder)
    held_out = run_files.load_held_out(folder)
    held_out = held_out or examples.columns(source, examples.evaluated_split(source))
    content = folder.read_json("report.json") or {}
    return Run(model, task, backbone, folder.path, held_out, content)
