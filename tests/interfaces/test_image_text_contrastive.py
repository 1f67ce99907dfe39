"""Images and texts in one space, as CLIP has them: two towers, one frozen, its features stored."""

import copy

import keras
import made_data
import numpy as np
import pytest
import tensorflow as tf

import tfft
from tfft.backbones.image.tiny_image import tiny_image
from tfft.backbones.multimodal.towers import towers
from tfft.backbones.text.tiny import tiny
from tfft.data.inputs import Image, Text
from tfft.errors import ConfigError, DepthError
from tfft.layers.inspection import inner
from tfft.layers.serialization import deserialize
from tfft.losses.contrastive import InBatch, unit
from tfft.reports.console import Console
from tfft.tasks.base import Task
from tfft.tasks.evaluators.embedding import RetrievalEvaluator
from tfft.tasks.signatures.base import DEFAULT, ServingSignature
from tfft.tasks.signatures.values import ValueSignature
from tfft.tasks.targets.base import Unused
from tfft.training.schedules import Linear
from tfft.training.stage import Stage


@keras.saving.register_keras_serializable("test")
class JointSpace(keras.layers.Layer):
    """A projection for each tower, at length one: from [b d] each to [b towers n]."""

    def __init__(self, backbone, size=8, **kwargs):
        super().__init__(**kwargs)
        self.backbone, self.size = backbone, size
        self.dense = {name: keras.layers.Dense(size, name=name) for name in backbone.towers}

    def get_config(self):
        return {**super().get_config(), "backbone": self.backbone, "size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": deserialize(config["backbone"])})

    def build(self, shapes):
        for name, shape in shapes.items():
            self.dense[name].build(shape)

    def vector(self, name, pooled):
        return unit(self.dense[name](pooled))

    def call(self, pooled):
        vectors = [self.vector(name, each) for name, each in pooled.items()]
        return keras.ops.stack(vectors, axis=1)


class PairEvaluator(RetrievalEvaluator):
    def baselines(self, train, test, log=None):
        return {}


class ImageTextContrastive(Task):
    """Learns vectors of images and texts of which those of a pair are near each other."""

    name = "image_text_contrastive"
    inputs = (Image("image"), Text("text"))
    target = Unused()

    def encode_targets(self, examples):
        colors = [text.split()[1] for text in examples.inputs[1]]
        return np.unique(colors, return_inverse=True)[1].astype(np.int32)

    def build_head(self, backbone):
        return JointSpace(backbone, name="head")

    def build_loss(self, head):
        return InBatch(scale=10.0, both=True)

    def build_evaluator(self):
        return PairEvaluator()

    def build_signatures(self):
        def similarity(vectors):
            return keras.ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1)

        found: dict[str, ServingSignature] = {
            DEFAULT: ValueSignature(self, similarity, "similarity")
        }
        for place in range(2):
            found[f"embed_{self.inputs[place].name}"] = VectorOfOne(self, place)
        return found


class VectorOfOne(ValueSignature):
    """The vector of one input, computed by its tower alone."""

    def __init__(self, task, place):
        served = copy.copy(task)
        served.inputs = (task.inputs[place],)
        super().__init__(served, name="vector")
        self.place = place

    def make_predict_fn(self, model):
        head, [tower] = inner(model, JointSpace), [each.name for each in self.inputs]

        def call(inputs, training=False):
            own = {name.removeprefix(f"{tower}_"): value for name, value in inputs.items()}
            return head.vector(tower, head.backbone.towers[tower].call(own, training))

        return call

    def split_inputs(self, inputs):
        return (inputs[self.place],)


def examples(count=60):
    rng = np.random.default_rng(0)
    names = [list(made_data.COLORS)[i % 3] for i in range(count)]
    # Three texts for a color, so that a batch has few equal ones.
    texts = [f"{('a', 'the', 'one')[i // 3 % 3]} {name} film" for i, name in enumerate(names)]
    return [
        (made_data.picture(rng, name)[0], text, "-")
        for name, text in zip(names, texts, strict=True)
    ]


def backbone():
    return towers({"image": tiny_image(dim=32, image_size=24), "text": tiny(layers=2, dim=32)})


QUIET = Console(quiet=True)
STAGE = Stage(
    freeze_layers={"image": "all", "text": 1},
    epochs=10,
    batch_size=16,
    learning_rate=1e-2,
    schedule=Linear(warmup=0),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    room = tmp_path_factory.mktemp("contrastive")
    splits = {"train": examples(60), "validation": examples(12), "test": examples(18)}
    return tfft.train(
        ImageTextContrastive(), backbone(), splits, STAGE, workdir=room, plots=False, say=QUIET
    )


def test_the_image_tower_is_frozen_and_stored_and_the_text_tower_above_its_cut(run):
    [stage] = run.report["stages"]
    trained = {row["group"] for row in stage["groups"] if row["trainable"]}
    assert trained == {"text.layer_1", "head"}
    assert stage["features"]["kept"] == "memory"
    assert stage["proof"]["frozen_bit_identical"] > 0


def test_texts_of_the_right_color_are_found_first(run):
    rank = run.report["metrics"]["mrr"]
    assert rank["value"] > 0.9  # about 0.6 by chance: a third of the texts are right
    recall = run.report["metrics"]["recall_at_10"]
    assert recall["low"] <= recall["value"] <= recall["high"]


def test_the_export_has_a_signature_for_each_tower(run, tmp_path):
    version = run.export(tmp_path)
    served = tf.saved_model.load(str(version)).signatures
    pixels, texts = zip(*[(row[0], row[1]) for row in examples(6)], strict=True)
    files = tf.stack([tf.io.encode_png(each) for each in pixels])
    image = served["embed_image"](image=files)["vector"]
    text = served["embed_text"](text=tf.constant(texts))["vector"]
    both = served["serving_default"](image=files, text=tf.constant(texts))["similarity"]
    np.testing.assert_allclose(np.sum(image * text, axis=1), both, atol=1e-5)
    mine = [each["similarity"] for each in run.predict(list(pixels), list(texts))]
    np.testing.assert_allclose(mine, both, atol=1e-5)


def test_features_and_no_features_train_to_the_same_losses(tmp_path):
    found = {}
    splits = {"train": examples(36), "test": examples(6)}
    for where in ("memory", "off"):
        cache = tfft.FeatureCache(where=where)
        stage = Stage(freeze_layers={"image": "all"}, epochs=2, batch_size=12, feature_cache=cache)
        one = tfft.train(ImageTextContrastive(), backbone(), splits, stage, plots=False, say=QUIET)
        found[where] = [record["loss"] for record in one.report["curves"]]
    np.testing.assert_allclose(found["memory"], found["off"], rtol=1e-5)


def test_a_keras_file_answers_as_the_model(run, tmp_path):
    file = run.save(tmp_path / "m.keras")
    model = tfft.load_model(file)
    inputs = {
        "image_pixels": np.zeros((2, 24, 24, 3), np.uint8),
        "text_token_ids": np.full((2, 5), 3, np.int32),
        "text_padding_mask": np.ones((2, 5), np.int32),
    }
    np.testing.assert_allclose(model(inputs), run.model(inputs), atol=1e-6)


def test_wrong_towers_are_refused():
    with pytest.raises(DepthError, match="names 'sound', which is no tower"):
        tfft.build(ImageTextContrastive(), backbone(), Stage(freeze_layers={"sound": 1}))
    with pytest.raises(ConfigError, match="two towers are the same backbone"):
        one = tiny()
        towers({"text": one, "other": one})
    with pytest.raises(ConfigError, match="several towers. Received: 1"):
        towers({"text": tiny()})
    with pytest.raises(ConfigError, match="could have the same name"):
        towers({"text": tiny(), "text_pair": tiny()})
    with pytest.raises(ConfigError, match="the input 'image'.* is not read by one tower"):
        tfft.build(ImageTextContrastive(), towers({"text": tiny(), "query": tiny()}))
