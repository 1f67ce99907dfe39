"""Bodies of images: where a model is cut, that its parts are the whole, and its weights."""

import h5py
import keras
import numpy as np
import pytest

from tfft import backbones, fetch
from tfft.backbones.applications import applications, read_blocks
from tfft.backbones.blocks import cut
from tfft.errors import ConfigError, WeightsError
from tfft.tasks.image_classification import ImageClassification
from tfft.tasks.text_classification import TextClassification

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
DEPTHS = {
    "VGG16": 5,
    "ResNet50": 16,
    "ResNet50V2": 16,
    "MobileNetV2": 16,
    "EfficientNetB0": 16,
    "DenseNet121": 58,
}


@pytest.mark.parametrize("name", DEPTHS)
def test_a_model_is_cut_at_its_blocks(name):
    model = getattr(keras.applications, name)(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    blocks = cut(model)
    assert (blocks[0].name, len(blocks) - 1) == ("stem", DEPTHS[name])
    assert len({block.name for block in blocks}) == len(blocks)
    held = [id(weight) for block in blocks for layer in block.layers for weight in layer.weights]
    assert sorted(held) == sorted(map(id, model.weights))
    hidden = PIXELS.astype("float32") / 255
    expected = model(hidden, training=False)
    for block in blocks:
        hidden = block.call(hidden, False)
        assert tuple(hidden.shape[1:]) == block.shape
    np.testing.assert_allclose(hidden, expected, rtol=1e-5, atol=1e-6)


def test_vgg16_is_normalised_as_it_was_trained():
    body = applications("VGG16", image_size=32, pooling="flatten")
    assert (body.name, body.depth, body.dim) == ("vgg16", 5, 512)
    assert [group.name for group in body.groups] == ["stem", *(f"block{n}" for n in range(1, 6))]
    assert body.groups[0].layers == () and body.shape_at(0) == (32, 32, 3)
    assert body.shape_at(3) == (4, 4, 256) and body.shape_at(5, True) == (512,)
    found = body.embed({"pixels": PIXELS})
    caffe = PIXELS[..., ::-1].astype("float32") - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(found, caffe, atol=1e-4)
    one, two = (applications("VGG16", image_size=32, seed=seed) for seed in (0, 1))
    assert body.fingerprint() == one.fingerprint() != two.fingerprint()
    assert "random weights" in one.notes[0]


def test_poolings_are_over_all_places():
    hidden = np.random.default_rng(0).normal(size=(2, 3, 3, 8)).astype("float32")
    for pooling, expected in {
        "avg": hidden.mean((1, 2)),
        "max": hidden.max((1, 2)),
        "flatten": hidden.reshape(2, -1),
    }.items():
        body = backbones.tiny_image(3, pooling=pooling)
        assert body.shape_at(3) == (3, 3, 8) and body.head_shape == (None, expected.shape[-1])
        np.testing.assert_allclose(body.pool(hidden, None), expected, atol=1e-6)
    with pytest.raises(ConfigError, match="pooling='cls' is no pooling of tiny_image"):
        backbones.tiny_image(pooling="cls")


def test_a_task_needs_a_body_of_its_kind():
    with pytest.raises(ConfigError, match="image_classification reads images, and bert is a body"):
        backbones.tiny().read_for(ImageClassification())
    with pytest.raises(ConfigError, match="text_classification reads texts, and tiny_image"):
        backbones.tiny_image().read_for(TextClassification())


def test_what_cannot_be_built_is_said():
    with pytest.raises(ConfigError, match="'VGG17' is no model") as caught:
        applications("VGG17")
    assert "VGG16" in caught.value.valid
    with pytest.raises(ConfigError, match="VGG16 cannot read images of 8 x 8"):
        applications("VGG16", image_size=8)
    with pytest.raises(WeightsError, match="is no .h5 file and nothing that can be fetched"):
        applications("VGG16", "nowhere.h5", image_size=32)


def test_weights_come_from_a_file_of_the_model(tmp_path):
    one = applications("MobileNetV2", image_size=32, seed=1)
    path = tmp_path / "own.weights.h5"
    one.model.save_weights(path)
    two = applications("MobileNetV2", str(path), image_size=32)
    np.testing.assert_array_equal(one.model.weights[0], two.model.weights[0])
    assert two.notes == ()
    with pytest.raises(WeightsError, match="holds no weights of VGG16"):
        applications("VGG16", str(path), image_size=32)


def test_a_vgg_is_read_block_by_block(tmp_path):
    model = keras.applications.VGG16(include_top=False, weights=None, input_shape=(32, 32, 3))
    path, rng = tmp_path / "edges.weights.h5", np.random.default_rng(0)
    expected = {}
    with h5py.File(path, "w") as file:
        for layer in model.layers:
            block, _, number = layer.name.partition("_conv")
            suffix = f"_{int(number) - 1}" if number not in ("", "1") else ""
            for index, weight in enumerate(layer.weights):
                expected[weight.path] = rng.normal(size=weight.shape).astype("float32")
                file[f"{block}/layers/conv2d{suffix}/vars/{index}"] = expected[weight.path]
    read_blocks(model, path)
    assert len(expected) == 26
    for weight in model.weights:
        np.testing.assert_array_equal(weight, expected[weight.path])
    with h5py.File(path, "a") as file:
        del file["block3/layers/conv2d_1"]
    with pytest.raises(WeightsError, match="has no block3_conv2/kernel of shape"):
        read_blocks(model, path)


def test_the_fetched_item_is_a_vgg():
    item = fetch.ITEMS["vgg16"]
    assert [name for name in item.members.values() if name.endswith(".h5")] and item.note
