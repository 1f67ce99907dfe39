"""The verbs: check, train, evaluate, predict, export. Each reads from top to bottom."""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
import re
import resource
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfft.backbones.base import Backbone
from tfft.data import examples, truncation
from tfft.data.sources.as_source import as_source
from tfft.errors import ConfigError, near
from tfft.evaluation import (
    calibration,
    finite_checks,
    inference,
    run_baselines,
    run_comparison,
    stored_predictions,
)
from tfft.evaluation.slices import encoded_groups, grouped
from tfft.evaluation.stored_predictions import MODEL
from tfft.reports import report, terminal
from tfft.reports.console import Console
from tfft.reports.terminal import show_report
from tfft.runs import environment, initial_weights, run_files, signals, trackers, workdir_state
from tfft.runs import trainer as jobs
from tfft.runs.check_stage import check_stage
from tfft.runs.repeat import Plan, repeat
from tfft.runs.repeat_member import Part
from tfft.runs.restore import DECISION, built_head, restore
from tfft.runs.run import COMPARED, Run, evaluate, evaluate_export, export, predict, predict_export
from tfft.storage.atomic_write import write_atomic
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import Task
from tfft.training import checkpointing, early_stopping
from tfft.training.freezing import adapt
from tfft.training.prepare_stage import prepare
from tfft.training.reinitialization import reinitialise
from tfft.training.stage import Stage, chain
from tfft.validation.arguments import COUNT, FILLED, SEED, validated

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


@validated(steps=COUNT)
def build(
    task: Task, backbone: Backbone, stage: Stage | None = None, *, steps: int = 1000
) -> keras.Model:
    """Returns a compiled model for a training loop of your own.

    Args:
      task: with its labels given.
      backbone: gives the body; `backbone.preprocessor` makes the model's inputs.
      stage: the mask, the optimizer and the schedule.
      steps: the length of the schedule, in batches.
    """
    backbone = backbone.read_for(task)
    if task.labels is None:
        raise ConfigError(
            "tfft.build needs to know the labels.", valid='TextClassification(labels=["a", "b"])'
        )
    if stage is not None and (stage.wise_ft or stage.average == "swa"):
        raise ConfigError(
            "tfft.build gives a model for a loop of your own; wise_ft and average='swa' are done "
            "by the loop of tfft.train.",
            valid="average='ema', which Keras' fit does when it ends; or tfft.train",
        )
    stage, head = stage or Stage(), built_head(task, backbone)
    adapt([stage], backbone, 0)
    reinitialise([stage], 0, backbone, head, 0, Console())
    return prepare(stage, backbone, head, task, steps).split.full


@validated(
    stages=FILLED,
    seed=SEED,
    seeds=COUNT,
    folds=COUNT,
    against=FILLED,
    mlflow=FILLED,
    workdir=FILLED,
    checkpoint_steps=COUNT,
)
@environment.preserve_process_state()
def train(
    task: Task,
    backbone: Backbone,
    source: Any,
    stages: Stage | Sequence[Stage] = (Stage(),),
    *,
    seed: int = 0,
    seeds: int = 1,
    folds: int = 1,
    feature_floor: bool = False,
    against: str | None = None,
    mlflow: str | None = None,
    workdir: str | os.PathLike[str] | None = None,
    config_text: str | None = None,
    checkpoint_steps: int = 200,
    slices: Mapping[str, Callable[[str], str] | str] | None = None,
    say: Console | None = None,
    part: Part | None = None,
) -> Run:
    """Fine-tunes a pretrained body for a task, evaluates it and writes a report.

    Args:
      task: the problem: labels, head, loss, metrics.
      backbone: the pretrained body.
      source: a Source; or the path of a file or folder, or examples in memory, see
        `tfft.data.sources.as_source.as_source`.
      stages: one, or several that are trained one after the other on the same weights.
      seed: of the head's first weights, the order of batches and dropout.
      seeds: runs that differ in the seed alone, from `seed` on; see `repeat`.
      folds: runs that differ in which part of training and validation data is held out.
      feature_floor: adds what the body gives as it was pretrained: a logistic regression on its
        outputs, which costs a forward pass of the training and the held-out split; or the model
        before the training, where the head has no weights of its own: embeddings, written texts.
      against: the folder of a run that the report compares this one with, or "previous".
      mlflow: an MLflow tracking URI or a folder to log to, beside TensorBoard.
      workdir: the run's folder, a temporary one by default; the same call with the same folder
        continues a stopped run.
      config_text: the config that these arguments came from; it is kept as config.gin.
      checkpoint_steps: batches between two checkpoints within an epoch.
      slices: parts of the held-out texts that the report has figures on, by the name of each
        division: a function from a text to the name of its part, or a regular expression, which
        divides them into those in which it is found and the others.
      say: the console.
      part: of a plan, set by `repeat`.

    Returns:
      The run; of a plan, the one whose best epoch is the best by the last stage's `monitor`.

    Raises:
      UserError: the data, the stages, the slices or the workdir cannot be what was meant.
    """
    say = say or Console()
    backbone = backbone.read_for(task)
    given = (stages,) if isinstance(stages, Stage) else tuple(stages)
    stages = chain(given, backbone)
    source = as_source(source, task)
    start = functools.partial(initial_weights.start_run, keep=config_text is None)
    if part is None and (seeds, folds) != (1, 1):
        start(backbone, stages, say)
        settings: Any = {"feature_floor": feature_floor, "mlflow": mlflow, "say": say}
        settings |= {"stages": given, "checkpoint_steps": checkpoint_steps, "slices": slices}
        one = functools.partial(train, task, backbone, **settings)
        what = (task, backbone, source, stages, workdir, config_text, against, say)
        return repeat(Plan(seed, seeds, folds), one, _covers(slices), *what)
    environment.make_deterministic(seed, stages, say)
    task = _describe_source(task, source, say)
    calibration.check(task, source)
    for stage in stages:
        early_stopping.check(stage, task, "validation" in source.splits)
    if part is None:
        start(backbone, stages, say)
    head = built_head(task, backbone)
    groups = _groups(source, slices)
    for note in backbone.notes:
        say.info(note)
    files = Workdir(workdir or tempfile.mkdtemp(prefix="tfft-"))
    base = run_comparison.resolve(against, files.path, say)
    job = jobs.Job(task, backbone, head, seed, files, say, part=part)
    with job.clock("fingerprints"):
        identity = jobs.identity(task, backbone, source, stages, seed, config_text)
    with files.open(identity), signals.stoppable() as stopped:
        if config_text:
            files.write("config.gin", config_text)
        split = _held_out(source)
        data = run_files.describe_data(source, split)
        described = {"identity": identity, "folder": os.getcwd(), "data": data}
        files.write_json("run.json", {**described, **environment.describe_machine()})
        log = trackers.begin(mlflow, files)
        job.encode(source)
        done = stored_predictions.finished(files)
        done = done if done and report.covers(done, groups) else None
        asked = feature_floor and not done
        floors = run_baselines.before_training(job, stages, split) if asked else {}
        position = job.train(stages, checkpoint_steps, stopped)
        calibration.decide(job, source)
        task, head, model = restore(task, backbone, files)
        held_out = examples.columns(source, split)
        run_files.save_held_out(files, split, held_out, COMPARED, task.modality == "image")
        run = Run(model, task, backbone, files.path, run_files.load_held_out(files) or held_out)
        run.report = done or _report(job, run, source, groups, position, floors, base)
        log.finish(run.report)
        show_report(run.report, say)
        terminal.show_comparisons(run.report, say)
        say.result(f"report: {files.path / 'report.html'}")
    return run


def _describe_source(task: Any, source: Any, say: Any) -> Any:
    """Shows what the data hold; returns the task with its labels."""
    encoding.check(task, source)
    for note in source.notes:
        say.info(note)
    task = encoding.with_labels(task, source)
    for note in task.data_notes():
        say.info(note)
    counts = {split: task.label_counts(source.label_counts(split)) for split in source.splits}
    shown = counts["train"]
    say.table(
        f"Data: {source.name}",
        ["split", "examples", *shown],
        [
            [split, f"{source.size(split):,}", *(f"{found.get(n, 0):,}" for n in shown)]
            for split, found in counts.items()
        ],
    )
    return task


def _held_out(source: Any) -> str:
    return "test" if "test" in source.splits else source.splits[-1]


def _groups(source: Any, slices: Mapping[str, Callable[[str], str] | str] | None) -> Any:
    """Returns how the columns and the functions divide the held-out texts.

    It is done before the training, so that what is wrong with a function is found then.
    """
    split = _held_out(source)
    texts = examples.columns(source, split)[0] if slices else []
    return grouped(texts, slices, source.columns(split))


def _covers(slices: Mapping[str, Callable[[str], str] | str] | None) -> Callable[..., bool]:
    """Returns a function that says whether a report of a source has these slices."""
    return lambda found, source: report.covers(found, _groups(source, slices))


def _report(
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
    split = _held_out(source)
    if split != "test":
        job.say.warn(f"there is no test split: the report is about the {split} split")
    encoded, task = job.splits[split], run.task
    given = examples.of_split(source, split, encoded)
    with job.clock("evaluation"), job.say.progress(f"evaluating {split}", encoded.size) as bar:
        outputs = inference.predict(task.outputs_of(run.model), encoded, advance=bar.advance)
    finite_checks.refuse_outputs(outputs, f"the model of {run.workdir}")
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
        command=_repeated(run.workdir / "config.gin"),
        groups={**task.groups(given), **encoded_groups(encoded), **groups},
        constant_loss=task.constant_loss(job.splits["train"].targets),
        more={
            **calibration.described(job.files.read_json(DECISION), given.targets, outputs),
            "comparisons": run_comparison.comparisons(kept, base, job.say),
        },
    )
    report.write(run.workdir, content, write_atomic)
    return content


def _repeated(config: pathlib.Path) -> str:
    """Returns the command that repeats a run, with leave for what its config imports."""
    text = config.read_text("utf-8") if config.exists() else ""
    modules = ",".join(re.findall(r"^import (\S+)$", text, re.MULTILINE))
    leave = f" --allow_imports={modules}" if modules else ""
    return f"tfft train --gin_file={config}{leave} --workdir=FOLDER"


@validated(stages=FILLED, seed=SEED, seeds=COUNT, folds=COUNT, workdir=FILLED)
@environment.preserve_process_state()
def check(
    task: Task,
    backbone: Backbone,
    source: Any,
    stages: Stage | Sequence[Stage] = (Stage(),),
    *,
    seed: int = 0,
    seeds: int = 1,
    folds: int = 1,
    slices: Mapping[str, Callable[[str], str] | str] | None = None,
    workdir: str | os.PathLike[str] | None = None,
    config_text: str | None = None,
    say: Console | None = None,
    **unused: Any,
) -> None:
    """Goes through `train` with one step a stage, and says what the whole would cost.

    With a workdir it also says what `train` would do with it, and writes nothing there.

    Args:
      unused: further arguments of `train`, which change nothing here.

    Raises:
      UserError: as `train` does.
    """
    known = inspect.signature(train).parameters
    for name in unused.keys() - known.keys():
        raise ConfigError(f"check has no argument {name!r}.", valid=near(name, known))
    say = say or Console()
    plan = Plan(seed, seeds, folds) if (seeds, folds) != (1, 1) else None
    if plan:
        say.info(f"each of {len(plan.names)} runs is as follows")
    backbone = backbone.read_for(task)
    stages, given = chain([stages] if isinstance(stages, Stage) else stages, backbone), task
    source = as_source(source, task)
    environment.make_deterministic(seed, stages, say)
    task = _describe_source(task, source, say)
    with initial_weights.unchanged(backbone, stages):
        if workdir is not None:
            same = (given if plan else task, backbone, source, stages, seed, config_text)
            runs = {"plan": plan.names} if plan else {}
            identity = {**jobs.identity(*same), **runs}
            files = Workdir(workdir)
            say.result(workdir_state.describe(files, identity, len(stages), runs.get("plan", ())))
        _groups(source, slices)
        calibration.check(task, source)
        for stage in stages:
            early_stopping.check(stage, task, "validation" in source.splits)
        head = built_head(task, backbone)
        say.info(f"backbone: {backbone.title}, {backbone.depth} layers of {backbone.dim}")
        with tempfile.TemporaryDirectory(prefix="tfft-check-") as room:
            job = jobs.Job(task, backbone, head, seed, Workdir(room), say)
            job.encode(source)
            adapt(stages, backbone, seed)
            job.trained_variables(stages)
            stored = max(check_stage(job, stages, number) for number in range(len(stages)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 + stored / 2**30
    say.result(f"estimated peak memory {peak:.1f} GiB, stored features included\nready")
