"""The evaluation of the best weights beside the baselines, and the report of it."""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Mapping
from typing import Any

from tfft.data import truncation
from tfft.evaluation import (
    calibration,
    finite_checks,
    inference,
    run_comparison,
    stored_predictions,
)
from tfft.evaluation.slices import encoded_groups
from tfft.evaluation.stored_predictions import MODEL
from tfft.reports import report
from tfft.reports.printable import portable, portable_path
from tfft.runs import environment, run_baselines, trainer
from tfft.runs.restore import DECISION, restore
from tfft.runs.run import Run
from tfft.runs.run_data import RunData
from tfft.storage.atomic_write import write_atomic
from tfft.tasks.base import modality_of, needs_fit, predict_fn
from tfft.training import checkpointing


def calibrate(job: trainer.Trainer, data: RunData) -> None:
    """Fits temperature and threshold on the validation split, where the task needs them, once."""
    if not needs_fit(job.task) or job.files.read_json(DECISION):
        return
    with job.clock("calibration"):
        _, _, model = restore(job.task, job.backbone, job.files)
        given = data.encoded("validation", job.splits["validation"])
        outputs = inference.predict(predict_fn(job.task, model), given.encoded)
        finite_checks.refuse_outputs(outputs, f"the model of {job.files.path}")
        found = job.task.calibration.fit(job.task, given, outputs)
    job.files.write_json(DECISION, found)


def evaluate_and_report(
    job: trainer.Trainer,
    run: Run,
    data: RunData,
    position: checkpointing.Position,
    floors: Mapping[str, Any],
    base: pathlib.Path | None,
    plots: bool,
) -> Any:
    """Evaluates the best weights on the held-out split beside the floors; writes the report.

    Args:
      data: of the run.
      floors: those that are there already.
      base: the folder of a run to compare with.
      plots: whether report.html has plots.
    """
    split = data.split
    if split != "test":
        job.say.warn(f"there is no test split: the report is about the {split} split")
    encoded, task = job.splits[split], run.task
    evaluator, plain = task.build_evaluator(), job.task.build_evaluator()
    given = data.encoded(split, encoded)
    with job.clock("evaluation"):
        title, where = f"evaluating {split}", str(run.workdir)
        outputs = inference.outputs_of(task, run.model, given, title, where, job.say)
    with job.clock("floors"):
        train = data.encoded("train", job.splits["train"])
        size, sampled = job.splits["train"].size, job.sample_rows("train") is not None
        if sampled:
            what = f"{len(train):,} of {size:,} training {modality_of(task)}s"
            job.say.info(f"baselines are fitted on a random sample of {what}")
        floors = run_baselines.floors_of(job, train, given, floors)
    kept = stored_predictions.keep(job.files, task, job.task, split, given, outputs, floors)
    sums, compared = kept.sums[MODEL], run_comparison.comparisons(kept, base, job.say)
    labels = (task.target.names or ()) if task.target.are_classes else ()
    content = report.build(
        task=task,
        examples=given,
        outputs=outputs,
        sums=sums,
        backbone=run.backbone.title,
        data=data.name,
        sequence_length=run.backbone.preprocessor.sequence_length,
        split=split,
        metrics=evaluator.evaluate(given, outputs),
        floors={
            name: {
                **plain.evaluate(given, floor.outputs),
                **floor.described,
                **({"training_texts": size} if sampled and floor.described else {}),
            }
            for name, floor in floors.items()
        },
        lengths={name: part.full_lengths for name, part in job.splits.items() if part.padded},
        truncation={name: part.truncation() for name, part in job.splits.items()},
        ledger={
            **truncation.ledger(job.splits, labels),
            "figure": truncation.on_cut(encoded, evaluator.aggregate, sums),
        },
        stages=position.proofs,
        curves=position.records,
        best=position.best,
        seconds=job.clock.seconds,
        notes=[*data.notes, *run.backbone.notes],
        machine=environment.describe_machine(),
        seed=job.seed,
        command=repeat_command(run.workdir / "config.gin"),
        groups={**evaluator.slices(given), **encoded_groups(encoded), **data.groups},
        constant_loss=evaluator.constant_loss(train.targets),
        more={
            **calibration.described(job.files.read_json(DECISION), given.targets, outputs),
            "comparisons": portable(compared, base and str(base)),
        },
    )
    report.write(run.workdir, content, write_atomic, plots)
    return content


def repeat_command(config: pathlib.Path) -> str:
    """Returns the command that repeats a run, quoted for a shell, with its config's imports."""
    text = config.read_text("utf-8") if config.exists() else ""
    modules = ",".join(re.findall(r"^import (\S+)$", text, re.MULTILINE))
    words = ["tfft", "train", f"--gin_file={portable_path(str(config))}"]
    words += [f"--allow_imports={modules}"] if modules else []
    return shlex.join([*words, "--workdir=FOLDER"])
