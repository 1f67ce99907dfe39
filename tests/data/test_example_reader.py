"""Batches: nothing lost, little padding, the same order for the same seed."""

import dataclasses
import itertools
import os
import subprocess
import sys

import numpy as np
import pytest

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.encoded_towers import pack, unpack
from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import Batch, batch_shapes, bucket_lengths, count_shapes, plan_epoch
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.training import loop
from tfft.training.batching import Batching
from tfft.training.stage import Stage


def ragged(lengths, seed=0):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.random.default_rng(seed).integers(1, 99, offsets[-1]).astype(np.int32)
    return Ragged(values, offsets)


def encoded(lengths):
    lengths = np.asarray(lengths)
    return Encoded(ragged(lengths), np.arange(len(lengths), dtype=np.int32), lengths, 0)


def padded(lengths, shapes):
    return sum(min(shape for shape in shapes if shape >= length) for length in lengths)


def test_bucket_lengths_waste_the_least_that_any_choice_would():
    lengths = np.random.default_rng(1).integers(3, 12, 60)
    distinct = np.unique(lengths)
    best = min(
        padded(lengths, [*choice, distinct[-1]])
        for count in range(3)
        for choice in itertools.combinations(distinct[:-1], count)
    )
    assert padded(lengths, bucket_lengths(lengths, 3)) == best


@pytest.mark.parametrize("lengths", [[5], [5, 5, 5], [1, 2], list(range(1, 40))])
def test_bucket_lengths_reach_the_longest_with_at_most_six(lengths):
    shapes = bucket_lengths(np.array(lengths))
    assert shapes[-1] == max(lengths) and len(shapes) <= 6 and list(shapes) == sorted(set(shapes))


@pytest.mark.parametrize("size,batch_size", [(1, 8), (7, 8), (8, 8), (101, 8), (333, 32)])
def test_every_row_is_in_exactly_one_batch(size, batch_size):
    lengths = np.random.default_rng(size).integers(1, 50, size)
    shapes = bucket_lengths(lengths)
    plan = plan_epoch(lengths, shapes, batch_size, np.random.default_rng(3))
    assert sorted(np.concatenate([batch.rows for batch in plan])) == list(range(size))
    assert all(lengths[batch.rows].max() <= batch.length for batch in plan)
    assert len(plan) == -(-size // batch_size)
    assert sum(len(batch.rows) < batch_size for batch in plan) <= 1
    assert count_shapes([plan]) <= len(shapes) + 1


def test_the_order_follows_from_the_seed():
    lengths = np.random.default_rng(0).integers(1, 50, 200)
    shapes = bucket_lengths(lengths)

    def order(*seed):
        plan = plan_epoch(lengths, shapes, 16, np.random.default_rng(seed))
        return [batch.rows.tolist() for batch in plan]

    assert order(1, 0, 0) == order(1, 0, 0) != order(1, 0, 1)


def test_a_batch_is_padded_and_masked():
    data = encoded([2, 4])
    batch = ExampleReader(data).batch(Batch(np.array([1, 0]), 5))
    assert batch["padding_mask"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert batch["token_ids"][1, :2].tolist() == data.tokens.values[:2].tolist()
    assert batch["token_ids"][1, 2:].tolist() == [0, 0, 0]
    other = ExampleReader(dataclasses.replace(data, pad_id=7)).batch(Batch(np.array([1, 0]), 5))
    assert other["token_ids"][1, 2:].tolist() == [7, 7, 7]


def test_a_dataset_starts_at_any_batch():
    data = encoded([3] * 10)
    plan = plan_epoch(data.tokens.lengths, (3,), 4, np.random.default_rng(0))
    rest = [target.numpy().tolist() for _, target in ExampleReader(data).dataset(plan, 1)]
    assert rest == [batch.rows.tolist() for batch in plan[1:]]


def test_nested_targets_are_padded_as_each_of_them_says():
    boxes = Ragged(np.ones((3, 4), np.float32), np.array([0, 1, 1, 3]), padding=-9, along="own")
    targets = {"kind": np.arange(3), "of": {"tags": ragged([2, 4, 3]), "boxes": boxes}}
    data = dataclasses.replace(encoded([2, 4, 3]), targets=targets).take(np.array([2, 0]))
    found = data.targets_of(np.array([1, 0]), 5)
    assert found["kind"].tolist() == [0, 2]
    assert (found["of"]["tags"] == -1).tolist() == [[0, 0, 1, 1, 1], [0, 0, 0, 1, 1]]
    assert (found["of"]["boxes"][..., 0] == -9).tolist() == [[0, 1], [0, 0]]  # at most two
    assert data.take(np.array([1])).targets_of(np.array([0]), 5)["of"]["boxes"].shape == (1, 1, 4)
    plan = plan_epoch(data.tokens.lengths, (5,), 2)
    inputs, specs, weight = ExampleReader(data).dataset(plan, weights=[0.5]).element_spec
    assert inputs["token_ids"].shape.as_list() == [None, None]
    assert specs["kind"].shape.as_list() == weight.shape.as_list() == [None]
    assert specs["of"]["tags"].shape.as_list() == [None, None]
    assert specs["of"]["boxes"].shape.as_list() == [None, 2, 4]
    [(_, batch, _)] = ExampleReader(data).dataset(plan, weights=[0.5])
    expected = data.targets_of(plan[0].rows, 5)
    assert np.array_equal(batch["of"]["boxes"], expected["of"]["boxes"])
    assert np.array_equal(batch["of"]["tags"], expected["of"]["tags"])


@pytest.mark.parametrize("size, tokens", [(8, None), (7, None), (1, None), (32, 64), (32, 1)])
@pytest.mark.parametrize("shuffled", [True, False])
def test_every_row_is_in_one_batch_of_at_most_six_shapes(size, tokens, shuffled):
    for seed in range(5):
        lengths = np.random.default_rng(seed).integers(1, 90, 203)
        shapes = batch_shapes(lengths, size, tokens)
        rng = np.random.default_rng(seed) if shuffled else None
        plan = plan_epoch(lengths, shapes, size, rng, tokens)
        rows = np.concatenate([batch.rows for batch in plan])
        assert np.array_equal(np.sort(rows), np.arange(203))
        assert all(lengths[batch.rows].max() <= batch.length for batch in plan)
        assert count_shapes([plan]) <= 6
        if tokens is not None:
            assert all(len(b.rows) * b.length <= max(tokens, b.length) for b in plan)
        assert len(plan) == len(plan_epoch(lengths, shapes, size, None, tokens))


def test_tokens_packed_and_unpacked_are_the_same():
    data = encoded([2, 5, 3, 1])
    again = unpack(pack(data), tiny().preprocessor)
    assert np.array_equal(again.tokens.values, data.tokens.values)
    assert np.array_equal(again.tokens.offsets, data.tokens.offsets)
    assert np.array_equal(again.full_lengths, data.full_lengths)


def test_truncation_is_counted():
    data = Encoded(ragged([4, 3]), None, np.array([9, 3]), 0)
    assert data.truncation() == {"texts": 2, "cut_texts": 1, "tokens": 12, "cut_tokens": 5}


COMPILED = """
import numpy as np, pathlib, sys, tfft
import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.example_reader import ExampleReader
from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.length_buckets import count_shapes
from tfft.training import loop
from tfft.training.prepare_stage import prepare
lengths = np.random.default_rng(0).integers(3, 40, 50)
offsets = np.concatenate([[0], np.cumsum(lengths)])
tokens = Ragged(np.full(offsets[-1], 5, np.int32), offsets)
encoded = Encoded(tokens, np.arange(50, dtype=np.int32) % 2, lengths, 0)
stage = tfft.Stage(
    epochs=3,
    batch_size=8,
    schedule=tfft.schedules.Linear(warmup=0),
    batching=tfft.Batching(padded_lengths=(24, 40)),
    execution=tfft.Execution(jit_compile=True),
)
schedule = loop.Schedule(encoded, stage, (0,))
task = tfft.tasks.TextClassification(labels=["a", "b"])
body = tfft.backbones.tiny(layers=1)
model = prepare(stage, body, task.build_head(None), task, schedule.total_steps).trained
plans = [schedule.plan(epoch) for epoch in range(3)]
for plan in plans:
    model.fit(ExampleReader(encoded).dataset(plan), shuffle=False, verbose=0)
print(count_shapes(plans))
"""


@pytest.mark.slow
def test_xla_compiles_once_a_shape(tmp_path):
    flags = f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text"
    environment = {**os.environ, "XLA_FLAGS": flags, "TF_CPP_MIN_LOG_LEVEL": "3"}
    found = subprocess.run(
        [sys.executable, "-c", COMPILED], env=environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr[-2000:]
    shapes = int(found.stdout.split()[-1])
    steps = list(tmp_path.glob("*one_step_on_data*before_optimizations.txt"))
    assert 2 <= shapes <= 6 and len(steps) == shapes


def test_a_length_of_zero_is_refused():
    with pytest.raises(ConfigError, match="Batching.padded_lengths must be 1 or more"):
        Stage(batching=Batching(padded_lengths=(0, 50)))


@pytest.mark.parametrize("lengths", [(), (8, 49)])
def test_lengths_with_no_room_for_the_longest_text_are_refused(lengths):
    schedule = loop.Schedule(
        encoded([3, 50]), Stage(batching=Batching(padded_lengths=lengths)), (0,)
    )
    with pytest.raises(ConfigError, match="longest text has 50 tokens") as caught:
        schedule.plan(0)
    assert "50 or more" in caught.value.valid


def test_given_lengths_are_used():
    schedule = loop.Schedule(
        encoded([3, 50, 9]), Stage(batching=Batching(padded_lengths=(64, 16)), batch_size=1), (0,)
    )
    assert sorted(batch.length for batch in schedule.plan(0)) == [16, 16, 64]


def test_lengths_that_the_backbone_cannot_read_are_refused():
    data = [(f"a {word} film {n}", word) for n in range(40) for word in ("fine", "dull")]
    body, stage = tiny(), Stage(batching=Batching(padded_lengths=(1000,)))
    settings = {"say": Console(quiet=True)}
    with pytest.raises(ConfigError, match="a length above the sequence length") as caught:
        tfft.check(tfft.tasks.TextClassification(), body, data, stage, **settings)
    assert str(body.preprocessor.sequence_length) in caught.value.valid
