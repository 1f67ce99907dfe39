"""The labelled examples that `evaluate` reads: the held-out split of a run, or another file."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from tfft.data import examples
from tfft.runs import prediction_files, run_files
from tfft.runs.prediction_files import Requested, columns_of_run
from tfft.storage.workdir import Workdir


@dataclasses.dataclass(frozen=True)
class LabelledExamples:
    """Examples with their answers.

    Attributes:
      inputs: the texts of each input, [n] each.
      answers: [n]; None where the file has none.
      columns: further columns, which make slices, [n] each.
      where: what they are, for messages.
      places: from inputs to where they stand, for errors.
      data_changed: how the data differ from those of the training; None where they do not.
    """

    inputs: tuple[Sequence[str], ...]
    answers: Sequence[str] | None
    columns: Mapping[str, Sequence[str]]
    where: str
    places: Callable[[Collection[str]], list[str]]
    data_changed: str | None = None

    @property
    def notes(self) -> dict[str, str]:
        """What a report of the examples has to state, by key."""
        return {"data_changed": self.data_changed} if self.data_changed else {}


def held_out_examples(source: Any, files: Workdir, say: Any) -> LabelledExamples:
    """Returns the held-out split of a run; warns where its data have changed.

    Args:
      source: a function that opens the run's data.

    Raises:
      DataError: the data are not there any more.
    """
    opened = run_files.open_data(source, str(files.path))
    changed = run_files.data_change(files, opened)
    if changed:
        say.warn(changed)
    split = examples.evaluated_split(opened)
    inputs, answers = examples.read(opened, split)
    columns = opened.columns(split)
    return LabelledExamples(
        inputs, answers, columns, f"the {split} split", opened.places, data_changed=changed
    )


def examples_of_file(
    task: Any,
    path: str,
    files: Workdir,
    text: Requested,
    label: str | None,
    columns: Sequence[str],
    say: Any,
    trust_data: bool = False,
) -> LabelledExamples:
    """Returns the examples of a labelled file; warns of columns that it does not have.

    Args:
      path: the file, "-" for standard input.
      files: the run's folder, which names the columns of the training file.
      text, label, columns, trust_data: as in `tfft.api.evaluate`.

    Raises:
      DataError: the file cannot be read.
    """
    settings: dict[str, Any] = {"say": say, "columns": columns, "needed": False}
    settings["trust_data"] = trust_data
    table = prediction_files.read_input(task, path, columns_of_run(files), text, label, **settings)
    for name in columns:
        if name not in table.columns:
            say.warn(f"{path} has no column {name!r}: there are no slices by it")
    return LabelledExamples(table.inputs, table.labels, table.columns, path, table.places)
