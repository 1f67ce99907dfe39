"""What is kept of a run's answers, and what they are compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfft import compare, decision, loop, outputs
from tfft.job import Job
from tfft.keys import Cut
from tfft.metrics.floors import Floor
from tfft.metrics.slices import quartiles
from tfft.stage import Stage
from tfft.task import Examples
from tfft.workdir import Workdir

FEATURES = "frozen_features_logistic_regression"
FEATURES_FILE = "floors/frozen_features.safetensors"


def finished(files: Workdir) -> dict[str, Any] | None:
    """Returns the report of a run that is complete; None when it is not."""
    return files.read_json("report.json") if (files.path / outputs.FILE).exists() else None


def before_training(job: Job, stages: Sequence[Stage], split: str) -> dict[str, Floor]:
    """Returns the floor of frozen features, by its name: it needs the body as it was pretrained.

    What the first stage reuses of frozen layers is computed on the way and kept for it.

    Args:
      job: with its splits encoded, nothing trained yet.
      stages: of the run.
      split: the one to evaluate.
    """
    shared = job.part.floors if job.part and job.part.floors is not None else {}
    if FEATURES not in shared and finished(job.files) is None:
        if (job.files.path / FEATURES_FILE).exists():
            arrays, described = job.files.load(FEATURES_FILE)
            shared[FEATURES] = Floor(arrays["outputs"], described)
        else:
            shared[FEATURES] = _feature_floor(job, stages, split)
    return {name: floor for name, floor in shared.items() if name == FEATURES}


def _feature_floor(job: Job, stages: Sequence[Stage], split: str) -> Floor:
    """Fits the floor, after what the first stage reuses, which it continues from."""
    first, (cut, via) = stages[0], job.cuts(stages)
    schedule = loop.Schedule(job.splits["train"], first, (job.seed, 0))
    kind = job.decide(first, cut, schedule).kind
    for name in ("train", "validation"):
        if name in job.splits:
            job.inputs(first, name, cut, kind, via)
    began = time.monotonic()
    with job.clock("floors"):
        top, where = Cut(job.backbone.depth, True), "memory" if kind == "off" else kind
        train, held_out = (
            _of_texts(job.splits[name], job.features.get(name, top, where, False))
            for name in ("train", split)
        )
        floor = job.task.feature_floor(train, job.splits["train"].targets, held_out)
    job.files.save(FEATURES_FILE, {"outputs": floor.outputs}, floor.described)
    job.say.info(
        f"floor: frozen features with logistic regression on {floor.described['fitted_on']:,} of "
        f"{floor.described['training_texts']:,} training texts, in "
        f"{time.monotonic() - began:.1f} s"
    )
    return floor


def _of_texts(encoded: Any, features: Any) -> np.ndarray:
    """Returns the pooled features of each text, float32 [n d]: the mean of its windows' ones."""
    windows = encoded.windows
    rows = features.first(np.arange(len(encoded.tokens.lengths))).astype(np.float32)
    if windows is None:
        return rows
    return np.add.reduceat(rows, windows.offsets[:-1]) / windows.counts[:, None]


def floors_of(
    job: Job, train: Examples, held_out: Examples, more: Mapping[str, Floor]
) -> dict[str, Floor]:
    """Returns all floors of a run, those of the runs of a plan on the same splits once.

    Args:
      train: to fit on.
      held_out: the evaluated examples.
      more: the floors that are there already.
    """
    shared = job.part.floors if job.part and job.part.floors is not None else {}
    if not shared.keys() - {FEATURES}:
        shared |= job.task.floors(train, held_out, job.say.info)
    return {**{name: floor for name, floor in shared.items() if name != FEATURES}, **more}


def keep(
    job: Job,
    task: Any,
    split: str,
    texts: Sequence[str],
    found: np.ndarray,
    floors: Mapping[str, Floor],
) -> outputs.Outputs:
    """Writes outputs.safetensors and returns what it holds.

    Args:
      task: with its decision.
      split: the evaluated one.
      texts: its texts.
      found: the model's outputs, float [n c].
      floors: by name.
    """
    truth: Any = job.splits[split].targets
    kept = outputs.Outputs(
        tuple(task.labels),
        split,
        outputs.digests(texts),
        truth,
        {
            outputs.MODEL: task.predicted(found),
            **{name: job.task.predicted(floor.outputs) for name, floor in floors.items()},
        },
        {
            outputs.MODEL: found,
            **{name: floor.outputs for name, floor in floors.items()},
        },
    )
    kept.save(job.files)
    return kept


def own_groups(task: Any, given: Examples) -> dict[str, Sequence[str]]:
    """Returns the divisions that every report has: the task's, by length, by what was cut."""
    encoded = given.encoded
    return {
        **task.groups(given),
        "length": quartiles(encoded.full_lengths, " tokens"),
        "cut": np.where(encoded.full_lengths > encoded.kept, "cut", "whole").tolist(),
    }


def comparisons(kept: outputs.Outputs, against: Any, say: Any) -> list[dict[str, Any]]:
    """Returns how the model stands to each floor and to another run, for the report.

    Args:
      kept: of this run.
      against: the folder of a run or a plan, or None.
    """
    model = compare.answers("this model", [kept])
    names = [name for name in kept.predicted if name != outputs.MODEL]
    found = [compare.difference(compare.answers(name, [kept], name), model) for name in names]
    if against is not None:
        base = compare.open_run(against).answers
        difference = compare.difference(base, model)
        if not difference["examples"]:
            say.warn(f"not compared with {base.name}: no evaluated text is in both")
            return found
        if difference["left_out"]:
            say.warn(compare.partly(difference))
        found.append(difference)
    return found


def show(content: dict[str, Any], say: Any) -> None:
    """Prints what a report says of its decision and its comparisons."""
    decision.show(content, say)
    if content.get("comparisons"):
        say.table(*compare.difference_table(content["comparisons"]), result=True)
