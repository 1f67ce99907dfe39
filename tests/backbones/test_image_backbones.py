"""Bodies of images: where a model is cut, that its parts are the whole, and its weights."""

import h5py
import keras
import numpy as np
import pytest
from trainings import slow

from tfft import backbones
from tfft.backbones.image.block_splitting import cut
from tfft.backbones.image.image_backbone import draw_weights
from tfft.backbones.image.keras_applications import keras_applications, read_blocks
from tfft.errors import ConfigError, WeightsError
from tfft.methods.attachment import dense_layers
from tfft.storage.downloads import fetch
from tfft.tasks.image.image_classification import ImageClassification
from tfft.tasks.text.text_classification import TextClassification

PIXELS = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype(np.uint8)
DEPTHS = {
    "VGG16": 5,
    "ResNet50": 16,
    "ResNet50V2": 16,
    "MobileNetV2": 16,
    "EfficientNetB0": 16,
    "DenseNet121": 58,
}


@pytest.mark.parametrize("name", [n if n in ("VGG16", "ResNet50") else slow(n) for n in DEPTHS])
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
    body = keras_applications("VGG16", image_size=32, pooling="flatten")
    assert (body.name, body.depth, body.dim) == ("vgg16", 5, 512)
    assert [group.name for group in body.groups] == ["stem", *(f"block{n}" for n in range(1, 6))]
    assert body.groups[0].layers == () and body.shape_at(0) == (32, 32, 3)
    assert body.shape_at(3) == (4, 4, 256) and body.shape_at(5, True) == (512,)
    found = body.embed({"pixels": PIXELS})
    caffe = PIXELS[..., ::-1].astype("float32") - [103.939, 116.779, 123.68]
    np.testing.assert_allclose(found, caffe, atol=1e-4)
    one, two = (keras_applications("VGG16", image_size=32, seed=seed) for seed in (0, 1))
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
    with pytest.raises(ConfigError, match="tiny_image.pooling must be .* Received: pooling='cls'"):
        backbones.tiny_image(pooling="cls")


def test_a_task_needs_a_body_of_its_kind():
    with pytest.raises(ConfigError, match="image_classification reads images, and bert"):
        backbones.tiny().read_for(ImageClassification())
    with pytest.raises(ConfigError, match="text_classification reads texts, and tiny_image"):
        backbones.tiny_image().read_for(TextClassification())


def test_what_cannot_be_built_is_said():
    with pytest.raises(ConfigError, match="'VGG17' is no model") as caught:
        keras_applications("VGG17")
    assert "VGG16" in caught.value.valid
    with pytest.raises(ConfigError, match="VGG16 cannot read images of 8 x 8"):
        keras_applications("VGG16", image_size=8)
    with pytest.raises(WeightsError, match="is no .h5 file and nothing that can be fetched"):
        keras_applications("VGG16", "nowhere.h5", image_size=32)


def test_weights_come_from_a_file_of_the_model(tmp_path):
    one = keras_applications("MobileNetV2", image_size=32, seed=1)
    path = tmp_path / "own.weights.h5"
    one.model.save_weights(path)
    two = keras_applications("MobileNetV2", str(path), image_size=32)
    np.testing.assert_array_equal(one.model.weights[0], two.model.weights[0])
    assert two.notes == ()
    with pytest.raises(WeightsError, match="holds no weights of VGG16"):
        keras_applications("VGG16", str(path), image_size=32)


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


def hub_body(kind):
    import keras_hub

    if kind == "vit":
        return keras_hub.models.ViTBackbone(
            image_shape=(16, 16, 3),
            patch_size=8,
            num_layers=3,
            num_heads=2,
            hidden_dim=8,
            mlp_dim=16,
            dropout_rate=0.3,
        )
    return keras_hub.models.ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[3],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[2, 1],
        stackwise_num_strides=[1, 2],
        block_type="basic_block",
        image_shape=(None, None, 3),
    )


@pytest.mark.parametrize("kind", ["resnet", "vit"])
def test_bodies_of_keras_hub(tmp_path, kind):
    made = hub_body(kind)
    draw_weights(made, 0)
    made.save_to_preset(str(tmp_path))
    size = {"image_size": 16} if kind == "resnet" else {}
    with pytest.raises(ConfigError, match="does not say how pixels are normalised"):
        backbones.keras_hub_images(str(tmp_path), **size)
    body = backbones.keras_hub_images(str(tmp_path), **size, scale=1 / 127.5, offset=-1.0)
    assert (body.name, body.depth, body.dim) == (kind, 3, 8 if kind == "vit" else 64)
    pixels = PIXELS[:, :16, :16]
    hidden = body.embed({"pixels": pixels}, training=False)
    for depth in range(3):
        assert tuple(hidden.shape[1:]) == body.shape_at(depth)
        hidden = body.layers(depth, hidden, None, [False])
    expected = made(pixels / 127.5 - 1.0, training=False)
    np.testing.assert_allclose(hidden, expected, rtol=1e-5, atol=1e-5)
    held = [id(w) for group in body.groups for layer in group.layers for w in layer.weights]
    assert sorted(held) == sorted(map(id, body.model.weights))
    if kind == "vit":
        again = body.layers(0, body.embed({"pixels": pixels}), None, [True] * 3)
        assert not np.allclose(again, expected, atol=1e-3)  # its dropout
        names = dense_layers(body)
        assert [name for name in names if name.endswith("/query")]
        with pytest.raises(ConfigError, match="image_size=32, but"):
            backbones.keras_hub_images(str(tmp_path), 32, scale=1.0, offset=0.0)


def test_an_offset_of_0_is_heeded(tmp_path):
    import keras_hub

    made = hub_body("vit")
    made.save_to_preset(str(tmp_path))
    kind = keras_hub.layers.ViTImageConverter
    kind(image_size=(16, 16), scale=0.5, offset=-1.0).save_to_preset(str(tmp_path))
    pixels = PIXELS[:, :16, :16]
    for settings, read in [({}, pixels * 0.5 - 1.0), ({"offset": 0.0}, pixels * 0.5)]:
        body = backbones.keras_hub_images(str(tmp_path), **settings)
        given = backbones.keras_hub_images(str(tmp_path), scale=1.0, offset=0.0)
        one, other = body.embed({"pixels": pixels}), given.embed({"pixels": read})
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def test_other_bodies_of_keras_hub_are_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"class_name": "BertBackbone"}')
    with pytest.raises(WeightsError, match="holds a BertBackbone, which is no backbone of images"):
        backbones.keras_hub_images(str(tmp_path))
    with pytest.raises(WeightsError, match="is no KerasHub preset of images and no folder"):
        backbones.keras_hub_images("resnet_of_nobody")
