"""The evaluation of the best weights beside the baselines, and the report of it."""

from __future__ import annotations

import pathlib
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from tfft.data import truncation
from tfft.errors import WorkdirError
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
from tfft.runs.restore import read_decision, restore, write_decision
from tfft.runs.run import Run
from tfft.runs.run_data import RunData
from tfft.storage import manifest
from tfft.storage.workdir import Workdir
from tfft.tasks.base import modality_of, needs_fit, predict_fn
from tfft.training import checkpointing


def calibrate(job: trainer.Trainer, data: RunData) -> None:
    """Fits temperature and threshold on the validation split, where the task needs them, once."""
    if not needs_fit(job.task) or _is_decided(job.files, job.say):
        return
    with job.clock("calibration"):
        _, _, model = restore(job.task, job.backbone, job.files, decision="none")
        given = data.encoded("validation", job.splits["validation"])
        outputs = inference.predict(predict_fn(job.task, model), given.encoded)
        finite_checks.refuse_outputs(outputs, f"the model of {job.files.path}")
        found = job.task.calibration.fit(job.task, given, outputs)
    write_decision(job.files, found)


def _is_decided(files: Workdir, say: Any) -> bool:
    """Returns True if a run has the decision of its best weights; a damaged one is logged."""
    try:
        return bool(read_decision(files))
    except WorkdirError as error:
        say.warn(f"{error.problem} It is computed again.")
        return False


def finished_report(
    files: Workdir, groups: Mapping[str, Sequence[str]], plots: bool, say: Any
) -> dict[str, Any] | None:
    """Returns the report of a run that is complete; None if something has to be made again.

    Pages that are missing or changed are written again from the report.

    Args:
      files: the run's folder.
      groups: the slices that the report must have.
      plots: whether report.html has plots if it is written again.
    """
    changed = manifest.changed(files)
    for name in changed or ():
        say.warn(f"{files.path / name} is missing or was changed: it is made again")
    if changed is not None and manifest.PAGES.issuperset(changed):
        content = files.read_json("report.json")
        if content is not None and report.covers(content, groups):
            if changed:
                _write_pages(files, content, plots)
                manifest.write(files)
            say.info(f"training is complete in {files.path}: its weights are reused")
            return content
    manifest.remove(files)
    return None


def _write_report(files: Workdir, content: Mapping[str, Any], plots: bool) -> None:
    """Writes a report, and the manifest with which the run is complete."""
    _write_pages(files, content, plots)
    files.write_json("report.json", content)
    manifest.write(files)


def _write_pages(files: Workdir, content: Mapping[str, Any], plots: bool) -> None:
    """Writes the files that follow from the content of a report."""
    report.write_pages(content, files.write, plots)
    files.write_records(content["curves"])


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
    sums = kept.sums[MODEL]
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
            **calibration.described(read_decision(job.files), given.targets, outputs),
            "comparisons": portable(run_comparison.comparisons(kept, base, job.say), base),
        },
    )
    _write_report(job.files, content, plots)
    return content


def repeat_command(config: pathlib.Path) -> str:
    """Returns the command that repeats a run, quoted for a shell, with its config's imports."""
    text = config.read_text("utf-8") if config.exists() else ""
    modules = ",".join(re.findall(r"^import (\S+)$", text, re.MULTILINE))
    words = ["tfft", "train", f"--gin_file={portable_path(str(config))}"]
    words += [f"--allow_imports={modules}"] if modules else []
    return shlex.join([*words, "--workdir=FOLDER"])
