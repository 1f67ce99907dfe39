"""Methods: what they train moves, all else keeps its bits, and the share is small."""

import keras
import numpy as np
import pytest
from trainings import slow

import tfft
from tfft.backbones import Group
from tfft.backbones.base import Backbone
from tfft.backbones.text.tiny import tiny
from tfft.errors import FreezeError
from tfft.methods import bitfit, norm_tuning
from tfft.methods.base import Method
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.prepare_stage import prepare
from tfft.training.schedules import Constant
from tfft.training.stage import Stage

TASK = tfft.tasks.TextClassification(["a", "b"])
RNG = np.random.default_rng(0)
BATCH = {
    "token_ids": RNG.integers(5, 20, (8, 6)).astype("int32"),
    "padding_mask": np.ones((8, 6), "int32"),
}
TARGETS = np.array([0, 1] * 4)


def one_step(body, method, **settings):
    """Returns the names of the variables that one step moved, and the prepared stage."""
    head = TASK.build_head(None)
    head.build((None, body.dim))
    stage = Stage(method=method, learning_rate=1e-2, schedule=Constant(warmup=0), **settings)
    prepared = prepare(stage, body, head, TASK, 4)
    before = checksums(body, head)
    prepared.trained.train_on_batch(BATCH, TARGETS)
    prove_freeze(before, prepared, body, head)
    after = checksums(body, head)
    return {name for name in after if after[name] != before[name]}, prepared, head


@pytest.mark.parametrize(
    "method,ends", [(bitfit(), ("bias", "beta")), (norm_tuning(), ("gamma", "beta"))]
)
@pytest.mark.parametrize("architecture", ["bert", "distilbert", "roberta", "electra"])
def test_only_what_a_method_names_and_the_head_move(architecture, method, ends):
    body = tiny(architecture, layers=2)
    moved, prepared, head = one_step(body, method)
    wanted = {
        name for name in checksums(body, head) if name.endswith(ends) or name.startswith("head/")
    }
    still = wanted - moved
    assert moved <= wanted and all("key" in name for name in still)  # softmax ignores key biases
    rows = [row for row in prepared.table if row["group"] != "head"]
    share = sum(row["trainable"] for row in rows) / sum(row["parameters"] for row in rows)
    assert 0 < share < 0.06  # of a body of this width; 0.1 % of a real one


def test_a_method_leaves_frozen_layers_alone():
    moved, prepared, _ = one_step(tiny(layers=2), bitfit(), freeze_layers=1)
    assert {name.split("/")[0] for name in moved} == {"layer_1", "head"}
    assert prepared.split.prefix is not None


def test_a_method_that_finds_nothing_says_so():
    with pytest.raises(FreezeError, match="nothing to train in this backbone"):
        one_step(tiny(layers=2), Method("odd", ("*/none",)))


class Block(keras.layers.Layer):
    """A dense layer with batch normalisation and a residual."""

    def __init__(self, dim, name):
        super().__init__(name=name)
        self.dense, self.norm = (
            keras.layers.Dense(dim, use_bias=False, name="dense"),
            keras.layers.BatchNormalization(momentum=0.5, name="norm"),
        )

    def build(self, shape):
        self.dense.build(shape)
        self.norm.build(shape)

    def call(self, x, training=None):
        return x + self.norm(self.dense(x), training=training)


class Normed(Backbone):
    """A body with norms that gather statistics."""

    name, depth, dim, packed = "normed", 2, 8, False
    pools, pools_beside, head_shape, compute_dtype = True, False, (None, 8), "float32"
    reads = dict.fromkeys(("token_ids", "padding_mask"), ((None,), "int32"))

    def __init__(self):
        self.embedding = keras.layers.Embedding(30, self.dim, name="embedding")
        self.embedding.build()
        blocks = [Block(self.dim, f"block_{n}") for n in range(self.depth)]
        for block in blocks:
            block.build((None, None, self.dim))
        groups = [(block,) for block in blocks]
        names = ("embeddings", *(f"layer_{n}" for n in range(self.depth)))
        self.groups = tuple(map(Group, names, [(self.embedding,), *groups]))

    def shape_at(self, depth, pooled=False):
        return (self.dim,) if pooled else (None, self.dim)

    def embed(self, batch, training=None):
        return self.embedding(batch["token_ids"])

    def layers(self, first, hidden, padding_mask, modes, pooled_next=False):
        for group, mode in zip(self.groups[first + 1 :], modes, strict=False):
            hidden = group.layers[0](hidden, training=mode)
        return hidden

    def pool(self, hidden, padding_mask, training=None):
        return keras.ops.mean(hidden, axis=1)


@pytest.mark.parametrize(
    "settings,moving",
    [
        ({}, {"layer_0", "layer_1"}),
        ({"freeze_layers": 1}, {"layer_1"}),
        ({"freeze_layers": "all"}, set()),
        ({"freeze": ("layer_1",)}, {"layer_0"}),
        ({"freeze": ("layer_0/*/moving_*",)}, {"layer_1"}),
        ({"freeze": ("*/moving_mean",)}, set()),
        ({"method": bitfit()}, set()),
        ({"method": norm_tuning()}, set()),
    ],
)
def test_the_statistics_of_a_frozen_norm_never_move(settings, moving):
    body = Normed()
    settings = {"method": None, **settings}
    moved, prepared, head = one_step(body, **settings)
    statistics = {name for name in moved if "moving" in name}
    assert {name.split("/")[0] for name in statistics} == moving
    assert len(statistics) == 2 * len(moving)
    trained = {v.path for v in prepared.trained.trainable_variables}
    if settings["method"] is not None:
        assert trained and {path.rsplit("/", 1)[1] for path in trained} <= {
            *("gamma", "beta", "bias", "kernel")
        }
        assert any(path.endswith("norm/beta") for path in trained)
        assert any(name.endswith("norm/beta") for name in moved)
        hidden = body.embed(BATCH)
        again = [np.array(body.layers(0, hidden, None, [mode] * 2)) for mode in (True, False)]
        assert np.array_equal(*again)  # no mean of a batch was used


def test_a_later_stage_may_move_statistics_again():
    body = Normed()
    one_step(body, bitfit())
    moved, _, _ = one_step(body, None)
    assert sum("moving" in name for name in moved) == 4


@pytest.mark.parametrize(
    "first", [{"method": bitfit()}, slow({"method": None, "freeze": ("*/bias",)})]
)
def test_a_later_stage_trains_what_an_earlier_one_froze_in_part(first):
    body = tiny(layers=2)
    one_step(body, **first)
    moved, prepared, head = one_step(body, None)
    still = set(checksums(body, head)) - moved
    assert not prepared.frozen and all(name.endswith("key/bias") for name in still)
    assert sum(row["trainable"] for row in prepared.table) == sum(
        row["parameters"] for row in prepared.table
    )
