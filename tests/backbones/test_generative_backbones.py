"""Bodies that write text: groups, the chain of layers, packed rows, presets written and read."""

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import slow

from tfft import backbones
from tfft.backbones.text.decoder_architectures import GENERATORS
from tfft.backbones.text.tiny import hub_tokenizer
from tfft.errors import ConfigError, DepthError, WeightsError
from tfft.methods.attachment import attach, detach, merged, parts
from tfft.methods.lora import lora

IDS = np.array([[5, 9, 7, 8, 11], [6, 5, 9, 0, 0]], np.int32)
MASK = np.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]], np.int32)
PIECES = ["llama", "mistral", "gemma", "t5"]  # the others' tokenizers take seconds to trace


@pytest.fixture(scope="module", params=list(GENERATORS))
def body(request):
    return backbones.tiny(request.param, layers=2, heads=2, dim=8)


def batch_of(body, ids=IDS, mask=MASK):
    beside = dict(zip(body.beside, (ids[:, ::-1], np.ones_like(mask)), strict=False))
    given = {"token_ids": ids, "padding_mask": mask, **beside}
    return {name: tf.constant(value) for name, value in given.items()}


def whole(body, batch, training=False):
    """The KerasHub model's own output."""
    if not body.beside:
        return body.model({name: batch[name] for name in body.model.input}, training=training)
    names = {"token_ids": "encoder_token_ids", "padding_mask": "encoder_padding_mask"}
    given = {names.get(name, name): value for name, value in batch.items()}
    return body.model(given, training=training)["decoder_sequence_output"]


def there(body, batch):
    """1 where there is no padding, [b t 1]."""
    return np.asarray(batch[body.beside[-1] if body.beside else "padding_mask"])[..., None] > 0


def test_chain_is_the_whole(body):
    batch = batch_of(body)
    known = there(body, batch)
    found, expected = body.outputs(batch, False)["tokens"] * known, whole(body, batch) * known
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_groups_hold_every_weight_once_from_bottom_to_top(body):
    names = [group.name for group in body.groups]
    assert names[0] == "embeddings" and names[1].endswith("layer_0")
    assert sum("layer_" in name for name in names) == body.depth
    held = [id(w) for group in body.groups for layer in group.layers for w in layer.weights]
    assert sorted(held) == sorted(map(id, body.model.weights))
    assert body.depth == (4 if body.beside else 2) and body.prefix_depth == 2


def test_scores_are_those_of_kerashub(body):
    batch = batch_of(body)
    names = body.lm.input
    given = {name: batch.get(name.removeprefix("encoder_"), batch.get(name)) for name in names}
    known = there(body, batch)
    found = body.scores(body.outputs(batch, False)["tokens"]) * known
    np.testing.assert_allclose(found, body.lm(given) * known, atol=2e-6)


def test_inference_mode_holds_inside_a_training_layer(body):
    """A frozen part keeps its dropout off while the model around it trains."""

    class Part(keras.layers.Layer):
        def call(self, batch, training=None):
            return body.outputs(batch, training=False)["tokens"]

    batch = batch_of(body)
    np.testing.assert_allclose(
        Part()(batch, training=True) * there(body, batch),
        whole(body, batch) * there(body, batch),
        atol=2e-6,
    )


def test_examples_of_a_packed_row_do_not_see_each_other(body):
    if body.beside:
        pytest.skip("an encoder reads one text a row")
    alone = [batch_of(body, IDS[:1, :3], MASK[:1, :3]), batch_of(body, IDS[1:, :2], MASK[1:, :2])]
    row = np.concatenate([IDS[:1, :3], IDS[1:, :2], [[0]]], axis=1)
    packed = batch_of(body, row, np.array([[1, 1, 1, 2, 2, 0]], np.int32))
    expected = np.concatenate([body.outputs(each, False)["tokens"][0] for each in alone])
    np.testing.assert_allclose(body.outputs(packed, False)["tokens"][0, :5], expected, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "gemma"])
def test_merged_kernels_compute_what_lora_does(kind):
    """Gemma's kernels have their heads first."""
    one = backbones.tiny(kind, layers=1, heads=2, dim=8)
    attach(lora(rank=2, targets=("*/query", "*/attention_output")).adds, one, 0)
    rng = np.random.default_rng(0)
    for part in parts(one).values():
        part.b.assign(rng.normal(0.0, 0.5, part.b.shape))
    batch = batch_of(one)
    adapted = one.outputs(batch, False)["tokens"].numpy()
    with merged(one):
        assert not parts(one)
        plain = one.outputs(batch, False)["tokens"].numpy()
    detach(one)
    assert np.abs(one.outputs(batch, False)["tokens"] - adapted).max() > 1e-2
    np.testing.assert_allclose(plain, adapted, atol=1e-5)


@pytest.mark.parametrize("kind", ["llama", "t5"])
def test_half_precision_is_kept_in_half_precision(kind):
    one = backbones.tiny(kind, layers=1, heads=2, dim=8, dtype="mixed_bfloat16")
    batch = batch_of(one)
    state, step = one.begin(batch if one.beside else batch["token_ids"], 2)
    assert state.dtype == tf.bfloat16 and state.shape[3] == 5 + 2
    logits, state = step(tf.constant([[5], [6]]), state, tf.constant(5))
    assert logits.shape == (2, one.embedding.input_dim) and state.dtype == tf.bfloat16


def test_windows_are_refused():
    with pytest.raises(ConfigError, match="averages over windows"):
        backbones.tiny("t5", long_texts="windows")


@pytest.mark.parametrize("kind", [*PIECES, slow("gpt2")])
def test_written_and_read_back(kind, tmp_path):
    one = backbones.tiny(kind, layers=1, heads=2, dim=8)
    one.model.save_to_preset(str(tmp_path))
    hub_tokenizer(kind).save_to_preset(str(tmp_path))
    again = backbones.keras_hub(str(tmp_path), sequence_length=32)
    assert (again.name, type(again)) == (kind, type(one))
    assert again.fingerprint() == one.fingerprint()
    texts = ["a good movie", ""]
    for name, value in one.preprocessor(texts).items():
        np.testing.assert_array_equal(again.preprocessor(texts)[name], value)


@pytest.mark.parametrize("kind", ["gemma"])
def test_a_folder_in_transformers_layout_is_read(kind, tmp_path):
    one = backbones.tiny(kind, layers=2, heads=2, dim=8)
    one.model.export_to_transformers(str(tmp_path))
    hub_tokenizer(kind).export_to_transformers(str(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-3}))
    again = backbones.keras_hub(str(tmp_path), sequence_length=32)
    assert again.name == kind and again.model.layer_norm.epsilon == 1e-3
    for layer in again.model._flatten_layers(include_self=False):
        if hasattr(layer, "epsilon"):
            layer.epsilon = 1e-6
    batch = batch_of(one)
    known = there(one, batch)
    found, expected = (each.outputs(batch, False)["tokens"] * known for each in (again, one))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(WeightsError, match=f"cannot be read as {kind}"):
        backbones.keras_hub(str(tmp_path), sequence_length=32)


def test_positions_that_a_body_lacks_are_refused(tmp_path):
    one = backbones.tiny("bart", layers=1, heads=2, dim=8, sequence_length=16)
    one.model.save_to_preset(str(tmp_path))
    hub_tokenizer("bart").save_to_preset(str(tmp_path))
    with pytest.raises(DepthError, match="has positions for 16 tokens"):
        backbones.keras_hub(str(tmp_path), sequence_length=32)
