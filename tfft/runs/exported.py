"""Predictions and metrics of an export alone, without the run that it came from."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfft import tasks
from tfft.data import examples
from tfft.data.examples import Examples
from tfft.errors import ExportError
from tfft.evaluation import finite_checks
from tfft.export.exported_model import read_card, run_export
from tfft.export.manifest import AGAIN
from tfft.reports.console import Console
from tfft.runs import environment, prediction_files, run_files
from tfft.runs.prediction_files import Requested, show_metrics
from tfft.storage.atomic_write import refuse_existing
from tfft.tasks.base import serving_signature


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
    trust_data: bool = False,
    trust_export: bool = False,
    say: Any = None,
) -> int:
    """Does what `predict` does with an exported model alone.

    Args:
      trust_data: whether `input` may name images and sounds outside of its folder.
      trust_export: whether to load an export whose operations may do more than compute.

    Raises:
      ExportError: the export is damaged, or has such operations.
    """
    say = say or Console()
    refuse_existing(output, force)
    task, columns = described(workdir)
    signature = serving_signature(task)
    settings: dict[str, Any] = {"on_error": on_error, "include_input": include_input, "say": say}
    settings["trust_data"] = trust_data
    rows = prediction_files.read_rows(signature.task, input, columns, text, **settings)
    problems: dict[int, str] = {}
    skip = problems if on_error == "skip" else None
    answers = run_export(workdir, rows.inputs, say, signature.to_serving, skip, trust_export)
    if problems:
        kept = [place for place in range(len(rows.kept)) if place not in problems]
        rows = prediction_files.without(rows, kept, problems)
        answers = {name: [values[place] for place in kept] for name, values in answers.items()}
    finite_checks.refuse_outputs(answers, workdir)
    with _readable(f"the answers of {workdir} are not those of its task"):
        found = signature.format_answers(answers, Examples(rows.inputs)) if rows.kept else []
    prediction_files.write_predictions(rows, found, output, say)
    return len(found)


@environment.preserve_process_state()
def evaluate_export(
    workdir: str,
    *,
    input: str,
    text: Requested = None,
    label: str | None = None,
    trust_data: bool = False,
    trust_export: bool = False,
    say: Any = None,
) -> dict[str, Any]:
    """Does what `evaluate` does on a labelled file with an exported model alone.

    Args:
      trust_data, trust_export: as in `predict_export`.

    Raises:
      ExportError: the export is damaged, or may do more than compute; or its answers do not hold
        what the metrics of the task need.
    """
    say = say or Console()
    task, columns = described(workdir)
    signature, metrics = serving_signature(task), task.build_evaluator().metrics
    for metric in metrics:
        if metric.not_served and metric is metrics[0]:
            raise ExportError(
                f"an export of {task.name} cannot be evaluated: {metric.not_served}.",
                valid="tfft evaluate --workdir=FOLDER, with the folder of the run",
            )
        if metric.not_served:
            say.info(f"{metric.key} is left out: {metric.not_served}")
    table = prediction_files.read_input(
        task, input, columns, text, label, say=say, trust_data=trust_data
    )
    inputs = signature.split_inputs(table.inputs)
    answers = run_export(workdir, inputs, say, signature.to_serving, trust_export=trust_export)
    finite_checks.refuse_outputs(answers, workdir)
    with examples.located(table.places):
        labelled = Examples(table.inputs, table.labels)
        with _readable(f"the answers of {workdir} are not those of its task"):
            found, details = signature.evaluate_answers(task, labelled, answers)
    return show_metrics(task, found, details, say)


def described(workdir: str) -> tuple[Any, Mapping[str, Any] | None]:
    """Returns the task of an export, and the columns of its training file.

    Raises:
      ExportError: there is no export, or its tfft.json is damaged or does not describe a task.
    """
    card = read_card(workdir)
    with _readable(f"the tfft.json of {workdir} does not describe a task"):
        task = tasks.of_card(card["task"], workdir)
        serving_signature(task)
        task.build_evaluator()
    return task, run_files.columns_of(card)


@contextlib.contextmanager
def _readable(problem: str) -> Iterator[None]:
    """Refuses an export of which a part has another form than exports have."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise ExportError(
            f"{problem}: {type(error).__name__}: {reason}.",
            valid="an export of this version of tfft",
            see=AGAIN,
        ) from error
