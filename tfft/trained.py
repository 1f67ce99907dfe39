"""A trained model: what it predicts, how good it is, and its export. The verbs that need no data
to train on: evaluate, predict, export.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfft import adapters, examples, loop, machine, tasks
from tfft import job as jobs
from tfft.arguments import FILLED, validated
from tfft.backbones.base import Backbone
from tfft.console import Console
from tfft.export import Served, difference, newest_version, run_export
from tfft.export import export as write_export
from tfft.metrics import ledger
from tfft.metrics.slices import Slicer, encoded_groups, grouped, slice_rows
from tfft.report import named
from tfft.report_tables import tables
from tfft.sources.elements import read_inputs
from tfft.sources.files import Table, read
from tfft.sources.images import read_images
from tfft.task import Answers, Examples, Task
from tfft.workdir import Workdir, refuse_existing, write_atomic

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
      held_out: raw examples on which an export is compared, the texts of each input.
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
        return loop.forward(self.answering[0].outputs_of(self.model))

    def _answered(self, inputs: Sequence[Any]) -> tuple[Examples, Any]:
        served, body = self.answering
        given = examples.encoded(served, body.preprocessor, read_inputs(inputs, served))
        return given, loop.predict(self._forward, given.encoded)

    @validated(folder=FILLED)
    @machine.preserve_process_state()
    def export(self, folder: str | os.PathLike[str] | None = None, say: Any = None) -> pathlib.Path:
        """Writes a SavedModel that takes raw strings, or files; returns its version's folder.

        Adapters that can be merged are, and the export has plain kernels.

        Args:
          folder: holds the versions; the workdir's `export` by default.

        Raises:
          ExportError: a fresh process predicts otherwise than the model in memory.
        """
        task, body = self.answering
        most = COMPARED_SEARCHES if task.searched else COMPARED
        most = min(most, body.preprocessor.batch)
        inputs = tuple(column[:most] for column in self.task.asked(self.held_out))
        raw = task.contents(inputs)
        card = {"task": task.config(), "inputs": task.inputs, "backbone": body.config()}
        served = Served(self.model, body.preprocessor, task)
        target = pathlib.Path(folder or self.workdir / "export")
        # In half precision a merged kernel rounds otherwise, and so does another size of a batch.
        rounds = body.compute_dtype != "float32" or task.searched
        expected = [] if rounds else self.predict(*inputs)
        with adapters.merged(body):
            if rounds:
                expected = task.answered(served.answers(raw), Examples(inputs))

            def differ(answers: Answers) -> float:
                return difference(expected, task.answered(answers, Examples(inputs)))

            version, found = write_export(target, served, card, raw, differ)
        (say or Console()).result(
            f"exported to {version}: a fresh process differs by at most {found:.1e} "
            f"on {len(inputs[0])} raw {task.modality}s"
        )
        return version


@machine.preserve_process_state()
def evaluate(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    source: Any = None,
    input: str | None = None,
    text: str | Sequence[str] | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    slices: Mapping[str, Slicer] | None = None,
    say: Any = None,
) -> dict[str, Any]:
    """Reports a run's best weights on its held-out split or on another labelled file.

    Args:
      source: a function that opens the run's own data; not called when `input` is given.
      input: a file with texts and labels, "-" for standard input.
      text, label: the names of the file's columns, several texts for a task of several inputs.
      columns: further ones, whose values make slices; those that the file lacks are told.
      slices: as in `run.train`.
    """
    say = say or Console()
    files, backbone = Workdir(workdir), backbone.read_for(task)
    task, _, model = jobs.restore(task, backbone, files)
    if input is None:
        opened = source() if callable(source) else source
        split = "test" if "test" in opened.splits else opened.splits[-1]
        where, further = f"the {split} split", opened.columns(split)
        answers: Sequence[str] | None
        inputs, answers = examples.read(opened, split)
    else:
        table = _read(task, input, text, label, columns=columns, needed=False)
        inputs, answers, where, further = table.inputs, table.labels, input, table.columns
        for name in columns:
            if name not in further:
                say.warn(f"{input} has no column {name!r}: there are no slices by it")
    groups = grouped(inputs[0], slices, further)
    given = examples.encoded(task, backbone.preprocessor, inputs, answers)
    for line in task.warnings(given):
        say.warn(line)
    with say.progress(f"evaluating {where}", len(given)) as progress:
        outputs = loop.predict(task.outputs_of(model), given.encoded, advance=progress.advance)
    if given.encoded.padded:
        cut = given.encoded.truncation()
        say.info(
            f"{where}: {cut['cut_texts']:,} of {cut['texts']:,} texts cut, "
            f"{cut['cut_tokens']:,} of {cut['tokens']:,} tokens"
        )
    sums = task.sums(given, outputs)
    lower = next(iter(task.figures)) in task.lower
    divided = {**task.groups(given), **encoded_groups(given.encoded), **groups}
    rows = slice_rows(divided, task.measure, sums, lower)
    more = {"figure": ledger.on_cut(given.encoded, task.measure, sums)}
    return _show_metrics(task, given, outputs, say, ledger=more, slices=rows)


def _read(task: Any, input: str, text: Any, label: str | None = None, **more: Any) -> Table:
    """Returns a file's examples as a task reads them; its inputs' names are those of columns.

    Of more names than the task has inputs, as where it answers for one text of a pair, the first.
    """
    if task.modality == "image":
        return read_images(input, image=text, label=label, **more)
    text = tuple(task.inputs) if text is None and len(task.inputs) > 1 else text
    if isinstance(text, list | tuple) and len(text) > len(task.inputs) == 1:
        text = text[0]
    more |= {"classes": task.classes, "empty_labels": task.empty_labels}
    return read(input, text=text, label=label, **more)


def _show_metrics(
    task: Any, given: Examples, outputs: Any, say: Any, **more: Any
) -> dict[str, Any]:
    content = {
        **named(task),
        **task.described(given, outputs),
        "metrics": task.evaluate(given, outputs),
        "floors": {},
        **more,
    }
    show(content, say)
    return content


@machine.preserve_process_state()
def predict(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    input: str,
    output: str = "-",
    force: bool = False,
    text: str | Sequence[str] | None = None,
    say: Any = None,
) -> int:
    """Writes one JSON object a row of `input`, in its order; returns how many.

    Raises:
      WorkdirError: `output` exists and `force` is off.
      DataError: `input` cannot be read.
    """
    say = say or Console()
    refuse_existing(output, force)
    table = _read(task.served, input, text, labelled=False)
    backbone = backbone.read_for(task)
    task, _, model = jobs.restore(task, backbone, Workdir(workdir))
    task, body = Run(model, task, backbone, pathlib.Path(workdir), ()).answering
    given = examples.encoded(task, body.preprocessor, table.inputs)
    with say.progress("predicting", len(given)) as progress:
        outputs = loop.predict(task.outputs_of(model), given.encoded, advance=progress.advance)
    if given.encoded.padded:
        cut = given.encoded.truncation()
        say.info(f"{cut['cut_texts']:,} of {cut['texts']:,} texts were cut")
    _write_lines(task.predictions(given, outputs), output, say)
    return len(given)


def _write_lines(rows: list[dict[str, Any]], output: str, say: Any) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if output == "-":
        sys.stdout.write(content)
    else:
        write_atomic(output, content)
        say.info(f"{len(rows):,} predictions in {output}")


@machine.preserve_process_state()
def export(task: Any, backbone: Any, workdir: str, *, source: Any, say: Any = None) -> pathlib.Path:
    """Exports a run's best weights below its folder; returns the version's folder."""
    say, backbone = say or Console(), backbone.read_for(task)
    task, _, model = jobs.restore(task, backbone, Workdir(workdir))
    opened = source() if callable(source) else source
    split = "test" if "test" in opened.splits else opened.splits[-1]
    held_out = examples.columns(opened, split)
    return Run(model, task, backbone, pathlib.Path(workdir), held_out).export(say=say)


@machine.preserve_process_state()
def predict_export(
    workdir: str, *, input: str, output: str = "-", force: bool = False, say: Any = None
) -> int:
    """Does what `predict` does with an exported model alone."""
    say = say or Console()
    refuse_existing(output, force)
    task = _exported_task(workdir)
    inputs = _read(task, input, None, labelled=False).inputs
    answers = run_export(workdir, inputs, say, task.contents)
    _write_lines(task.answered(answers, Examples(inputs)), output, say)
    return len(inputs[0])


def _exported_task(folder: str) -> Any:
    """Returns a task that answers as an export does.

    Raises:
      ExportError: it is a task of somebody's own, whose file is not here.
    """
    version = newest_version(pathlib.Path(folder))
    card = json.loads((version / "tfft.json").read_text())["task"]
    return tasks.of_card(card, str(version))


@machine.preserve_process_state()
def evaluate_export(workdir: str, *, input: str, say: Any = None) -> dict[str, Any]:
    """Does what `evaluate` does on a labelled file with an exported model alone."""
    say = say or Console()
    task = _exported_task(workdir)
    table = _read(task, input, None)
    outputs = task.received(run_export(workdir, table.inputs, say, task.contents))
    given = Examples(table.inputs, table.labels)
    return _show_metrics(task, given.with_targets(task.targets(given)), outputs, say)


def show(content: dict[str, Any], say: Any) -> None:
    """Prints the tables of a report."""
    for table in tables(content):
        say.table(*table, result=True)
