"""Boxes of any number in an image, from a pyramid of feature maps."""

import json

import keras
import made_data
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.image.tiny_image import tiny_image
from tfft.data.encoded_split import Ragged
from tfft.data.inputs import Image
from tfft.metrics.image import boxes
from tfft.metrics.record_aggregates import collect
from tfft.reports.console import Console
from tfft.tasks.backbone_output import PYRAMID
from tfft.tasks.base import Task, config_of
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.report_examples import shown_examples
from tfft.tasks.signatures.base import DEFAULT, ServingSignature
from tfft.tasks.targets.base import Answers
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
NAMES = tuple(made_data.COLORS)
LEVELS = ("P1", "P2")


@keras.saving.register_keras_serializable("test")
class CellHead(keras.layers.Layer):
    """At each cell of two levels [left top right bottom] in pixels and logits: [b cells 4+1+n]."""

    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.convolutions = {
            name: keras.layers.Conv2D(5 + classes, 3, padding="same", name=name) for name in LEVELS
        }

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}

    def build(self, shapes):
        self.cells = sum(shapes[name][1] * shapes[name][2] for name in LEVELS)
        for name in LEVELS:
            self.convolutions[name].build(shapes[name])

    def call(self, maps):
        ops, rows, middles = keras.ops, [], []
        for name in LEVELS:
            out = self.convolutions[name](maps[name])
            rows.append(ops.reshape(out, (-1, out.shape[1] * out.shape[2], out.shape[3])))
            places = (np.arange(out.shape[1]) + 0.5) * (made_data.SIZE / out.shape[1])
            middles.append(np.stack(np.meshgrid(places, places), axis=-1).reshape(-1, 2))
        found, middle = ops.concatenate(rows, axis=1), np.concatenate(middles).astype(np.float32)
        far = 4 * ops.softplus(found[..., :4])  # from the middle of the cell to each side
        boxes = [middle - far[..., :2], middle + far[..., 2:]]
        return ops.concatenate([*boxes, found[..., 4:]], axis=-1)


@keras.saving.register_keras_serializable("test")
class CellLoss(keras.losses.Loss):
    """Each true box is learned by the cell of the first level that its middle is in."""

    def call(self, y_true, y_pred):
        ops, side = keras.ops, made_data.SIZE // 2
        there = ops.cast(y_true[..., 4] >= 0, "float32")
        middle = ops.cast((y_true[..., :2] + y_true[..., 2:4]) / 4, "int32")
        place = ops.clip(middle[..., 1] * side + middle[..., 0], 0, side * side - 1)
        own = ops.take_along_axis(y_pred, place[..., None], axis=1)
        boxes = ops.sum(ops.abs(own[..., :4] - y_true[..., :4]), axis=-1) / made_data.SIZE
        label = ops.cast(ops.maximum(y_true[..., 4], 0), "int32")
        logits = own[..., 5:]
        right = ops.take_along_axis(logits, label[..., None], axis=-1)[..., 0]
        classes = ops.logsumexp(logits, axis=-1) - right
        marked = ops.sum(ops.one_hot(place, ops.shape(y_pred)[1]) * there[..., None], axis=1)
        objects = keras.losses.binary_crossentropy(
            ops.minimum(marked, 1.0)[..., None], y_pred[..., 4:5], from_logits=True
        )
        count = ops.maximum(ops.sum(there, axis=1), 1.0)
        own_loss = ops.sum((boxes + classes) * there, axis=1) / count
        return own_loss + ops.sum(objects, axis=1) / count


class ObjectDetection(Task):
    """Boxes and their classes. An answer is JSON: [[left, top, right, bottom, "class"], ...]."""

    name = "object_detection"
    inputs = (Image("image"),)
    target = Answers()
    backbone_output = PYRAMID

    def encode_targets(self, examples):
        rows = [
            [[*box[:4], NAMES.index(box[4])] for box in json.loads(answer)]
            for answer in examples.answers
        ]
        values = np.array([box for row in rows for box in row], np.float32).reshape(-1, 5)
        offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        return Ragged(values, offsets, padding=-1, along="own")

    def build_head(self, backbone):
        return CellHead(len(NAMES), name="head")

    def build_loss(self, head):
        return CellLoss()

    def build_evaluator(self):
        return DetectionEvaluator()

    def build_signatures(self):
        return {DEFAULT: DetectionSignature(self)}

    def get_config(self):
        return config_of(self)


def detections(output):
    """Returns boxes, scores and class numbers of an image, the surest ten."""
    sure = 1 / (1 + np.exp(-output[:, 4]))
    kept = np.argsort(-sure, kind="stable")[:10]
    return output[kept, :4], sure[kept], output[kept, 5:].argmax(-1)


class DetectionEvaluator(Evaluator):
    metrics = reported({"mean_average_precision": "mAP", "average_precision_50": "AP at IoU 0.5"})
    aggregate = "mean_average_precision"

    def terms(self, examples, outputs):
        records = []
        for row, output in zip(examples.targets.rows(), outputs, strict=True):
            found, scores, labels = detections(output)
            true = row[:, :4], row[:, 4].astype(int)
            records.append(boxes.match_detections(found, scores, labels, *true, len(NAMES)))
        terms = collect(records)
        return {metric.key: (metric.key, terms) for metric in self.metrics}

    def report_examples(self, examples, outputs):
        return shown_examples(examples, np.arange(0), lambda row: {})


class DetectionSignature(ServingSignature):
    def serving_outputs(self, outputs, features):
        sure = tf.sigmoid(outputs[..., 4])
        score, place = tf.math.top_k(sure, 10)
        kept = tf.gather(outputs, place, batch_dims=1)
        label = tf.gather(tf.constant(NAMES), tf.argmax(kept[..., 5:], axis=-1))
        return {"boxes": kept[..., :4], "score": score, "label": label}

    def format_predictions(self, examples, outputs):
        found = [detections(np.asarray(output)) for output in outputs]
        return [_format(box, score, np.array(NAMES)[label]) for box, score, label in found]

    def format_answers(self, answers, examples):
        rows = zip(answers["boxes"], answers["score"], answers["label"], strict=True)
        return [
            _format(box, score, [name.decode() for name in label]) for box, score, label in rows
        ]


def _format(box, score, label):
    pairs = zip(np.asarray(box).tolist(), np.asarray(score).tolist(), label, strict=True)
    return {"boxes": [{"box": b, "score": s, "label": str(name)} for b, s, name in pairs]}


def examples(count, seed=0):
    """Pictures of none, one or two squares with their boxes."""
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        pixels, answer = made_data.picture(rng, "red", (0, 0, 0, 0))[0], []
        for half in range(number % 3):
            side, name = int(rng.integers(8, 12)), str(rng.choice(NAMES))
            left, top = int(rng.integers(0, 12 - side + 1)) + 12 * half, int(rng.integers(0, 13))
            box = (left, top, left + side, top + side)
            pixels[top : top + side, left : left + side] = made_data.COLORS[name]
            answer.append([*box, name])
        found.append((pixels, answer))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    splits = {"train": examples(150), "validation": examples(18, 1), "test": examples(45, 2)}
    stage = Stage(epochs=12, batch_size=10, learning_rate=1e-2, schedule=Linear(warmup=0))
    body = tiny_image(3, dim=16, image_size=made_data.SIZE, dropout=0.0)
    room = tmp_path_factory.mktemp("detection")
    return tfft.train(ObjectDetection(), body, splits, stage, workdir=room, plots=False, say=QUIET)


def test_boxes_are_found_and_the_metric_has_an_interval(run):
    found = run.report["metrics"]["average_precision_50"]
    assert found["value"] > 0.2
    assert found["low"] <= found["value"] <= found["high"] and found["low"] < found["high"]


def test_predictions_and_the_export_agree(run, tmp_path):
    pixels = [row[0] for row in examples(4, 3)]
    served = tf.saved_model.load(str(run.export(tmp_path))).signatures["serving_default"]
    answers = served(image=tf.stack([tf.io.encode_png(each) for each in pixels]))
    for row, each in enumerate(run.predict(pixels)):
        boxes = [one["box"] for one in each["boxes"]]
        np.testing.assert_allclose(answers["boxes"][row], boxes, atol=1e-3)


def test_a_pyramid_crosses_the_cut_and_is_stored(tmp_path):
    splits = {"train": examples(20), "test": examples(6, 1)}
    losses = {}
    for where in ("disk", "off"):
        cache = tfft.FeatureCache(where=where)
        stage = Stage(freeze_layers=2, epochs=2, batch_size=5, feature_cache=cache)
        body = tiny_image(3, image_size=made_data.SIZE)
        one = tfft.train(ObjectDetection(), body, splits, stage, plots=False, say=QUIET)
        losses[where] = [record["loss"] for record in one.report["curves"]]
    assert set(one.backbone.boundary(2)) == {"hidden", "P0"}
    np.testing.assert_allclose(losses["disk"], losses["off"], rtol=1e-5)
