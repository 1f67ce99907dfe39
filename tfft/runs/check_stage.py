"""One step of each stage, and the evaluation of a few examples, to check a run before it starts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

from tfft.evaluation import inference
from tfft.runs import trainer
from tfft.runs.run_data import RunData
from tfft.tasks import encoding
from tfft.tasks.base import predict_fn, serving_signature
from tfft.tasks.signatures.base import predictions
from tfft.training import early_stopping, loop
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.model import assemble
from tfft.training.optimizers.build import applied_rate
from tfft.training.stage import Stage, begin_stage, check_stage_settings

EVALUATED = 8  # examples


def check_stages(job: trainer.Trainer, stages: Sequence[Stage], data: RunData) -> int:
    """Trains a step of each stage and evaluates a few examples; returns bytes of features."""
    stored = max(_check_stage(job, stages, number) for number in range(len(stages)))
    _check_evaluation(job, data)
    return stored


def _check_stage(job: trainer.Trainer, stages: Sequence[Stage], number: int) -> int:
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


def _check_evaluation(job: trainer.Trainer, data: RunData) -> None:
    """Evaluates and predicts a few examples, so that errors of a task show before the training.

    Raises:
      ConfigError: the outputs, metric terms or predictions do not have the right shape.
    """
    task, backbone = job.task, job.backbone
    rows = itertools.islice(data.source.rows(data.split), EVALUATED)
    *inputs, answers = map(list, zip(*rows, strict=True))
    few = encoding.encoded(task, backbone.preprocessor, tuple(inputs), answers)
    model = assemble(backbone, job.head, frozenset()).full
    outputs = inference.predict(predict_fn(task, model), few.encoded)
    evaluator = task.build_evaluator()
    evaluator.main_terms(few, outputs)
    evaluator.evaluate(few, outputs)
    signature = serving_signature(task)
    if signature.task is task:
        predictions(signature, few, outputs)
