"""The test that every task gets: subclass `TaskCase`, give a task and a source."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from tfft import job as jobs
from tfft import loop, machine
from tfft.console import Console
from tfft.export import Served, export
from tfft.freeze import checksums, prove_freeze
from tfft.model import named_variables
from tfft.stage import Stage
from tfft.workdir import Workdir


class TaskCase:
    """Checks that a task builds, learns, freezes, is saved, and serves what it predicts.

    A subclass gives `make_task`, `make_source` and `make_body`, and `output`, the served answer
    that holds the model's raw outputs.
    """

    output = "probabilities"
    stage = Stage(freeze_layers=1, epochs=3, learning_rate=3e-3, warmup=0)

    def make_task(self) -> Any:
        raise NotImplementedError

    def make_source(self) -> Any:
        raise NotImplementedError

    def make_body(self) -> Any:
        raise NotImplementedError

    def prepared(self, folder: pathlib.Path) -> tuple[jobs.Job, Any]:
        """Returns a job with its splits encoded, and the stage ready to train."""
        machine.make_deterministic(0, [self.stage], Console(quiet=True))
        source, body = self.make_source(), self.make_body()
        task = self.make_task().with_labels(source.labels)
        head = task.head()
        head.build((None, body.dim))
        job = jobs.Job(task, body, head, 0, Workdir(folder), Console(quiet=True))
        job.encode(source)
        return job, job.prepare(self.stage, 30, False)

    def test_training_lowers_the_loss_and_leaves_frozen_weights(
        self, tmp_path: pathlib.Path
    ) -> None:
        job, prepared = self.prepared(tmp_path)
        before = checksums(job.backbone, job.head)
        schedule = loop.Schedule(job.splits["train"], self.stage, (0,))
        data = loop.Inputs(job.splits["train"]).dataset(schedule.plan(0))
        losses = prepared.trained.fit(data, epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert prove_freeze(before, prepared, job.backbone, job.head)["frozen_bit_identical"] > 0

    def test_save_and_load_agree(self, tmp_path: pathlib.Path) -> None:
        job, prepared = self.prepared(tmp_path)
        model, encoded = prepared.split.full, job.splits["test"]
        expected = loop.predict(model, encoded)
        variables = named_variables(job.backbone, job.head)
        job.files.save("weights.safetensors", loop.values(variables), {})
        loop.assign(variables, {n: np.zeros(v.shape, v.dtype) for n, v in variables.items()})
        assert not np.allclose(loop.predict(model, encoded), expected)
        loop.assign(variables, job.files.load("weights.safetensors")[0])
        assert np.array_equal(loop.predict(model, encoded), expected)

    def test_the_export_agrees_with_the_model_and_predictions_have_names(
        self, tmp_path: pathlib.Path
    ) -> None:
        job, prepared = self.prepared(tmp_path)
        texts = jobs.texts_of(self.make_source(), "test")[:8]
        encoded = jobs.encode_list(texts, None, job.backbone.preprocessor)
        outputs = loop.predict(prepared.split.full, encoded)
        served = Served(prepared.split.full, job.backbone.preprocessor, job.task.serve)
        _, difference = export(tmp_path / "export", served, {}, texts, outputs, self.output)
        assert difference <= 1e-5
        assert not str(job.task.prediction(outputs[0])["label"]).isdigit()
