"""A trained model: what it predicts, how good it is, and its export. The verbs that need no data
to train on: evaluate, predict, export.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfft import tasks
from tfft.backbones.base import Backbone
from tfft.data import examples, truncation
from tfft.data.examples import Examples
from tfft.data.sources.python_examples import read_inputs
from tfft.errors import ExportError, WorkdirError
from tfft.evaluation import finite_checks, inference
from tfft.evaluation.slices import Slicer, encoded_groups, grouped, slice_rows
from tfft.export.saved_model import Served, difference, read_card, run_export
from tfft.export.saved_model import export as write_export
from tfft.methods import attachment
from tfft.reports.console import Console
from tfft.reports.report import named
from tfft.reports.terminal import show_report
from tfft.runs import environment, initial_weights, prediction_files, run_files
from tfft.runs.prediction_files import Requested
from tfft.runs.restore import restore
from tfft.storage.atomic_write import refuse_existing
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import Answers, Task
from tfft.validation.arguments import FILLED, validated

COMPARED = 512  # raw examples on which an export is compared with the model in memory
COMPARED_SEARCHES = 64  # of them where each is answered by a search


@validated()
@dataclasses.dataclass
class Run:
    """A trained model and where it came from.

    Attributes:
      model: a `keras.Model` from what the body reads: of texts token_ids and padding_mask, int32
        [b t]; [b n t] where they are read in windows.
      task, backbone: as they were trained.
      workdir: the run's folder.
      held_out: raw examples on which an export is compared, the texts of each input; images as
        data URIs.
      report: the content of report.json.
      summary: of a plan, the content of its report.json.
    """

    model: keras.Model
    task: Task
    backbone: Backbone
    workdir: pathlib.Path
    held_out: tuple[Sequence[str], ...]
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    def outputs(self, *inputs: Any) -> Any:
        """Returns the model's outputs in the order of the examples: float32 [n ...].

        Args:
          inputs: the texts or images of each of the inputs of `task.served`, in a list, an array or
            a tensor; a single text is one example.
        """
        return self._answered(inputs)[1]

    def predict(self, *inputs: Any) -> list[dict[str, Any]]:
        """Returns what the task reads of each example, in their order; inputs as in `outputs`."""
        return self.answering[0].predictions(*self._answered(inputs))

    @functools.cached_property
    def answering(self) -> tuple[Any, Any]:
        """The task and the body of predictions and exports, see `Task.served`."""
        served = self.task.served
        return served, self.backbone if served is self.task else self.backbone.read_for(served)

    @functools.cached_property
    def _forward(self) -> Any:
        return inference.forward(self.answering[0].outputs_of(self.model))

    def _answered(self, inputs: Sequence[Any]) -> tuple[Examples, Any]:
        initial_weights.check_holder(self.backbone, self.workdir)
        served, body = self.answering
        given = encoding.encoded(served, body.preprocessor, read_inputs(inputs, served))
        outputs = inference.predict(self._forward, given.encoded)
        finite_checks.refuse_outputs(outputs, f"the model of {self.workdir}")
        return given, outputs

    @validated(folder=FILLED)
    @environment.preserve_process_state()
    def export(self, folder: str | os.PathLike[str] | None = None, say: Any = None) -> pathlib.Path:
        """Writes a SavedModel that takes raw strings, or files; returns its version's folder.

        Adapters that can be merged are, and the export has plain kernels.

        Args:
          folder: holds the versions; the workdir's `export` by default.

        Raises:
          ExportError: a fresh process predicts otherwise than the model in memory.
          WorkdirError: weights or outputs are not finite: the training diverged.
        """
        initial_weights.check_holder(self.backbone, self.workdir)
        task, body = self.answering
        most = COMPARED_SEARCHES if task.searched else COMPARED
        most = min(most, body.preprocessor.batch)
        inputs = tuple(column[:most] for column in self.task.asked(self.held_out))
        raw = task.contents(inputs)
        card = {"task": task.config(), "inputs": task.inputs, "backbone": body.config()}
        data = run_files.read_run(Workdir(self.workdir)).get("data") or {}
        card |= {"data": data.get("name"), "columns": data.get("columns")}
        served = Served(self.model, body.preprocessor, task)
        target = pathlib.Path(folder or self.workdir / "export")
        # In half precision a merged kernel rounds otherwise, and so does another size of a batch.
        rounds = body.compute_dtype != "float32" or task.searched
        expected = [] if rounds else self.predict(*inputs)
        with attachment.merged(body):
            if rounds:
                answers = served.answers(raw)
                finite_checks.refuse_outputs(answers, f"the model of {self.workdir}")
                expected = task.answered(answers, Examples(inputs))

            def differ(answers: Answers) -> float:
                return difference(expected, task.answered(answers, Examples(inputs)))

            version, found = write_export(target, served, card, raw, differ)
        (say or Console()).result(
            f"exported to {version}: a fresh process differs by at most {found:.1e} "
            f"on {len(inputs[0])} raw {task.modality}s"
        )
        return version


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
    say: Any = None,
) -> dict[str, Any]:
    """Reports a run's best weights on its held-out split or on another labelled file.

    Args:
      source: a function that opens the run's own data; not called when `input` is given.
      input: a file with texts and labels, "-" for standard input.
      text, label: the names of the file's columns; those of the training file when None. Several
        texts for a task of several inputs, in their order or by input.
      columns: further ones, whose values make slices; those that the file lacks are told.
      slices: as in `run.train`.

    Raises:
      DataError: the run's own data are not there any more, or `input` cannot be read.
      WorkdirError: weights or outputs are not finite: the training diverged.
    """
    say = say or Console()
    files, backbone = Workdir(workdir), backbone.read_for(task)
    task, _, model = restore(task, backbone, files)
    changed = None
    if input is None:
        opened = run_files.open_data(source, workdir)
        changed = run_files.data_change(files, opened)
        if changed:
            say.warn(changed)
        split = "test" if "test" in opened.splits else opened.splits[-1]
        where, further = f"the {split} split", opened.columns(split)
        answers: Sequence[str] | None
        inputs, answers = examples.read(opened, split)
        places = opened.places
    else:
        trained = _columns_of_run(files)
        settings: dict[str, Any] = {"say": say, "columns": columns, "needed": False}
        table = prediction_files.read_input(task, input, trained, text, label, **settings)
        inputs, answers, where, further = table.inputs, table.labels, input, table.columns
        places = table.places
        for name in columns:
            if name not in further:
                say.warn(f"{input} has no column {name!r}: there are no slices by it")
    groups = grouped(inputs[0], slices, further)
    with examples.located(places):
        given = encoding.encoded(task, backbone.preprocessor, inputs, answers)
    for line in task.warnings(given):
        say.warn(line)
    with say.progress(f"evaluating {where}", len(given)) as progress:
        outputs = inference.predict(task.outputs_of(model), given.encoded, advance=progress.advance)
    finite_checks.refuse_outputs(outputs, f"the model of {workdir}")
    if given.encoded.padded:
        cut = given.encoded.truncation()
        say.info(
            f"{where}: {cut['cut_texts']:,} of {cut['texts']:,} texts cut, "
            f"{cut['cut_tokens']:,} of {cut['tokens']:,} tokens"
        )
    sums = task.sums(given, outputs)
    lower = next(iter(task.figures)) in task.lower
    divided = {**task.groups(given), **encoded_groups(given.encoded), **groups}
    more = {
        "ledger": {"figure": truncation.on_cut(given.encoded, task.measure, sums)},
        "slices": slice_rows(divided, task.measure, sums, lower),
        **({"data_changed": changed} if changed else {}),
    }
    metrics = task.evaluate(given, outputs)
    return _show_metrics(task, metrics, task.described(given, outputs), say, **more)


def _columns_of_run(files: Workdir) -> Mapping[str, Any] | None:
    return run_files.columns_of(run_files.read_run(files).get("data") or {})


def _show_metrics(
    task: Any, metrics: dict[str, Any], described: dict[str, Any], say: Any, **more: Any
) -> dict[str, Any]:
    content = {**named(task), **described, "metrics": metrics, "floors": {}, **more}
    show_report(content, say)
    return content


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
    say: Any = None,
) -> int:
    """Writes one JSON object a row of `input`, in its order; returns how many.

    Args:
      input: a file, "-" for standard input.
      output: a file, "-" for standard output.
      force: replaces an existing output.
      text: the columns of the inputs; those of the training file when None.
      on_error: "fail" refuses a file with a row that cannot be read; "skip" leaves such rows out
        and lists them.
      include_input: adds the input's columns to each object; None adds those of CSV and TSV.

    Raises:
      WorkdirError: `output` exists and `force` is off; or outputs are not finite.
      DataError: `input` cannot be read.
    """
    say = say or Console()
    refuse_existing(output, force)
    files = Workdir(workdir)
    trained = _columns_of_run(files)
    settings: dict[str, Any] = {"on_error": on_error, "include_input": include_input, "say": say}
    rows = prediction_files.read_rows(task.served, input, trained, text, **settings)
    backbone = backbone.read_for(task)
    task, _, model = restore(task, backbone, files)
    task, body = Run(model, task, backbone, pathlib.Path(workdir), ()).answering
    if on_error == "skip":
        rows = prediction_files.without_unreadable(rows, body.preprocessor)
    found: list[dict[str, Any]] = []
    if rows.kept:
        given = encoding.encoded(task, body.preprocessor, rows.inputs)
        with say.progress("predicting", len(given)) as progress:
            outputs = inference.predict(
                task.outputs_of(model), given.encoded, advance=progress.advance
            )
        finite_checks.refuse_outputs(outputs, f"the model of {workdir}")
        if given.encoded.padded:
            cut = given.encoded.truncation()
            say.info(f"{cut['cut_texts']:,} of {cut['texts']:,} texts were cut")
        found = task.predictions(given, outputs)
    prediction_files.write_predictions(rows, found, output, say)
    return len(found)


@environment.preserve_process_state()
def export(
    task: Any, backbone: Any, workdir: str, *, source: Any = None, say: Any = None
) -> pathlib.Path:
    """Exports a run's best weights below its folder; returns the version's folder.

    Args:
      source: opens the run's own data; called only for a run of an earlier version, which has not
        kept the examples that an export is compared on.
    """
    say, backbone = say or Console(), backbone.read_for(task)
    files = Workdir(workdir)
    task, _, model = restore(task, backbone, files)
    held_out = run_files.load_held_out(files)
    if held_out is None:
        say.info(f"{workdir} holds no {run_files.HELD_OUT}: the held-out examples are read anew")
        with run_files.advise(run_files.HELD_OUT):
            opened = source() if callable(source) else source
        if opened is None:
            raise WorkdirError(f"{workdir} holds no {run_files.HELD_OUT}.", valid=run_files.AGAIN)
        split = "test" if "test" in opened.splits else opened.splits[-1]
        held_out = examples.columns(opened, split)
    return Run(model, task, backbone, pathlib.Path(workdir), held_out).export(say=say)


@environment.preserve_process_state()
def predict_export(
    workdir: str,
    *,
    input: str,
    output: str = "-",
    force: bool = False,
    text: Requested = None,
    on_error: str = "fail",
    include_input: bool | None = None,
    say: Any = None,
) -> int:
    """Does what `predict` does with an exported model alone."""
    say = say or Console()
    refuse_existing(output, force)
    card = read_card(workdir)
    task = tasks.of_card(card["task"], workdir).served
    columns = run_files.columns_of(card)
    settings: dict[str, Any] = {"on_error": on_error, "include_input": include_input, "say": say}
    rows = prediction_files.read_rows(task, input, columns, text, **settings)
    problems: dict[int, str] = {}
    skip = problems if on_error == "skip" else None
    answers = run_export(workdir, rows.inputs, say, task.contents, skip)
    if problems:
        kept = [place for place in range(len(rows.kept)) if place not in problems]
        rows = prediction_files.without(rows, kept, problems)
        answers = {name: [values[place] for place in kept] for name, values in answers.items()}
    finite_checks.refuse_outputs(answers, workdir)
    found = task.answered(answers, Examples(rows.inputs)) if rows.kept else []
    prediction_files.write_predictions(rows, found, output, say)
    return len(found)


@environment.preserve_process_state()
def evaluate_export(
    workdir: str,
    *,
    input: str,
    text: Requested = None,
    label: str | None = None,
    say: Any = None,
) -> dict[str, Any]:
    """Does what `evaluate` does on a labelled file with an exported model alone.

    Raises:
      ExportError: the answers of an export of this task do not hold what its metrics need.
    """
    say = say or Console()
    card = read_card(workdir)
    task = tasks.of_card(card["task"], workdir)
    for figure, reason in task.unserved_figures.items():
        if figure == next(iter(task.figures)):
            raise ExportError(
                f"an export of {task.name} cannot be evaluated: {reason}.",
                valid="tfft evaluate --workdir=FOLDER, with the folder of the run",
            )
        say.info(f"{figure} is left out: {reason}")
    table = prediction_files.read_input(
        task, input, run_files.columns_of(card), text, label, say=say
    )
    answers = run_export(workdir, task.asked(table.inputs), say, task.contents)
    finite_checks.refuse_outputs(answers, workdir)
    with examples.located(table.places):
        metrics, described = task.evaluate_answers(Examples(table.inputs, table.labels), answers)
    return _show_metrics(task, metrics, described, say)
