"""The packed encoder against KerasHub's own layers: outputs, gradients, dropout."""

import numpy as np
import pytest
import tensorflow as tf

from tfft import backbones
from tfft.backbones.text import unpadded_encoder
from tfft.backbones.text.transformers_weights import ACTIVATIONS

PACKED = ("bert", "distilbert", "roberta", "xlm_roberta", "albert", "electra")
LENGTHS = np.array([7, 1, 20, 3, 20])


def inputs(dim):
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(len(LENGTHS), 20, dim)).astype("float32")
    mask = (np.arange(20) < LENGTHS[:, None]).astype("int32")
    return tf.constant(hidden), tf.constant(mask)


def loss_and_gradients(body, packed, training=False):
    """The loss at the tokens, and its gradients by the input and by every weight of the layers."""
    body.packed = packed
    hidden, mask = inputs(body.dim)
    layers = [layer for group in body.groups[1 : body.depth + 1] for layer in group.layers]
    weights = {id(w): w.value for layer in layers for w in layer.trainable_weights}
    with tf.GradientTape() as tape:
        tape.watch(hidden)
        out = body.layers(0, hidden, mask, [training] * body.depth)
        pooled = body.pool(out, mask)
        loss = tf.reduce_sum(tf.sin(pooled * 3.0))
    return pooled, tape.gradient(loss, [hidden, *weights.values()])


def activate(body, name):
    for group in body.groups[1:]:
        for layer in group.layers:
            layer._feedforward_intermediate_dense.activation = ACTIVATIONS[name]


@pytest.mark.matrix
@pytest.mark.parametrize("architecture", PACKED)
@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_are_kerashubs(architecture, activation, training):
    body = backbones.tiny(architecture, layers=2, dim=16, dropout=0.0)
    activate(body, activation)
    layers = [(layer, training) for group in body.groups[1:3] for layer in group.layers]
    assert unpadded_encoder.supports(inputs(16)[0], layers)
    theirs, ours = (loss_and_gradients(body, packed, training) for packed in (False, True))
    np.testing.assert_allclose(ours[0], theirs[0], atol=2e-6)
    for found, expected in zip(ours[1], theirs[1], strict=True):
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.matrix
@pytest.mark.parametrize("pooling", ["cls", "pooler"])
@pytest.mark.parametrize("training", [False, True])
def test_a_pooling_of_the_first_token_needs_no_other_output(pooling, training):
    """The pooled vector and every gradient, with all of the top layer computed and with a part."""
    body = backbones.tiny("bert", layers=2, dim=16, dropout=0.0, pooling=pooling)
    hidden, mask = inputs(16)
    weights = [w.value for group in body.groups[1:] for part in group.layers for w in part.weights]

    def run(packed):
        body.packed = packed

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None, 16], tf.float32),
                tf.TensorSpec([None, None], tf.int32),
            ]
        )
        def graph(hidden, mask):
            with tf.GradientTape() as tape:
                tape.watch([hidden, *weights])
                out = body.layers(0, hidden, mask, [training] * 2, pooled_next=True)
                pooled = body.pool(out, mask)
                loss = tf.reduce_sum(tf.sin(3.0 * pooled))
            gradients = tape.gradient(loss, [hidden, *weights])
            return tf.shape(out)[1], pooled, [g for g in gradients if g is not None]

        return graph(hidden, mask)

    every, part = run(False), run(True)
    assert (every[0], part[0]) == (20, 1) and len(every[2]) == len(part[2])
    np.testing.assert_allclose(part[1], every[1], atol=2e-6)
    for found, expected in zip(part[2], every[2], strict=True):
        found, expected = (tf.convert_to_tensor(g).numpy() for g in (found, expected))
        if found.shape == hidden.shape:  # from padding comes no gradient
            expected = expected * mask.numpy()[:, :, None]
        np.testing.assert_allclose(found, expected, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("texts", [1, 40])
def test_packing_puts_every_token_back(texts):
    mask = np.tile(inputs(4)[1], (texts, 1))
    packing = unpadded_encoder.pack(mask, 3)
    tokens = int(mask.sum())
    rounding = (
        unpadded_encoder.ROUNDING
        if tokens > unpadded_encoder.FEW
        else unpadded_encoder.FEW_ROUNDING
    )
    assert len(packing.index) % rounding == 0
    assert len(packing.index) - tokens < rounding
    assert np.array_equal(np.sort(packing.index[:tokens]), np.flatnonzero(mask))
    places = np.flatnonzero(mask)
    assert np.array_equal(packing.index.numpy()[packing.inverse.numpy()[places]], places)


def test_heads_are_split_and_joined_as_reshapes_do():
    mask = inputs(4)[1].numpy()
    packing = unpadded_encoder.pack(mask, 3)
    padded = np.random.default_rng(0).normal(size=(mask.size, 12)).astype("float32")
    rows = tf.gather(padded, packing.index)
    split = unpadded_encoder._split_heads(rows, 3, packing)
    expected = padded.reshape(*mask.shape, 3, 4).transpose(0, 2, 1, 3)
    there = np.broadcast_to(mask[:, None, :, None] > 0, expected.shape)
    assert np.array_equal(np.where(there, split, 0), np.where(there, expected, 0))
    tokens = int(np.sum(mask))
    assert np.array_equal(unpadded_encoder._join_heads(split, packing)[:tokens], rows[:tokens])


def test_dropout_drops_its_share_and_keeps_the_mean():
    body = backbones.tiny(layers=1, dim=16, dropout=0.1)
    dropout = body.groups[1].layers[0]._feedforward_dropout
    out = np.asarray(unpadded_encoder._dropout(dropout, tf.ones((400, 500)), True))
    assert abs((out == 0).mean() - 0.1) < 0.003
    assert abs(out.mean() - 1.0) < 0.003
    assert not np.array_equal(out, unpadded_encoder._dropout(dropout, tf.ones((400, 500)), True))


def test_dropouts_gradient_has_the_mask_of_its_output():
    body = backbones.tiny(layers=1, dim=16, dropout=0.3)
    dropout = body.groups[1].layers[0]._feedforward_dropout
    x = tf.random.stateless_normal((50, 40), [1, 2])
    with tf.GradientTape() as tape:
        tape.watch(x)
        out = unpadded_encoder._dropout(dropout, x, True)
    np.testing.assert_allclose(tape.gradient(out, x) * x, out, rtol=1e-6)


def test_other_layers_go_kerashubs_way():
    hidden, _ = inputs(16)
    for body in (backbones.tiny("deberta_v3"), backbones.tiny(dtype="mixed_bfloat16")):
        assert not unpadded_encoder.supports(hidden, [(body.groups[1].layers[0], False)])
    adapted = backbones.tiny().groups[1].layers[0]
    assert not unpadded_encoder.supports(hidden, [(adapted, None)])
    assert unpadded_encoder.supports(hidden, [(adapted, False)])
    adapted._self_attention_layer._query_dense.enable_lora(2)
    assert not unpadded_encoder.supports(hidden, [(adapted, False)])
