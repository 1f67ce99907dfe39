"""A class from an image, a text and numbers: a tower for each kind of input."""

import json
import pathlib

import keras
import made_data
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.base import Backbone, Group
from tfft.backbones.image.image_backbone import draw_weights
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.multimodal.towers import towers
from tfft.backbones.text.tiny import tiny
from tfft.data.as_source import as_source
from tfft.data.inputs import Image, Number, Text
from tfft.errors import ConfigError, WorkdirError
from tfft.reports.console import Console
from tfft.tasks.classification import Classification
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.regularizers import NoisyEmbeddings
from tfft.training.schedules import Linear
from tfft.training.stage import Stage

QUIET = Console(quiet=True)


class NumberPreprocessor(tf.Module):
    """From numbers as they are written to float32 [b n]."""

    windowed, reads, padded, inputs, pad_id = False, "numbers", False, (), 0
    sequence_length, batch = None, 512

    def __init__(self, count):
        super().__init__()
        self.shape = (count,)
        self.signature = (tf.TensorSpec([None, count], tf.float32, name="numbers"),)

    def rows(self, *columns):
        return self(*columns)

    def __call__(self, *columns):
        return {"numbers": tf.stack([tf.strings.to_number(each) for each in columns], axis=1)}

    def config(self):
        return {"numbers": self.shape[0]}

    def fingerprint(self):
        return f"numbers {self.shape}"


@keras.saving.register_keras_serializable("test")
class TinyNumbers(Backbone):
    """Two dense layers over standardized numbers."""

    modality = "number"

    def __init__(self, count, dim=4):
        inputs = keras.Input((count,))
        layers = [
            keras.layers.BatchNormalization(momentum=0.5, name="standardize"),
            keras.layers.Dense(dim, activation="relu", name="dense"),
        ]
        hidden = inputs
        for layer in layers:
            hidden = layer(hidden)
        self.model, self.count, self.dim, self.depth = keras.Model(inputs, hidden), count, dim, 1
        draw_weights(self.model, 0)
        self.preprocessor = NumberPreprocessor(count)
        self.name = self.preset = "tiny_numbers"
        self.pooling = "none"
        self.groups = (Group("embeddings", (layers[0],)), Group("layer_0", (layers[1],)))

    def _read_for(self, task):
        return self

    @property
    def reads(self):
        return {"numbers": ((self.count,), "float32")}

    def shape_at(self, depth, pooled=False):
        return (self.dim if depth else self.count,)

    def embed(self, batch, training=None):
        return self.groups[0].layers[0](batch["numbers"], training=training)

    def layers(self, first, hidden, padding_mask, modes, pooled_next=False):
        return self.groups[1].layers[0](hidden) if modes else hidden

    def pool(self, hidden, padding_mask, training=None):
        return hidden

    def settings(self):
        return {"count": self.count}

    def describe_splits(self, splits):
        return [("Numbers", ["split"], [[split] for split in splits])], []

    def get_config(self):
        return {"count": self.count, "dim": self.dim}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


class MixedClassification(Classification):
    """A softmax over what all towers give, side by side."""

    name = "mixed_classification"
    inputs = (Image("image"), Text("text"), Number("price"), Number("age"))

    def build_head(self, backbone):
        return JoinedHead(len(self.target.names), name="head")


@keras.saving.register_keras_serializable("test")
class JoinedHead(keras.layers.Layer):
    def __init__(self, classes, **kwargs):
        super().__init__(**kwargs)
        self.classes = classes
        self.softmax = keras.layers.Dense(classes, activation="softmax", name="softmax")

    def get_config(self):
        return {**super().get_config(), "classes": self.classes}

    def build(self, shapes):
        self.softmax.build((None, sum(shape[-1] for shape in shapes.values())))

    def call(self, pooled):
        return self.softmax(keras.ops.concatenate(list(pooled.values()), axis=-1))


def examples(count, seed=0):
    """The class is "yes" where the color, the word and the price say so two times of three."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(count):
        votes = rng.random(3) < 0.5
        pixels, _ = made_data.picture(rng, "red" if votes[0] else "blue")
        text = f"{rng.choice(['a', 'the'])} {'good' if votes[1] else 'bad'} film"
        price = rng.normal(40.0 if votes[2] else 10.0, 2.0)
        label = "yes" if votes.sum() >= 2 else "no"
        found.append((pixels, text, round(price, 2), int(rng.integers(1, 9)), label))
    return found


def backbone():
    return towers({"image": tiny_image(image_size=24), "text": tiny(), "numbers": TinyNumbers(2)})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    splits = {"train": examples(120), "validation": examples(40, 1), "test": examples(60, 2)}
    stage = Stage(epochs=8, batch_size=16, learning_rate=1e-2, schedule=Linear(warmup=0))
    room = tmp_path_factory.mktemp("mixed")
    return tfft.train(
        MixedClassification(), backbone(), splits, stage, workdir=room, plots=False, say=QUIET
    )


def test_it_learns_from_all_inputs(run):
    accuracy = run.report["metrics"]["accuracy"]
    assert accuracy["low"] > 0.75  # of one input alone 0.75, on average


@pytest.mark.slow
def test_a_prediction_and_the_export_read_all_inputs(run, tmp_path):
    pixels, texts, prices, ages, _ = zip(*examples(5, 3), strict=True)
    predicted = run.predict(list(pixels), list(texts), list(prices), list(ages))
    served = tf.saved_model.load(str(run.export(tmp_path))).signatures["serving_default"]
    answers = served(
        image=tf.stack([tf.io.encode_png(each) for each in pixels]),
        text=tf.constant(texts),
        price=tf.constant(list(map(str, prices))),
        age=tf.constant(list(map(str, ages))),
    )
    assert [each["label"] for each in predicted] == [
        label.decode() for label in answers["label"].numpy()
    ]
    kept = json.loads((run.workdir / "held_out.json").read_text())["inputs"]
    assert kept[0][0].startswith("data:image/png") and kept[2][0] == str(examples(1, 2)[0][2])


def test_a_frozen_tower_keeps_its_statistics(tmp_path):
    splits = {"train": examples(24), "test": examples(8, 1)}
    stage = Stage(freeze_layers={"numbers": "all", "image": "all", "text": "all"}, epochs=2)
    run = tfft.train(MixedClassification(), backbone(), splits, stage, plots=False, say=QUIET)
    [described] = run.report["stages"]
    assert {row["group"] for row in described["groups"] if row["trainable"]} == {"head"}
    assert described["features"]["kept"] == "memory"
    norm = run.backbone.towers["numbers"].groups[0].layers[0]
    assert not np.any(norm.moving_mean)


def test_what_acts_on_one_tower_is_refused():
    stage = Stage(regularizers=(NoisyEmbeddings(),))
    with pytest.raises(ConfigError, match="NoisyEmbeddings .* the towers image, text, numbers"):
        splits = {"train": examples(8), "test": examples(4)}
        tfft.train(MixedClassification(), backbone(), splits, stage, say=QUIET)


@pytest.mark.slow
def test_files_count_by_their_content_and_towers_keep_the_weights_they_were_loaded_with(tmp_path):
    rows = []
    for number, (pixels, *more) in enumerate(examples(24)):
        path = tmp_path / f"{number}.png"
        path.write_bytes(tf.io.encode_png(pixels).numpy())
        rows.append((str(path), *more))
    splits = {"train": rows, "test": rows[:8]}
    shared = tiny_image(image_size=24)

    def losses(text_seed):
        parts = {"image": shared, "text": tiny(seed=text_seed), "numbers": TinyNumbers(2)}
        stage = Stage(epochs=1, batch_size=8, learning_rate=1e-2)
        folder = tmp_path / f"run-{len(list(tmp_path.glob('run-*')))}"
        kept = {"workdir": folder, "plots": False, "say": QUIET}
        run = tfft.train(MixedClassification(), towers(parts), splits, stage, **kept)
        return [record["loss"] for record in run.report["curves"]], run

    first, run = losses(0)
    other, _ = losses(1)  # another text tower, and the image tower as it was loaded
    again, _ = losses(0)
    assert first == again != other
    with pytest.raises(WorkdirError, match="no longer in memory"):
        run.predict(*([each] for each in rows[0][:4]))
    digest = as_source(splits, MixedClassification()).summaries["train"].digest
    pathlib.Path(rows[0][0]).write_bytes(pathlib.Path(rows[1][0]).read_bytes())
    assert as_source(splits, MixedClassification()).summaries["train"].digest != digest


def test_a_tower_that_is_read_alone_is_a_plain_backbone():
    body = towers({"text": tiny(), "image": tiny_image()})
    rows = {"train": [("good", "a"), ("bad", "b")] * 6, "test": [("good", "a"), ("bad", "b")]}
    stage = Stage(epochs=1, freeze_layers=1, regularizers=(NoisyEmbeddings(),))
    run = tfft.train(TextClassification(), body, rows, stage, plots=False, say=QUIET)
    assert set(run.model.input) == {"token_ids", "padding_mask"}
    assert run.predict("good")[0]["label"] in ("a", "b")
    with pytest.raises(ConfigError, match="NoisyEmbeddings"):
        tfft.build(MixedClassification(["no", "yes"]), backbone(), stage)
