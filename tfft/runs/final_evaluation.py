"""The evaluation of the best weights beside the baselines, and the report of it."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping
from typing import Any

from tfft.data import examples, truncation
from tfft.evaluation import (
    calibration,
    inference,
    run_baselines,
    run_comparison,
    stored_predictions,
)
from tfft.evaluation.slices import encoded_groups
from tfft.evaluation.stored_predictions import MODEL
from tfft.reports import report
from tfft.runs import environment
from tfft.runs import trainer as jobs
from tfft.runs.describe_data import held_out_split
from tfft.runs.restore import DECISION
from tfft.runs.run import Run
from tfft.storage.atomic_write import write_atomic
from tfft.training import checkpointing


def evaluate_and_report(
    job: jobs.Job,
    run: Run,
    source: Any,
    groups: Mapping[str, Any],
    position: checkpointing.Position,
    floors: Mapping[str, Any],
    base: pathlib.Path | None,
) -> Any:
    """Evaluates the best weights on the held-out split beside the floors; writes the report.

    Args:
      groups: how columns and functions divide the held-out texts.
      floors: those that are there already.
      base: the folder of a run to compare with.
    """
    split = held_out_split(source)
    if split != "test":
        job.say.warn(f"there is no test split: the report is about the {split} split")
    encoded, task = job.splits[split], run.task
    given = examples.of_split(source, split, encoded)
    with job.clock("evaluation"):
        title, where = f"evaluating {split}", str(run.workdir)
        outputs = inference.outputs_of(task, run.model, given, title, where, job.say)
    with job.clock("floors"):
        train = examples.of_split(source, "train", job.splits["train"])
        floors = run_baselines.floors_of(job, train, given, floors)
    kept = stored_predictions.keep(job, task, split, given, outputs, floors)
    sums, labels = kept.sums[MODEL], (task.labels or ()) if task.classes else ()
    content = report.build(
        task=task,
        examples=given,
        outputs=outputs,
        sums=sums,
        backbone=run.backbone.title,
        data=source.name,
        sequence_length=run.backbone.preprocessor.sequence_length,
        split=split,
        metrics=task.evaluate(given, outputs),
        floors={
            name: {**job.task.evaluate(given, floor.outputs), **floor.described}
            for name, floor in floors.items()
        },
        lengths={name: part.full_lengths for name, part in job.splits.items() if part.padded},
        truncation={name: part.truncation() for name, part in job.splits.items()},
        ledger={
            **truncation.ledger(job.splits, labels),
            "figure": truncation.on_cut(encoded, task.measure, sums),
        },
        stages=position.proofs,
        curves=position.records,
        best=position.best,
        seconds=job.clock.seconds,
        notes=[*source.notes, *run.backbone.notes],
        machine=environment.describe_machine(),
        seed=job.seed,
        command=repeat_command(run.workdir / "config.gin"),
        groups={**task.groups(given), **encoded_groups(encoded), **groups},
        constant_loss=task.constant_loss(job.splits["train"].targets),
        more={
            **calibration.described(job.files.read_json(DECISION), given.targets, outputs),
            "comparisons": run_comparison.comparisons(kept, base, job.say),
        },
    )
    report.write(run.workdir, content, write_atomic)
    return content


def repeat_command(config: pathlib.Path) -> str:
    """Returns the command that repeats a run, with leave for what its config imports."""
    text = config.read_text("utf-8") if config.exists() else ""
    modules = ",".join(re.findall(r"^import (\S+)$", text, re.MULTILINE))
    leave = f" --allow_imports={modules}" if modules else ""
    return f"tfft train --gin_file={config}{leave} --workdir=FOLDER"
