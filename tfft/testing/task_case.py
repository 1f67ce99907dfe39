"""The test that every task gets: subclass `TaskCase`, give a task and a source."""

from __future__ import annotations

import contextlib
import pathlib
import tempfile
from typing import Any

import keras
import numpy as np

from tfft.data import examples
from tfft.evaluation import inference
from tfft.export.saved_model import Served, difference, export
from tfft.layers.inspection import named_variables
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.storage.workdir import Workdir
from tfft.tasks import encoding
from tfft.tasks.base import predict_fn, serving_signature
from tfft.tasks.signatures.base import Answers
from tfft.training import checkpointing, loop
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.prepare_stage import Prepared
from tfft.training.schedules.linear import Linear
from tfft.training.stage import Stage


class TaskCase:
    """Checks that a task builds, learns, freezes, is saved, and serves its predictions.

    A subclass gives `make_task`, `make_source` and `make_body`. One model is built for all tests.
    """

    stage = Stage(freeze_layers=1, epochs=3, learning_rate=3e-3, schedule=Linear(warmup=0))
    job: trainer.Trainer
    prepared: Prepared
    _resources: contextlib.ExitStack

    def make_task(self) -> Any:
        raise NotImplementedError

    def make_source(self) -> Any:
        raise NotImplementedError

    def make_body(self) -> Any:
        raise NotImplementedError

    @classmethod
    def setup_class(cls) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(environment.preserve_process_state())
            room = stack.enter_context(tempfile.TemporaryDirectory(prefix="tfft-task-"))
            environment.make_deterministic(0, [cls.stage], Console(quiet=True))
            cls.job, cls.prepared = cls().prepare(pathlib.Path(room, "run"))
            cls._resources = stack.pop_all()

    @classmethod
    def teardown_class(cls) -> None:
        del cls.job, cls.prepared
        cls._resources.close()

    def prepare(self, folder: pathlib.Path) -> tuple[trainer.Trainer, Prepared]:
        """Returns a run's trainer with its splits encoded, and the stage that is ready to train."""
        source = self.make_source()
        task = self.make_task().with_training_answers(source.label_counts("train"))
        encoding.check(task, source)
        body = self.make_body().read_for(task)
        head = built_head(task, body)
        job = trainer.Trainer(task, body, head, 0, Workdir(folder), Console(quiet=True))
        job.encode(source)
        return job, job.prepare(self.stage, 30, False)

    def test_training_lowers_the_loss_and_leaves_frozen_weights(self) -> None:
        job, prepared = self.job, self.prepared
        before = checksums(job.backbone, job.head)
        schedule = loop.Schedule(job.splits["train"], self.stage, (0,))
        data = loop.ExampleReader(job.splits["train"]).dataset(schedule.plan(0))
        losses = prepared.trained.fit(data, epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert prove_freeze(before, prepared, job.backbone, job.head)["frozen_bit_identical"] > 0

    def test_save_and_load_agree(self) -> None:
        job = self.job
        model = inference.forward(predict_fn(job.task, self.prepared.split.full))
        encoded = job.splits["test"]
        expected = inference.predict(model, encoded)
        variables = named_variables(job.backbone, job.head)
        job.files.save("weights.safetensors", checkpointing.values(variables), {})
        zeros = {name: np.zeros(v.shape, v.dtype) for name, v in variables.items()}
        checkpointing.assign(variables, zeros)
        assert not _equal(inference.predict(model, encoded), expected)
        checkpointing.assign(variables, job.files.load("weights.safetensors")[0])
        assert _equal(inference.predict(model, encoded), expected)

    def test_the_export_agrees_with_the_model_and_predictions_have_names(
        self, tmp_path: pathlib.Path
    ) -> None:
        job = self.job
        model, signature = self.prepared.split.full, serving_signature(job.task)
        task: Any = signature.task
        body = job.backbone.read_for(task)
        inputs = signature.split_inputs(examples.columns(self.make_source(), "test"))
        inputs = tuple(column[:8] for column in inputs)
        encoded = encoding.encoded(task, body.preprocessor, inputs)
        outputs = inference.predict(predict_fn(task, model), encoded.encoded)
        expected = signature.format_predictions(encoded, outputs)
        served = Served(model, body.preprocessor, signature)

        def differ(answers: Answers) -> float:
            predictions = signature.format_answers(answers, examples.Examples(inputs))
            return difference(expected, predictions)

        raw = signature.to_serving(inputs)
        _, largest = export(tmp_path / "export", served, {}, raw, differ)
        assert largest <= 1e-5
        assert all(map(self.named, expected))

    def named(self, prediction: dict[str, Any]) -> bool:
        """Returns True if a prediction has a label that is a name rather than a number."""
        return not str(prediction["label"]).isdigit()


def _equal(one: Any, other: Any) -> bool:
    return all(map(np.array_equal, keras.tree.flatten(one), keras.tree.flatten(other)))
