"""Trainings that tests compare: step by step, and stopped and continued."""

import contextlib
import pathlib

import numpy as np
import pytest
from safetensors.numpy import load_file

from tfft.evaluation import inference
from tfft.training import checkpointing, loop
from tfft.training.freezing import adapt


def slow(*values):
    """Returns a case of a test that `make test-all` runs and `make test` does not."""
    return pytest.param(*values, marks=pytest.mark.slow)


def stored(job, stage):
    """Returns the training inputs of a stage, with its stored features, without training."""
    adapt([stage], job.backbone, 0)
    return job.inputs(stage, "train", job.cuts([stage]), stage.feature_cache.where)


def steps(job, stage, output=None):
    """Returns the loss of each step, the outputs on the test split, and the training inputs.

    `output` makes of the model what is called on the test split.
    """
    adapt([stage], job.backbone, 0)
    schedule = loop.Schedule(job.splits["train"], stage, (0, 0))
    cuts = job.cuts([stage])
    where = stage.feature_cache.where
    kept = job.trained_variables([stage])
    prepared = job.prepare(stage, schedule.total_steps, where != "off")
    loop.reseed(kept, (0, 0))
    inputs = job.inputs(stage, "train", cuts, where)
    losses = []
    for epoch in range(schedule.epochs):
        for batch, targets in inputs.dataset(schedule.plan(epoch)):
            prepared.trained.reset_metrics()
            found = prepared.trained.train_on_batch(batch, targets, return_dict=True)
            losses.append(float(found["loss"]))
    full = prepared.split.full if output is None else output(prepared.split.full)
    return losses, inference.predict(full, job.splits["test"]), inputs


@contextlib.contextmanager
def stopped_after(at):
    """Stops a run once it has saved a checkpoint at `at` batches or later."""
    plain = checkpointing.Recorder.checkpoint

    def stops(self, best=False):
        plain(self, best)
        if self.position.total_steps >= at:
            self.workdir.finish()
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(checkpointing.Recorder, "checkpoint", stops)
        yield


def newest(folder):
    """Returns the path of a run's last checkpoint."""
    return sorted(pathlib.Path(folder, "checkpoints").glob("step-*"))[-1]


def same(first, second):
    """Says whether two files hold the same arrays, bit for bit."""
    one, two = load_file(first), load_file(second)
    assert one.keys() == two.keys() and one
    return all(np.array_equal(one[name], two[name]) for name in one)
