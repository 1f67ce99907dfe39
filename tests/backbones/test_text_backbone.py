"""Every body: its groups, its chain of layers, its poolings, and a preset written and read back."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfft import backbones
from tfft.backbones.text.decoder_architectures import ALL
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.text_backbone import pool_tokens
from tfft.backbones.text.tiny import hub_tokenizer
from tfft.errors import ConfigError, DepthError

KINDS = list(ARCHITECTURES)
TEXTS = ["a good movie with the worst plot!", "", "it was great fun"]


def whole(body, batch, training=False):
    """The KerasHub model's own output."""
    batch = {**batch, "segment_ids": tf.zeros_like(batch["token_ids"])}
    outputs = body.model({key: batch[key] for key in body.model.input}, training=training)
    return outputs if not isinstance(outputs, dict) else outputs["sequence_output"]


def assert_same_tokens(found, expected, batch, atol=2e-6):
    """Compares [b t d] where there is no padding."""
    mask = np.asarray(batch["padding_mask"])[..., None]
    np.testing.assert_allclose(found * mask, expected * mask, atol=atol)


@pytest.fixture(scope="module", params=KINDS)
def body(request):
    return backbones.tiny(request.param, layers=3, heads=2, dim=8)


def test_chain_is_the_whole(body):
    batch = body.preprocessor(TEXTS)
    assert_same_tokens(body.outputs(batch, False)["tokens"], whole(body, batch), batch)


def test_groups_hold_every_weight_once_from_bottom_to_top(body):
    names = [group.name for group in body.groups]
    assert names == ["embeddings", "layer_0", "layer_1", "layer_2"]
    assert (body.depth, body.dim, body.name) == (3, 8, body.architecture.name)
    held = {id(w) for group in body.groups for layer in group.layers for w in layer.weights}
    left = [w.path for w in body.model.weights if id(w) not in held]
    assert all(path.startswith("pooled_dense") for path in left)


def test_written_and_read_back(body, tmp_path):
    body.model.save_to_preset(str(tmp_path))
    hub_tokenizer(body.name).save_to_preset(str(tmp_path))
    again = backbones.keras_hub(str(tmp_path), sequence_length=64)
    assert again.name == body.name
    assert again.fingerprint() == body.fingerprint()
    batch = again.preprocessor(TEXTS)
    np.testing.assert_array_equal(batch["token_ids"], body.preprocessor(TEXTS)["token_ids"])
    assert_same_tokens(again.outputs(batch, False)["tokens"], whole(body, batch), batch)


def test_inference_mode_holds_inside_a_training_layer(body):
    """A frozen part keeps its dropout off while the model around it trains."""

    class Part(keras.layers.Layer):
        def call(self, batch, training=None):
            return body.outputs(batch, training=False)["tokens"]

    inputs = {n: keras.Input((None,), dtype="int32", name=n) for n in ("token_ids", "padding_mask")}
    model = keras.Model(inputs, Part()(inputs))
    batch = body.preprocessor(TEXTS)
    assert_same_tokens(model(batch, training=True), whole(body, batch), batch)


def test_training_mode_comes_from_the_layer_around(body):
    class Part(keras.layers.Layer):
        def call(self, batch, training=None):
            return body.outputs(batch)["tokens"]

    batch = body.preprocessor(TEXTS)
    part = Part()
    assert np.abs(part(batch, training=True) - whole(body, batch)).max() > 1e-3
    assert_same_tokens(part(batch, training=False), whole(body, batch), batch)


def test_symbolic_calls_make_no_variable(body):
    before = len(body.model.weights)
    inputs = {n: keras.Input((None,), dtype="int32", name=n) for n in ("token_ids", "padding_mask")}
    model = keras.Model(inputs, body.outputs(inputs)["pooled"])
    batch = body.preprocessor(TEXTS)
    np.testing.assert_allclose(model(batch), body.outputs(batch)["pooled"], atol=1e-6)
    assert len(body.model.weights) == before


def test_padding_changes_nothing(body):
    batch = body.preprocessor(TEXTS)
    longer = {
        name: np.pad(values, [(0, 0), (0, 5)], constant_values=fill)
        for name, values, fill in (
            ("token_ids", batch["token_ids"], body.preprocessor.pad_id),
            ("padding_mask", batch["padding_mask"], 0),
        )
    }
    for pooling in ("cls", "mean", "max"):
        body.pooling = pooling
        short, long = (body.outputs(each)["pooled"] for each in (batch, longer))
        np.testing.assert_allclose(short, long, atol=2e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max"])
def test_pooling_ignores_padding(pooling):
    hidden = np.array([[[1.0, -4.0], [3.0, -2.0], [99.0, 99.0]]], "float32")
    mask = np.array([[1, 1, 0]])
    expected = {"cls": [[1.0, -4.0]], "mean": [[2.0, -3.0]], "max": [[3.0, -2.0]]}[pooling]
    body = backbones.tiny(pooling=pooling)
    np.testing.assert_allclose(body.pool(hidden, mask), expected)


def test_mean_in_half_precision_does_not_overflow():
    hidden = np.full([1, 400, 2], 1000.0, "float16")
    pooled = pool_tokens(hidden, np.ones([1, 400], "int32"), "mean")
    np.testing.assert_array_equal(pooled, np.full([1, 2], 1000.0))


def test_pooler_is_a_group_of_its_own():
    body = backbones.tiny("albert", pooling="pooler")
    assert body.groups[-1].name == "pooler"
    batch = body.preprocessor(TEXTS)
    inputs = {**batch, "segment_ids": tf.zeros_like(batch["token_ids"])}
    np.testing.assert_allclose(
        body.outputs(batch, False)["pooled"], body.model(inputs)["pooled_output"], atol=1e-6
    )


def test_pooling_that_a_body_lacks():
    with pytest.raises(ConfigError, match="roberta") as caught:
        backbones.tiny("roberta", pooling="pooler")
    assert caught.value.valid == "cls, mean, max"


def test_shared_layers_cannot_be_frozen_in_part():
    body = backbones.tiny("albert", layers=4)
    for depth in (0, 4):
        body.check_depth(depth)
    with pytest.raises(DepthError, match="share their weights") as caught:
        body.check_depth(2)
    assert caught.value.valid == '0, 4, or "all"'
    backbones.tiny("bert", layers=4).check_depth(2)


def test_fingerprint_follows_the_weights():
    one, same, other = (backbones.tiny(seed=seed) for seed in (0, 0, 1))
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    first = one.fingerprint()
    one.model.weights[-1].assign_add(np.full(one.model.weights[-1].shape, 1e-3))
    assert one.fingerprint() != first


def test_config_is_json():
    assert json.loads(json.dumps(backbones.tiny().config()))["depth"] == 2


def test_tiny_refuses_an_unknown_architecture():
    with pytest.raises(ConfigError) as caught:
        backbones.tiny("brt")
    assert "bert" in caught.value.valid


def test_presets_come_from_kerashub():
    found = {preset.name: preset for preset in backbones.presets()}
    assert {preset.architecture for preset in found.values()} == set(ALL)
    assert found["bert_base_multi"].languages == "many"
    assert found["xlm_roberta_base_multi"].architecture == "xlm_roberta"
    assert found["bert_tiny_en_uncased"].parameters == 4_385_920
    assert all(preset.description and preset.handle for preset in found.values())
