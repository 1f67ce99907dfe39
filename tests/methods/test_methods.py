"""Methods: what they train moves, all else keeps its bits, and the share is small."""

import numpy as np
import pytest

import tfft
from tfft.backbones.tiny import tiny
from tfft.errors import FreezeError
from tfft.freeze import Method, checksums, prove_freeze
from tfft.methods import bitfit, norm_tuning
from tfft.stage import Stage, prepare

TASK = tfft.tasks.TextClassification(["a", "b"])
RNG = np.random.default_rng(0)
BATCH = {
    "token_ids": RNG.integers(5, 20, (8, 6)).astype("int32"),
    "padding_mask": np.ones((8, 6), "int32"),
}
TARGETS = np.array([0, 1] * 4)


def one_step(body, method, **settings):
    """Returns the names of the variables that one step moved, and the prepared stage."""
    head = TASK.head()
    head.build((None, body.dim))
    stage = Stage(method=method, learning_rate=1e-2, warmup=0, schedule="constant", **settings)
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
    with pytest.raises(FreezeError, match="nothing to train in this body"):
        one_step(tiny(layers=2), Method("odd", ("*/none",)))
