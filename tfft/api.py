"""The verbs: check, train, evaluate, predict, export. Each reads from top to bottom."""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
import resource
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from tfft.argument_checks.validated import COUNT, FILLED, SEED, validated
from tfft.backbones.base import Backbone
from tfft.data import examples, truncation
from tfft.data.as_source import as_source
from tfft.errors import ConfigError, near
from tfft.evaluation import inference, run_comparison
from tfft.evaluation.slices import Slicer, encoded_groups, grouped, slice_rows
from tfft.reports import terminal
from tfft.reports.console import Console
from tfft.runs import (
    environment,
    initial_weights,
    prediction_files,
    run_baselines,
    run_files,
    signals,
    trackers,
    trainer,
    workdir_state,
)
from tfft.runs.check_stage import check_stages
from tfft.runs.evaluation_data import examples_of_file, held_out_examples
from tfft.runs.exported import evaluate_export, predict_export
from tfft.runs.final_evaluation import calibrate, evaluate_and_report, finished_report
from tfft.runs.prediction_files import Requested, columns_of_run, show_metrics
from tfft.runs.repeat import RepeatPlan, repeat
from tfft.runs.repeat_member import RepeatMember
from tfft.runs.restore import built_head, restore, restore_finished
from tfft.runs.run import COMPARED, Run
from tfft.runs.run_data import RunData, has_slices
from tfft.runs.workdir_state import run_identity
from tfft.storage import manifest
from tfft.storage.atomic_write import make_temporary_folder, refuse_existing, temporary_folder
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import Task, serving_signature
from tfft.tasks.signatures.base import predictions
from tfft.training.callbacks import check_callbacks
from tfft.training.freezing import adapt
from tfft.training.prepare_stage import prepare
from tfft.training.stage import (
    GradualUnfreezing,
    Stage,
    begin_stage,
    chain,
    check_stage_settings,
    refuse_own_loop,
)

__all__ = ["Run", "build", "check", "evaluate", "evaluate_export", "export", "predict"]
__all__ += ["predict_export", "train"]


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
    if task.target.names is None:
        raise ConfigError(
            "tfft.build needs to know the labels.", valid='TextClassification(labels=["a", "b"])'
        )
    stage, head = stage or Stage(), built_head(task, backbone)
    refuse_own_loop(stage)
    adapt([stage], backbone, 0)
    begin_stage([stage], 0, backbone, head, 0, Console())
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
    stages: Stage | GradualUnfreezing | Sequence[Stage | GradualUnfreezing] = (Stage(),),
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
    plots: bool = True,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    say: Console | None = None,
    part: RepeatMember | None = None,
) -> Run:
    """Fine-tunes a pretrained body for a task, evaluates it and writes a report.

    Args:
      task: the problem: labels, head, loss, metrics.
      backbone: the pretrained body.
      source: a Source; or the path of a file or folder, or examples in memory, see
        `tfft.data.as_source.as_source`.
      stages: one, or several that are trained one after the other on the same weights.
      seed: of the head's first weights, the order of batches and dropout.
      seeds: runs that differ in the seed alone, from `seed` on; see `repeat`.
      folds: runs that differ in which part of training and validation data is held out.
      feature_floor: adds a baseline of the pretrained body, for a forward pass over two splits: a
        logistic regression on its outputs; or the untrained model, for heads without weights.
      against: the folder of a run that the report compares this one with, or "previous".
      mlflow: an MLflow tracking URI or a folder to log to, beside TensorBoard.
      workdir: the run's folder, a temporary one by default; the same call with the same folder
        continues a stopped run.
      config_text: the config that these arguments came from; it is kept as config.gin.
      checkpoint_steps: batches between two checkpoints within an epoch.
      slices: divisions of the held-out texts in the report, by name: a function from a text to the
        name of its part, or a regular expression, which divides by whether it is found.
      plots: whether report.html has plots beside its tables. They take about a second.
      callbacks: of Keras, which see each stage as one long `fit`, see docs/callbacks.md.
      say: the console.
      part: of a plan, set by `repeat`.

    Returns:
      The run; of a plan, the one whose best epoch is the best by `EarlyStopping.monitor` of the
      last stage.

    Raises:
      UserError: the data, the stages, the slices or the workdir cannot be what was meant.
    """
    say = say or Console()
    backbone = backbone.read_for(task)
    given, stages = stages, chain(stages, backbone)
    source = as_source(source, task)
    start = functools.partial(initial_weights.start_run, keep=config_text is None)
    if part is None and (seeds, folds) != (1, 1):
        start(backbone, stages, say)
        settings: Any = {"stages": given, "checkpoint_steps": checkpoint_steps, "slices": slices}
        settings |= {"feature_floor": feature_floor, "mlflow": mlflow, "plots": plots}
        one = functools.partial(train, task, backbone, callbacks=callbacks, say=say, **settings)
        what = (task, backbone, source, stages, workdir, config_text, against, say)
        return repeat(RepeatPlan(seed, seeds, folds), one, has_slices(slices), *what)
    environment.make_deterministic(seed, stages, say)
    data = RunData(source, task, slices, say)
    task = data.task
    for stage in stages:
        check_stage_settings(stage, task, backbone, data.has_validation)
        check_callbacks(callbacks, stage)
    if part is None:
        start(backbone, stages, say)
    head = built_head(task, backbone)
    for note in backbone.notes:
        say.info(note)
    files = Workdir(workdir or make_temporary_folder("tfft-"))
    base = run_comparison.resolve(against, files.path, say)
    job = trainer.Trainer(task, backbone, head, seed, files, say, part=part, callbacks=callbacks)
    with job.clock("fingerprints"):
        fingerprint = data.source.fingerprint()
        identity = run_identity(task, backbone, fingerprint, stages, seed, config_text)
    with files.open(identity, say.warn), signals.stoppable() as stopped:
        run_files.write_run(files, identity, data.description(), config_text, say)
        log = trackers.begin(mlflow, files, say)
        job.encode(data.source)
        held_out, done = data.held_out.inputs, finished_report(files, data.groups, plots, say)
        if done is None:
            floors = run_baselines.before_training(job, stages, data.split) if feature_floor else {}
            position = job.train(stages, checkpoint_steps, stopped)
            calibrate(job, data)
            run_files.save_held_out(files, data.split, held_out, COMPARED, task.inputs)
        task, head, model = restore(task, backbone, files)
        run = Run(model, task, backbone, files.path, run_files.load_held_out(files) or held_out)
        run.report = done or evaluate_and_report(job, run, data, position, floors, base, plots)
        log.finish(run.report)
        terminal.show_report(run.report, say)
        terminal.show_comparisons(run.report, say)
        say.result(f"report: {files.path / 'report.html'}")
    return run


@validated(stages=FILLED, seed=SEED, seeds=COUNT, folds=COUNT, workdir=FILLED)
@environment.preserve_process_state()
def check(
    task: Task,
    backbone: Backbone,
    source: Any,
    stages: Stage | GradualUnfreezing | Sequence[Stage | GradualUnfreezing] = (Stage(),),
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
    plan = RepeatPlan(seed, seeds, folds) if (seeds, folds) != (1, 1) else None
    if plan:
        say.info(f"each of {len(plan.names)} runs is as follows")
    backbone = backbone.read_for(task)
    stages, given = chain(stages, backbone), task
    source = as_source(source, task)
    environment.make_deterministic(seed, stages, say)
    data = RunData(source, task, slices, say)
    task = data.task
    with initial_weights.unchanged(backbone, stages):
        if workdir is not None:
            fingerprint = data.source.fingerprint()
            same = (given if plan else task, backbone, fingerprint, stages, seed, config_text)
            identity, names = run_identity(*same), plan.names if plan else ()
            say.result(workdir_state.describe(Workdir(workdir), identity, len(stages), names))
        for stage in stages:
            check_stage_settings(stage, task, backbone, data.has_validation)
        head = built_head(task, backbone)
        say.info(f"backbone: {backbone.title}, {backbone.depth} layers of {backbone.dim}")
        with temporary_folder("tfft-check-") as room:
            job = trainer.Trainer(task, backbone, head, seed, Workdir(room), say)
            job.encode(data.source)
            adapt(stages, backbone, seed)
            job.trained_variables(stages)
            stored = check_stages(job, stages, data)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20 + stored / 2**30
    say.result(f"estimated peak memory {peak:.1f} GiB, stored features included\nready")


@environment.preserve_process_state()
def evaluate(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    source: Any = None,
    input: str | None = None,
    text: Requested = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    slices: Mapping[str, Slicer] | None = None,
    trust_data: bool = False,
    unfinished: bool = False,
    say: Any = None,
) -> dict[str, Any]:
    """Reports a run's best weights on its held-out split or on another labelled file.

    Args:
      source: a function that opens the run's own data; not called when `input` is given.
      input: a file with texts and labels, "-" for standard input.
      text, label: columns of the file, for several inputs in order or by name; None as in
        training.
      columns: further ones, whose values make slices; those that the file lacks are told.
      slices: as in `tfft.api.train`.
      trust_data: whether `input` may name images and sounds outside of its folder.
      unfinished: uses the best weights so far of a run whose training never finished.

    Raises:
      DataError: the run's own data are not there any more, or `input` cannot be read.
      WorkdirError: the training never finished or diverged, or a file of the run is damaged.
    """
    say = say or Console()
    files, backbone = Workdir(workdir), backbone.read_for(task)
    task, model, finished = restore_finished(task, backbone, files, unfinished, say)
    if input is None:
        labelled = held_out_examples(source, files, say)
    else:
        labelled = examples_of_file(task, input, files, text, label, columns, say, trust_data)
    groups = grouped(labelled.inputs[0], slices, labelled.columns)
    with examples.located(labelled.places):
        given = encoding.encoded(task, backbone.preprocessor, labelled.inputs, labelled.answers)
    evaluator = task.build_evaluator()
    for line in evaluator.data_warnings(given):
        say.warn(line)
    outputs = inference.outputs_of(task, model, given, f"evaluating {labelled.where}", workdir, say)
    if given.encoded.padded:
        say.info(f"{labelled.where}: {truncation.describe_cut(given.encoded)}")
    sums, aggregate = evaluator.main_terms(given, outputs), evaluator.aggregate
    lower = not evaluator.metrics[0].greater_is_better
    divided = {**evaluator.slices(given), **encoded_groups(given.encoded), **groups}
    more = {
        "ledger": {"figure": truncation.on_cut(given.encoded, aggregate, sums)},
        "slices": slice_rows(divided, aggregate, sums, lower),
        **({} if finished else {"unfinished": manifest.UNFINISHED}),
        **labelled.notes,
    }
    metrics, details = evaluator.evaluate(given, outputs), evaluator.report_details(given, outputs)
    return show_metrics(task, metrics, details, say, **more)


@environment.preserve_process_state()
def predict(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    input: str,
    output: str = "-",
    force: bool = False,
    text: Requested = None,
    on_error: str = "fail",
    include_input: bool | None = None,
    trust_data: bool = False,
    unfinished: bool = False,
    say: Any = None,
) -> int:
    """Writes one JSON object a row of `input`, in its order; returns how many.

    Args:
      input, output: files, "-" for standard input and standard output.
      force: replaces an existing output.
      text: the columns of the inputs; those of the training file when None.
      on_error: "fail" refuses a file with a row that cannot be read; "skip" leaves such rows out
        and lists them.
      include_input: adds the input's columns to each object; None adds those of CSV and TSV.
      trust_data, unfinished: as in `evaluate`.

    Raises:
      WorkdirError: `output` exists and `force` is off; or as in `evaluate`.
      DataError: `input` cannot be read.
    """
    refuse_existing(output, force)
    files, say, served = Workdir(workdir), say or Console(), serving_signature(task).task
    settings: Any = {"on_error": on_error, "include_input": include_input, "trust_data": trust_data}
    trained = columns_of_run(files)
    rows = prediction_files.read_rows(served, input, trained, text, say=say, **settings)
    backbone = backbone.read_for(task)
    task, model, _ = restore_finished(task, backbone, files, unfinished, say)
    signature = serving_signature(task)
    task, body = Run(model, task, backbone, pathlib.Path(workdir), ()).answering
    if on_error == "skip":
        rows = prediction_files.without_unreadable(rows, body.preprocessor)
    found: list[dict[str, Any]] = []
    if rows.kept:
        given = encoding.encoded(task, body.preprocessor, rows.inputs)
        outputs = inference.outputs_of(task, model, given, "predicting", workdir, say)
        if given.encoded.padded:
            say.info(truncation.describe_cut(given.encoded))
        found = predictions(signature, given, outputs)
    prediction_files.write_predictions(rows, found, output, say)
    return len(found)


@environment.preserve_process_state()
def export(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    source: Any = None,
    unfinished: bool = False,
    say: Any = None,
) -> pathlib.Path:
    """Exports a run's best weights below its folder; returns the version's folder.

    Args:
      source: opens the run's own data, if the run has kept no examples to compare on.
      unfinished: as in `evaluate`.
    """
    say, backbone = say or Console(), backbone.read_for(task)
    files = Workdir(workdir)
    task, model, _ = restore_finished(task, backbone, files, unfinished, say)
    held_out = run_files.load_or_read_held_out(files, source, say)
    return Run(model, task, backbone, pathlib.Path(workdir), held_out).export(say=say)
