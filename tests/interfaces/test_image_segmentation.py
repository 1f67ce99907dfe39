"""A class for each pixel; pictures and masks are turned together."""

import keras
import made_data
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.image.tiny_image import tiny_image
from tfft.data.inputs import Image
from tfft.errors import DataError
from tfft.metrics.image.masks import mask_terms
from tfft.preprocessing.media_files import content, data_uri
from tfft.reports.console import Console
from tfft.tasks.backbone_output import SPATIAL
from tfft.tasks.base import Task
from tfft.tasks.evaluators.base import Evaluator, reported
from tfft.tasks.report_examples import shown_examples
from tfft.tasks.signatures.base import DEFAULT
from tfft.tasks.signatures.values import ValueSignature
from tfft.tasks.targets.base import Answers
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)
SIZE, CLASSES = made_data.SIZE, 1 + len(made_data.COLORS)


class Flip:
    """Turns half of the pictures of a batch from left to right, and their masks."""

    def __call__(self, inputs, targets, rng):
        turned = rng.random(len(targets)) < 0.5
        pixels = inputs["pixels"].copy()
        pixels[turned], targets = pixels[turned, :, ::-1], targets.copy()
        targets[turned] = targets[turned, :, ::-1]
        return {**inputs, "pixels": pixels}, targets


class ImageSegmentation(Task):
    """The class of each pixel. An answer is where an index PNG is, of the size that is read."""

    name = "image_segmentation"
    inputs = (Image("image"),)
    target = Answers()
    backbone_output = SPATIAL
    augmentation = Flip()

    def encode_targets(self, examples):
        masks = [tf.io.decode_png(content(answer), 1)[..., 0] for answer in examples.answers]
        for answer, mask in zip(examples.answers, masks, strict=True):
            if mask.shape != (SIZE, SIZE):
                error = DataError(f"a mask is {tuple(mask.shape)}.")
                error.answers = [answer]
                raise error
        return np.stack(masks).astype(np.int32)

    def build_head(self, backbone):
        height = backbone.head_shape[1]
        return keras.Sequential(
            [
                keras.layers.Conv2D(CLASSES, 3, padding="same", name="scores"),
                keras.layers.UpSampling2D(SIZE // height, interpolation="bilinear"),
                keras.layers.Softmax(dtype="float32"),
            ],
            name="head",
        )

    def build_loss(self, head):
        return keras.losses.SparseCategoricalCrossentropy()

    def build_evaluator(self):
        return MaskEvaluator()

    def build_signatures(self):
        def classes(outputs):
            return keras.ops.argmax(outputs, axis=-1)

        return {DEFAULT: ValueSignature(self, classes, "mask")}


class MaskEvaluator(Evaluator):
    metrics = reported({"mean_iou": "mean IoU", "dice": "Dice"})
    aggregate = "mean_iou"

    def terms(self, examples, outputs):
        terms = mask_terms(np.argmax(outputs, axis=-1), examples.targets, CLASSES)
        return {metric.key: (metric.key, terms) for metric in self.metrics}

    def report_examples(self, examples, outputs):
        return shown_examples(examples, np.arange(0), lambda row: {})


def examples(count, seed=0):
    rng, found = np.random.default_rng(seed), []
    for number in range(count):
        name = list(made_data.COLORS)[number % 3]
        pixels, (left, top, right, below) = made_data.picture(rng, name)
        mask = np.zeros((SIZE, SIZE, 1), np.uint8)
        mask[top:below, left:right] = 1 + number % 3
        found.append((pixels, data_uri(tf.io.encode_png(mask).numpy(), "png", f"mask {number}")))
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    splits = {"train": examples(60), "validation": examples(12, 1), "test": examples(30, 2)}
    stage = Stage(epochs=6, batch_size=10, learning_rate=2e-2, schedule=Linear(warmup=0))
    room = tmp_path_factory.mktemp("segmentation")
    body = tiny_image(2, image_size=SIZE)
    return tfft.train(
        ImageSegmentation(), body, splits, stage, workdir=room, plots=False, say=QUIET
    )


def test_masks_are_better_than_background_alone(run):
    metric = run.report["metrics"]["mean_iou"]
    assert metric["low"] > 0.3  # background alone has less than 0.25
    assert metric["low"] <= metric["value"] <= metric["high"]


def test_predictions_and_the_export_are_masks(run, tmp_path):
    pixels = [row[0] for row in examples(4, 3)]
    served = tf.saved_model.load(str(run.export(tmp_path))).signatures["serving_default"]
    answers = served(image=tf.stack([tf.io.encode_png(each) for each in pixels]))
    masks = np.array([each["mask"] for each in run.predict(pixels)])
    assert masks.shape == (4, SIZE, SIZE)
    assert np.mean(masks == answers["mask"].numpy()) > 0.999


def test_an_answer_that_cannot_be_read_is_located():
    wrong = tf.io.encode_png(np.zeros((4, 4, 1), np.uint8)).numpy()
    splits = {"train": [*examples(6), (examples(1)[0][0], data_uri(wrong, "png"))]}
    splits["test"] = examples(3, 1)
    with pytest.raises(DataError, match=r"a mask is \(4, 4\)") as caught:
        tfft.train(ImageSegmentation(), tiny_image(image_size=SIZE), splits, say=QUIET)
    assert "example 7 of the train split" in caught.value.set_in
