"""The verbs: check, train, evaluate, predict, export. Each reads from top to bottom."""

from __future__ import annotations

import os
import resource
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfft import job as jobs
from tfft import loop, machine, monitor, report
from tfft.console import Console
from tfft.errors import ConfigError
from tfft.freeze import checksums, prove_freeze
from tfft.metrics import ledger
from tfft.sources.memory import memory
from tfft.stage import Stage, chain, prepare
from tfft.trained import Run, evaluate, evaluate_export, export, predict, predict_export, show
from tfft.workdir import Workdir, write_atomic

__all__ = [
    "Run",
    "build",
    "check",
    "evaluate",
    "evaluate_export",
    "export",
    "predict",
    "predict_export",
    "train",
]


def build(
    task: Any, backbone: Any, stage: Stage | None = None, *, steps: int = 1000
) -> keras.Model:
    """Returns a compiled model for a training loop of your own.

    Args:
      task: with its labels given.
      backbone: gives the body; `backbone.preprocessor` makes the model's inputs.
      stage: the mask, the optimizer and the schedule.
      steps: the length of the schedule, in batches.
    """
    if not task.labels:
        raise ConfigError(
            "tfft.build needs to know the labels.", valid='TextClassification(labels=["a", "b"])'
        )
    if stage is not None and (stage.wise_ft or stage.average == "swa"):
        raise ConfigError(
            "tfft.build gives a model for a loop of your own; wise_ft and average='swa' are done "
            "by the loop of tfft.train.",
            valid="average='ema', which Keras' fit does when it ends; or tfft.train",
        )
    return prepare(stage or Stage(), backbone, task.head(), task, steps).split.full


def train(
    task: Any,
    backbone: Any,
    source: Any,
    stages: Sequence[Stage] = (Stage(),),
    *,
    seed: int = 0,
    workdir: str | os.PathLike[str] | None = None,
    config_text: str | None = None,
    checkpoint_steps: int = 200,
    say: Any = None,
) -> Run:
    """Fine-tunes a pretrained body for a task, evaluates it and writes a report.

    Args:
      task: the problem: labels, head, loss, metrics.
      backbone: the pretrained body.
      source: a Source, or a `tf.data.Dataset` of {"text", "label"} or (text, label).
      stages: trained one after the other on the same weights.
      seed: of the head's first weights, the order of batches and dropout.
      workdir: the run's folder, a temporary one by default; the same call with the same folder
        continues a stopped run.
      config_text: the config that these arguments came from; it is kept as config.gin.
      checkpoint_steps: batches between two checkpoints within an epoch.
      say: the console.

    Raises:
      UserError: the data, the stages or the workdir cannot be what was meant.
    """
    say = say or Console()
    stages = chain(stages, backbone)
    machine.make_deterministic(seed, stages, say)
    source = memory(source) if isinstance(source, tf.data.Dataset) else source
    task = _describe_source(task, source, say)
    head = jobs.built_head(task, backbone)
    for note in backbone.notes:
        say.info(note)
    files = Workdir(workdir or tempfile.mkdtemp(prefix="tfft-"))
    job = jobs.Job(task, backbone, head, seed, files, say)
    with job.clock("fingerprints"):
        identity = jobs.identity(task, backbone, source, stages, seed, config_text)
    with files.open(identity), loop.stoppable() as stopped:
        if config_text:
            files.write("config.gin", config_text)
        files.write_json("run.json", {"identity": identity, **machine.describe_machine()})
        job.encode(source)
        position = job.train(stages, checkpoint_steps, stopped)
        task, head, model = jobs.restore(task, backbone, files)
        split = "test" if "test" in source.splits else source.splits[-1]
        run = Run(model, task, backbone, files.path, jobs.texts_of(source, split))
        run.report = files.read_json("report.json") or _report(job, run, source, split, position)
        show(run.report, say)
        say.result(f"report: {files.path / 'report.html'}")
    return run


def _describe_source(task: Any, source: Any, say: Any) -> Any:
    """Shows what the data hold; returns the task with its labels."""
    for note in source.notes:
        say.info(note)
    task = task.with_labels(source.labels, source.label_counts("train"))
    counts = {split: source.label_counts(split) for split in source.splits}
    say.table(
        f"Data: {source.name}",
        ["split", "texts", *task.labels],
        [
            [split, f"{source.size(split):,}", *(f"{found.get(n, 0):,}" for n in task.labels)]
            for split, found in counts.items()
        ],
    )
    return task


def _report(job: jobs.Job, run: Run, source: Any, split: str, position: loop.Position) -> Any:
    """Evaluates the best weights on the held-out split beside the floors; writes the report."""
    if split != "test":
        job.say.warn(f"there is no test split: the report is about the {split} split")
    encoded, task = job.splits[split], run.task
    truth: Any = encoded.targets
    with job.clock("evaluation"), job.say.progress(f"evaluating {split}", encoded.size) as bar:
        outputs = loop.predict(run.model, encoded, advance=bar.advance)
    with job.clock("floors"):
        train = (jobs.texts_of(source, "train"), job.splits["train"].targets)
        floors = task.floors(train, (run.held_out, truth), job.say.info)
    content = report.build(
        task=task.name,
        labels=task.labels,
        backbone=run.backbone.name,
        data=source.name,
        sequence_length=run.backbone.preprocessor.sequence_length,
        split=split,
        metrics=task.evaluate(truth, outputs),
        floors=floors,
        truth=truth,
        outputs=outputs,
        texts=run.held_out,
        lengths={name: part.full_lengths for name, part in job.splits.items()},
        truncation={name: part.truncation() for name, part in job.splits.items()},
        ledger={
            **ledger.ledger(job.splits, task.labels),
            "accuracy": ledger.accuracy(encoded, outputs.argmax(-1) == truth),
        },
        stages=position.proofs,
        curves=position.records,
        best=position.best,
        seconds=job.clock.seconds,
        notes=[*source.notes, *run.backbone.notes],
        machine=machine.describe_machine(),
        seed=job.seed,
        command=f"tfft train --gin_file={run.workdir / 'config.gin'} --workdir=FOLDER",
    )
    report.write(run.workdir, content, write_atomic)
    return content


def check(
    task: Any,
    backbone: Any,
    source: Any,
    stages: Sequence[Stage] = (Stage(),),
    *,
    seed: int = 0,
    say: Any = None,
    **unused: Any,
) -> None:
    """Goes through `train` with one step a stage, and says what the whole would cost."""
    say = say or Console()
    stages = chain(stages, backbone)
    machine.make_deterministic(seed, stages, say)
    task = _describe_source(task, source, say)
    head = jobs.built_head(task, backbone)
    say.info(f"backbone: {backbone.name}, {backbone.depth} layers of {backbone.dim}")
    with tempfile.TemporaryDirectory(prefix="tfft-check-") as room:
        job = jobs.Job(task, backbone, head, seed, Workdir(room), say)
        job.encode(source)
        job.trained_variables(stages)
        stored = max(_check_stage(job, stage, number) for number, stage in enumerate(stages))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 + stored / 2**30
    say.result(f"estimated peak memory {peak:.1f} GiB, stored features included\nready")


def _check_stage(job: jobs.Job, stage: Stage, number: int) -> int:
    """Trains one step on the middle batch shape, times a second; returns bytes of features."""
    monitor.check(stage, job.task, "validation" in job.splits)
    schedule = loop.Schedule(job.splits["train"], stage, (job.seed, number))
    cut, _ = job.cuts([stage])
    decision = job.decide(stage, cut, schedule)
    prepared = job.prepare(stage, schedule.total_steps, False, number)
    before = checksums(job.backbone, job.head)
    plan = sorted(schedule.plan(0), key=lambda batch: (len(batch.rows), batch.length))
    batch = plan[len(plan) // 2]
    inputs = loop.Inputs(job.splits["train"]).batch(batch)
    targets = job.splits["train"].targets[batch.rows]  # type: ignore[index]
    for _ in range(stage.accumulate):  # batches that make one step
        prepared.trained.train_on_batch(inputs, targets)
    prove_freeze(before, prepared, job.backbone, job.head)
    began = time.monotonic()
    prepared.trained.train_on_batch(inputs, targets)
    seconds = time.monotonic() - began
    tokens = sum(len(each.rows) * each.length for each in plan)
    epoch = seconds * tokens / (len(batch.rows) * batch.length)
    job.describe(prepared, schedule)
    job.say.info(f"frozen features: {decision.reason}")
    job.say.result(
        f"stage {stage.name!r}: about {epoch:.0f} s an epoch, {schedule.epochs} epochs"
        + (", the later ones quicker with stored features" if decision.kind != "off" else "")
    )
    return decision.size
