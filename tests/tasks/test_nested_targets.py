"""A task whose targets and outputs are several by name: boxes of an image, and how many it has."""

import dataclasses
from typing import ClassVar

import keras
import numpy as np
import pictures
import pytest

import tfft
from tfft import api
from tfft.backbones.image.tiny_image import tiny_image
from tfft.data.encoded_split import Ragged
from tfft.data.inputs import Image
from tfft.reports.console import Console
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.signatures.base import ServingSignature
from tfft.tasks.targets.base import Target
from tfft.testing.task_case import TaskCase
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.regularizers import Mixup
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
CELLS = 6
STAGE = Stage(epochs=8, learning_rate=2e-2, batch_size=8, schedule=Linear(warmup=0))


class CellHead(keras.layers.Layer):
    """From pooled features [b d] to `cells`, [b 6 4], and `count`, [b 1]."""

    def __init__(self, **kwargs):
        super().__init__(**{"name": "head"} | kwargs)
        self.cells = keras.layers.Dense(CELLS * 4, name="cells")
        self.count = keras.layers.Dense(1, name="count")

    def build(self, shape):
        self.cells.build(shape)
        self.count.build(shape)

    def call(self, pooled):
        cells = keras.ops.reshape(self.cells(pooled), (-1, CELLS, 4))
        return {"cells": cells, "count": self.count(pooled)}


class BoxLoss(keras.losses.Loss):
    """The distance of each box to the nearest cell, and the error of the number of boxes."""

    def call(self, y_true, y_pred):
        ops, boxes = keras.ops, y_true["boxes"]
        known = ops.cast(boxes[..., 0] >= 0, "float32")
        differences = ops.square(boxes[:, :, None] - y_pred["cells"][:, None])
        nearest = ops.min(ops.sum(differences, axis=-1), axis=-1)
        wrong = ops.square(y_true["of_image"]["count"] - y_pred["count"])
        return ops.sum(nearest * known, axis=1) + wrong[:, 0]


class CountError(keras.metrics.Mean):
    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(abs(y_true["of_image"]["count"] - y_pred["count"]))


class BoxEvaluator(Evaluator):
    metrics = reported({"count_error": "error of the count", "distance": "distance of boxes"})

    def terms(self, examples, outputs):
        boxes = examples.targets["boxes"].rows()
        distances = [
            np.square(own[:, None] - cells[None]).sum(-1).min(1).sum()
            for own, cells in zip(boxes, outputs["cells"], strict=True)
        ]
        wrong = np.abs(examples.targets["of_image"]["count"] - outputs["count"])[:, 0]
        scores = {"count_error": wrong, "distance": np.array(distances)}
        return {key: ("mean", {"score": each.astype(float)}) for key, each in scores.items()}


class BoxSignature(ServingSignature):
    def serving_outputs(self, outputs, features):
        return outputs

    def parse(self, answers):
        return {name: np.array(values) for name, values in answers.items()}

    def format_predictions(self, examples, outputs):
        rows = zip(outputs["cells"].tolist(), outputs["count"][:, 0].tolist(), strict=True)
        return [{"cells": cells, "count": count} for cells, count in rows]


@dataclasses.dataclass(frozen=True)
class Colours(Target):
    are_classes: ClassVar[bool | None] = None


class Boxes(Task):
    """Green images have one box, blue ones two, red ones none."""

    name = "boxes"
    inputs = (Image("image"),)
    target = Colours()

    def encode_targets(self, examples):
        counts = np.array([pictures.LABELS.index(answer) for answer in examples.answers])
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        corners = np.repeat(counts / 2, counts)[:, None] + np.arange(4) / 4
        boxes = Ragged(corners.astype(np.float32), offsets, along="own")
        return {"boxes": boxes, "of_image": {"count": counts[:, None].astype(np.float32)}}

    def build_head(self, backbone):
        return CellHead()

    def build_loss(self, head):
        return BoxLoss()

    def build_metrics(self):
        return [CountError("count_error")]

    def build_evaluator(self):
        return BoxEvaluator()

    def build_signatures(self):
        return {"serving_default": BoxSignature(self)}


class TestBoxes(TaskCase):
    def make_task(self):
        return Boxes()

    def make_source(self):
        return pictures.source()

    def make_body(self):
        return tiny_image()

    def named(self, prediction):
        return len(prediction["cells"]) == CELLS and isinstance(prediction["count"], float)


def train(folder, **settings):
    stage = dataclasses.replace(STAGE, freeze_layers="all", **settings)
    body, source = tiny_image(dropout=0.0), pictures.source()
    return tfft.train(Boxes(), body, source, [stage], workdir=folder, say=QUIET, plots=False)


def test_nested_targets_are_trained_evaluated_and_predicted(tmp_path, monkeypatch):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    run = train(tmp_path / "run", feature_cache=FeatureCache(where="memory"))
    metrics = run.report["metrics"]
    first, *_, last = run.report["curves"]
    assert last["val_loss"] < first["val_loss"] and last["count_error"] < first["count_error"]
    images = run.held_out[0][:5]
    outputs = run.outputs(images)
    assert outputs["cells"].shape == (5, CELLS, 4) and outputs["count"].shape == (5, 1)
    assert [row["count"] for row in run.predict(images)] == outputs["count"][:, 0].tolist()
    where, body = str(tmp_path / "run"), tiny_image(dropout=0.0)
    again = api.evaluate(Boxes(), body, where, source=pictures.source(), say=QUIET)
    assert again["metrics"]["distance"] == metrics["distance"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [{"regularizers": (Mixup(0.3),)}, {"batching": tfft.Batching(gradient_accumulation_steps=2)}],
)
def test_nested_targets_are_mixed_and_accumulated(tmp_path, monkeypatch, settings):
    monkeypatch.setenv("TFFT_STORE", str(tmp_path / "store"))
    first, *_, last = train(tmp_path / "run", **settings).report["curves"]
    assert last["val_loss"] < first["val_loss"]
