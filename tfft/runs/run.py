"""A trained model: what it predicts, how good it is, and its export. The verbs that need no data
to train on: evaluate, predict, export, save.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfft.argument_checks.validated import FILLED, validated
from tfft.backbones.base import Backbone, without_folders
from tfft.data.examples import Examples
from tfft.data.inputs import names_of
from tfft.data.python_examples import read_inputs
from tfft.evaluation import finite_checks, inference
from tfft.export import keras_file
from tfft.export.manifest import MODEL
from tfft.export.operations import foreign_operations
from tfft.export.saved_model import Comparison, Served, difference
from tfft.export.saved_model import export as write_export
from tfft.methods import attachment
from tfft.reports.console import Console
from tfft.reports.printable import portable
from tfft.runs import environment, initial_weights, run_files
from tfft.storage.format_versions import EXPORT, KEY
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import Task, modality_of, serving_signature
from tfft.tasks.signatures.base import DEFAULT, Answers, ServingSignature, predictions

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
          inputs: the texts or images of each of the inputs of the signature, in a list, an array or
            a tensor; a single text is one example.
        """
        return self._answered(inputs)[1]

    def predict(self, *inputs: Any) -> list[dict[str, Any]]:
        """Returns what the task reads of each example, in their order; inputs as in `outputs`."""
        return predictions(self._signature, *self._answered(inputs))

    @functools.cached_property
    def answering(self) -> tuple[Any, Any]:
        """The task and the backbone of predictions and exports, see `ServingSignature.task`."""
        return self._reading(self._signature)

    @functools.cached_property
    def _forward(self) -> Any:
        return inference.forward(self._signature.make_predict_fn(self.model))

    @functools.cached_property
    def _signature(self) -> ServingSignature:
        return serving_signature(self.task)

    def _answered(self, inputs: Sequence[Any]) -> tuple[Examples, Any]:
        initial_weights.check_holder(self.backbone, self.workdir)
        served, body = self.answering
        given = encoding.encoded(served, body.preprocessor, read_inputs(inputs, served))
        outputs = inference.predict(self._forward, given.encoded)
        finite_checks.refuse_outputs(outputs, f"the model of {self.workdir}")
        return given, outputs

    @validated(path=FILLED)
    @environment.preserve_process_state()
    def save(self, path: str | os.PathLike[str]) -> pathlib.Path:
        """Writes the model as a `.keras` file, which `tfft.load_model` reads; returns its path.

        Adapters that can be merged are. The file does not hold the preprocessor, nor what the task
        decides after the model, such as thresholds.

        Args:
          path: ends in ".keras"; an existing file is replaced.

        Raises:
          ConfigError: the backbone has adapters that cannot be merged.
          ExportError: the path has another ending.
          WorkdirError: the file cannot be written, or a later run has changed the weights.
        """
        initial_weights.check_holder(self.backbone, self.workdir)
        with attachment.merged(self.backbone):
            return keras_file.save(self.model, path)

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
        card: dict[str, Any] = {KEY: EXPORT, "task": task.get_config()}
        data = run_files.read_run(Workdir(self.workdir)).get("data") or {}
        card |= {"inputs": names_of(task.inputs), "backbone": _described(body.config())}
        card |= {"data": portable(data.get("name"), data.get("name"))}
        card |= {"columns": data.get("columns")}
        target = pathlib.Path(folder or self.workdir / "export")
        signatures = self.task.build_signatures()
        expected = {name: self._expected(each) for name, each in signatures.items()}
        with attachment.merged(self.backbone):
            more = {n: self._comparison(s, expected[n]) for n, s in signatures.items()}
            first = more.pop(DEFAULT)
            version, found = write_export(
                target, first.served, card, first.inputs, first.differ, more
            )
        say = say or Console()
        if foreign := foreign_operations(version / MODEL):
            say.warn(
                f"{version} runs {', '.join(sorted(foreign))}, which may do more than compute: "
                "tfft predict loads it only with --trust_export"
            )
        say.result(
            f"exported to {version}: a fresh process differs by at most {found:.1e} "
            f"on {len(first.inputs[0])} raw {modality_of(task)}s"
        )
        return version

    def _reading(self, signature: ServingSignature) -> tuple[Any, Any]:
        """Returns the task and the backbone of a signature, see `ServingSignature.task`."""
        served = signature.task
        return served, self.backbone if served is self.task else self.backbone.read_for(served)

    def _compared_on(self, signature: ServingSignature) -> tuple[Sequence[str], ...]:
        """Returns the examples on which a signature is compared."""
        most = COMPARED_SEARCHES if signature.is_searched else COMPARED
        most = min(most, self._reading(signature)[1].preprocessor.batch)
        return tuple(column[:most] for column in signature.split_inputs(self.held_out))

    def _rounds(self, signature: ServingSignature) -> bool:
        # In half precision a merged kernel rounds otherwise, and so does another size of a batch.
        return self.backbone.compute_dtype != "float32" or signature.is_searched

    def _expected(self, signature: ServingSignature) -> list[dict[str, Any]] | None:
        """Returns the predictions of a signature's examples; None where merging may change them."""
        if self._rounds(signature):
            return None
        inputs = self._compared_on(signature)
        task, body = self._reading(signature)
        given = encoding.encoded(task, body.preprocessor, inputs)
        outputs = inference.predict(signature.make_predict_fn(self.model), given.encoded)
        finite_checks.refuse_outputs(outputs, f"the model of {self.workdir}")
        return predictions(signature, given, outputs)

    def _comparison(
        self, signature: ServingSignature, expected: list[dict[str, Any]] | None
    ) -> Comparison:
        """Returns how a signature is served and compared, the adapters merged."""
        inputs = self._compared_on(signature)
        raw = signature.to_serving(inputs)
        served = Served(self.model, self._reading(signature)[1].preprocessor, signature)
        if expected is None:
            answers = served.answers(raw)
            finite_checks.refuse_outputs(answers, f"the model of {self.workdir}")
            expected = signature.format_answers(answers, Examples(inputs))

        def differ(answers: Answers) -> float:
            return difference(expected, signature.format_answers(answers, Examples(inputs)))

        return Comparison(served, raw, differ)


def _described(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the config of a backbone, and of its towers, as an export holds it."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        part: Any = _described(value) if isinstance(value, Mapping) else value
        found[name] = without_folders(part) if name == "preset" else part
    return found
