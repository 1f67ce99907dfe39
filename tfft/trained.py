"""A trained model: what it predicts, how good it is, and its export. The verbs that need no data
to train on: evaluate, predict, export.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from tfft import adapters, loop
from tfft import job as jobs
from tfft.console import Console
from tfft.errors import WorkdirError
from tfft.export import Served, newest_version, run_export
from tfft.export import export as write_export
from tfft.metrics import ledger
from tfft.metrics.slices import Slicer, encoded_groups, grouped, slice_rows
from tfft.report import named
from tfft.report_tables import tables
from tfft.sources.files import read
from tfft.task import Examples
from tfft.tasks.text_classification import TextClassification
from tfft.workdir import Workdir, write_atomic

COMPARED_TEXTS = 512  # raw texts on which an export is compared with the model in memory


@dataclasses.dataclass
class Run:
    """A trained model and where it came from.

    Attributes:
      model: a `keras.Model` from token_ids and padding_mask, int32 [b t]; [b n t] where texts are
        read in windows.
      task, backbone: as they were trained.
      workdir: the run's folder.
      held_out: raw texts on which an export is compared.
      report: the content of report.json.
      summary: of a plan, the content of its report.json.
    """

    model: keras.Model
    task: Any
    backbone: Any
    workdir: pathlib.Path
    held_out: list[str]
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    summary: dict[str, Any] = dataclasses.field(default_factory=dict)

    def outputs(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the model's outputs in the order of the texts: float32 [n c]."""
        encoded = jobs.encode_list(texts, None, self.backbone.preprocessor)
        return loop.predict(self.model, encoded)

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Returns what the task reads of each text, in their order."""
        return [self.task.prediction(row) for row in self.outputs(texts)]

    def export(self, folder: str | os.PathLike[str] | None = None, say: Any = None) -> pathlib.Path:
        """Writes a SavedModel that takes raw strings; returns its version's folder.

        Adapters that can be merged are, and the export has plain kernels.

        Args:
          folder: holds the versions; the workdir's `export` by default.

        Raises:
          ExportError: a fresh process predicts otherwise than the model in memory.
        """
        texts = self.held_out[:COMPARED_TEXTS]
        card = {"task": self.task.config(), "backbone": self.backbone.config()}
        served = Served(self.model, self.backbone.preprocessor, self.task.serve, self.task.labels)
        target = pathlib.Path(folder or self.workdir / "export")
        # A kernel with its adapter merged rounds otherwise in half precision, as any change does.
        half = self.backbone.compute_dtype != "float32"
        outputs = None if half else self.outputs(texts)
        with adapters.merged(self.backbone):
            expected = self.outputs(texts) if outputs is None else outputs
            version, difference = write_export(target, served, card, texts, expected)
        (say or Console()).result(
            f"exported to {version}: a fresh process differs by at most {difference:.1e} "
            f"on {len(texts)} raw texts"
        )
        return version


def evaluate(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    source: Any = None,
    input: str | None = None,
    text: str | None = None,
    label: str | None = None,
    columns: Sequence[str] = (),
    slices: Mapping[str, Slicer] | None = None,
    say: Any = None,
) -> dict[str, Any]:
    """Reports a run's best weights on its held-out split or on another labelled file.

    Args:
      source: a function that opens the run's own data; not called when `input` is given.
      input: a file with texts and labels, "-" for standard input.
      text, label: the names of the file's columns.
      columns: further ones, whose values make slices; those that the file lacks are told.
      slices: as in `run.train`.
    """
    say = say or Console()
    files = Workdir(workdir)
    task, _, model = jobs.restore(task, backbone, files)
    if input is None:
        opened = source() if callable(source) else source
        split = "test" if "test" in opened.splits else opened.splits[-1]
        texts, where = jobs.texts_of(opened, split), f"the {split} split"
        targets = np.concatenate([t for _, t in jobs.labelled_batches(opened, split, task)])
        further = opened.columns(split)
    else:
        table = read(input, text=text, label=label, columns=columns, needed=False)
        texts, where, further = table.texts, input, table.columns
        targets = task.targets(table.labels or ())
        for name in columns:
            if name not in further:
                say.warn(f"{input} has no column {name!r}: there are no slices by it")
    groups = grouped(texts, slices, further)
    encoded = jobs.encode_list(texts, targets, backbone.preprocessor)
    with say.progress(f"evaluating {where}", len(texts)) as progress:
        outputs = loop.predict(model, encoded, advance=progress.advance)
    cut = encoded.truncation()
    say.info(
        f"{where}: {cut['cut_texts']:,} of {cut['texts']:,} texts cut, "
        f"{cut['cut_tokens']:,} of {cut['tokens']:,} tokens"
    )
    examples = Examples((texts,), None, targets, encoded)
    sums, lower = task.sums(examples, outputs), next(iter(task.figures)) in task.lower
    divided = {**task.groups(examples), **encoded_groups(encoded), **groups}
    rows = slice_rows(divided, task.measure, sums, lower)
    more = {"figure": ledger.on_cut(encoded, task.measure, sums)}
    return _show_metrics(task, examples, outputs, say, ledger=more, slices=rows)


def _show_metrics(
    task: Any, examples: Examples, outputs: np.ndarray, say: Any, **more: Any
) -> dict[str, Any]:
    metrics = task.evaluate(examples, outputs)
    content = {"metrics": metrics, "floors": {}, "labels": task.labels, **named(task), **more}
    show(content, say)
    return content


def predict(
    task: Any,
    backbone: Any,
    workdir: str,
    *,
    input: str,
    output: str = "-",
    force: bool = False,
    text: str | None = None,
    say: Any = None,
) -> int:
    """Writes one JSON object a row of `input`, in its order; returns how many.

    Raises:
      WorkdirError: `output` exists and `force` is off.
      DataError: `input` cannot be read.
    """
    say = say or Console()
    _refuse_existing(output, force)
    table = read(input, text=text, labelled=False)
    task, _, model = jobs.restore(task, backbone, Workdir(workdir))
    encoded = jobs.encode_list(table.texts, None, backbone.preprocessor)
    with say.progress("predicting", len(table.texts)) as progress:
        outputs = loop.predict(model, encoded, advance=progress.advance)
    cut = encoded.truncation()
    say.info(f"{cut['cut_texts']:,} of {cut['texts']:,} texts were cut")
    _write_lines([task.prediction(row) for row in outputs], output, say)
    return len(outputs)


def _refuse_existing(output: str, force: bool) -> None:
    if output != "-" and not force and pathlib.Path(output).exists():
        raise WorkdirError(
            f"{output} exists.", set_in="--output", valid="another name, or --force to replace it"
        )


def _write_lines(rows: list[dict[str, Any]], output: str, say: Any) -> None:
    content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    if output == "-":
        sys.stdout.write(content)
    else:
        write_atomic(output, content)
        say.info(f"{len(rows):,} predictions in {output}")


def export(task: Any, backbone: Any, workdir: str, *, source: Any, say: Any = None) -> pathlib.Path:
    """Exports a run's best weights below its folder; returns the version's folder."""
    say = say or Console()
    task, _, model = jobs.restore(task, backbone, Workdir(workdir))
    opened = source() if callable(source) else source
    split = "test" if "test" in opened.splits else opened.splits[-1]
    texts = jobs.texts_of(opened, split)[:COMPARED_TEXTS]
    return Run(model, task, backbone, pathlib.Path(workdir), texts).export(say=say)


def predict_export(
    workdir: str, *, input: str, output: str = "-", force: bool = False, say: Any = None
) -> int:
    """Does what `predict` does with an exported model alone."""
    say = say or Console()
    _refuse_existing(output, force)
    texts = read(input, labelled=False).texts
    labels, outputs = run_export(workdir, texts, say)
    task = _exported_task(workdir, labels)
    _write_lines([task.prediction(row) for row in outputs], output, say)
    return len(outputs)


def _exported_task(folder: str, labels: Sequence[str]) -> Any:
    """Returns a task that answers as an export does."""
    card = json.loads((newest_version(pathlib.Path(folder)) / "tfft.json").read_text())
    return TextClassification(labels).decided(card["task"].get("decision", {}), None)


def evaluate_export(workdir: str, *, input: str, say: Any = None) -> dict[str, Any]:
    """Does what `evaluate` does on a labelled file with an exported model alone."""
    say = say or Console()
    table = read(input, labelled=True)
    labels, outputs = run_export(workdir, table.texts, say)
    task = _exported_task(workdir, labels)
    examples = Examples((table.texts,), table.labels, task.targets(table.labels or ()))
    return _show_metrics(task, examples, outputs, say)


def show(content: dict[str, Any], say: Any) -> None:
    """Prints the tables of a report."""
    for table in tables(content):
        say.table(*table, result=True)
