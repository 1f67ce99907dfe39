"""Trains a step of a stage, to measure what the whole stage would cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

from tfft.runs import trainer
from tfft.training import early_stopping, loop
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.optimizers.build import applied_rate
from tfft.training.stage import Stage, begin_stage, check_stage_settings


def check_stage(job: trainer.Trainer, stages: Sequence[Stage], number: int) -> int:
    """Trains one step on the middle batch shape, times a second; returns bytes of features."""
    stage = stages[number]
    begin_stage(stages, number, job.backbone, job.head, job.seed, job.say)
    check_stage_settings(stage, job.task, job.backbone, "validation" in job.splits)
    schedule = loop.Schedule(job.learned, stage, (job.seed, number))
    features = job.decide(stage, job.cuts([stage]), schedule)
    prepared = job.prepare(stage, schedule.total_steps, False, number)
    job.describe(prepared, schedule, only_stage=len(stages) == 1)
    before = checksums(job.backbone, job.head)
    plan = sorted(schedule.plan(0), key=lambda batch: (len(batch.rows), batch.length))
    batch = plan[len(plan) // 2]
    inputs, targets = loop.ExampleReader(job.learned).read(batch)
    for _ in range(stage.batching.gradient_accumulation_steps):  # batches that make one step
        logs = prepared.trained.train_on_batch(inputs, targets, return_dict=True)
        rate = applied_rate(prepared.trained.optimizer)
        early_stopping.refuse_divergence(stage, logs, "in the first step", rate)
    prove_freeze(before, prepared, job.backbone, job.head)
    began = time.monotonic()
    prepared.trained.train_on_batch(inputs, targets)
    seconds = time.monotonic() - began
    tokens = sum(len(each.rows) * each.length for each in plan)
    epoch = seconds * tokens / (len(batch.rows) * batch.length)
    job.say.info(f"frozen features: {features.reason}")
    job.say.result(
        f"stage {stage.name!r}: about {epoch:.0f} s an epoch, {schedule.epochs} epochs"
        + (", the later ones quicker with stored features" if features.kind != "off" else "")
    )
    return features.size
