"""Which examples a stage sees how often, and batches that count as one."""

import dataclasses
import itertools
import re

import numpy as np
import pytest
from trainings import slow

from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.encoded_split import Encoded, Ragged
from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import Batch
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.averaging import EMA, SWA
from tfft.training.batch_plan import Schedule, without_effect
from tfft.training.batching import Batching
from tfft.training.early_stopping import EarlyStopping
from tfft.training.optimizers import AdamW, KerasOptimizer
from tfft.training.prepare_stage import prepare
from tfft.training.schedules import CosineRestarts, Linear
from tfft.training.stage import Stage


def encoded(lengths, targets):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.random.default_rng(0).integers(5, 20, offsets[-1]).astype(np.int32)
    return Encoded(Ragged(values, offsets), np.asarray(targets, np.int32), np.asarray(lengths), 0)


def test_the_order_follows_from_the_seed_the_stage_and_the_epoch():
    data = encoded(np.random.default_rng(1).integers(3, 20, 60), np.zeros(60))

    def order(seed, stage, epoch):
        schedule = Schedule(data, Stage(batch_size=8, epochs=3), (seed, stage))
        return [batch.rows.tolist() for batch in schedule.plan(epoch)]

    orders = [order(0, 0, 0), order(1, 0, 0), order(0, 1, 0), order(0, 0, 1)]
    assert order(0, 0, 0) == orders[0]
    assert all(one != two for one, two in itertools.combinations(orders, 2))


def test_oversampling_makes_classes_equally_frequent_in_every_epoch():
    targets = np.array([0] * 50 + [1] * 7 + [2] * 3)
    data = encoded(np.random.default_rng(1).integers(3, 20, 60), targets)
    stage = Stage(batching=Batching(oversample=True), batch_size=8, epochs=3)
    schedule = Schedule(data, stage, (0, 0))
    for epoch in range(3):
        rows = np.concatenate([batch.rows for batch in schedule.plan(epoch)])
        assert np.bincount(targets[rows]).tolist() == [50, 50, 50]
        seen = np.bincount(rows, minlength=60)
        assert seen[:50].tolist() == [1] * 50
        assert set(seen[50:57]) == {7, 8} and set(seen[57:]) == {16, 17}
        assert all(data.tokens.lengths[b.rows].max() <= b.length for b in schedule.plan(epoch))
    assert schedule.describe(20, "")[1] == "oversampling: 150 examples an epoch of 60"


def test_the_weights_of_a_group_make_each_example_count_alike():
    data = encoded(np.random.default_rng(1).integers(3, 20, 45), np.zeros(45))
    batching = Batching(gradient_accumulation_steps=4)
    schedule = Schedule(data, Stage(batching=batching, batch_size=8, epochs=3), (0, 0))
    assert schedule.steps_per_epoch == 6 and schedule.total_steps == 16
    assert "4 steps of 4 batches; the last 2 are left out" in schedule.describe(20, "")[1]
    plans = [schedule.plan(epoch) for epoch in range(3)]
    sizes = [len(batch.rows) for plan in plans for batch in plan]
    weights = [weight for epoch in range(3) for weight in schedule.weights(epoch)]
    assert len(sizes) == len(weights) == 16 and len(set(sizes)) > 1
    for start in range(0, 16, 4):
        group = slice(start, start + 4)
        total = sum(sizes[group])
        # Keras takes the mean of 4 gradients, each the mean over its batch.
        shares = [w / 4 / n for w, n in zip(weights[group], sizes[group], strict=True)]
        np.testing.assert_allclose(shares, 1 / total)


@pytest.mark.parametrize("accumulate", [2, 5, 11])
def test_groups_longer_than_an_epoch_weigh_each_example_alike(accumulate):
    data = encoded(np.random.default_rng(1).integers(3, 20, 11), np.zeros(11))
    batching = Batching(gradient_accumulation_steps=accumulate)
    schedule = Schedule(data, Stage(batching=batching, batch_size=4, epochs=8), (0, 0))
    epochs = range(schedule.epochs)
    sizes = [len(batch.rows) for epoch in epochs for batch in schedule.plan(epoch)]
    weights = [weight for epoch in epochs for weight in schedule.weights(epoch)]
    assert len(sizes) == len(weights) == schedule.total_steps and schedule.steps_per_epoch == 3
    for start in range(0, len(sizes), accumulate):
        group = slice(start, start + accumulate)
        shares = [w / accumulate / n for w, n in zip(weights[group], sizes[group], strict=True)]
        np.testing.assert_allclose(shares, 1 / sum(sizes[group]))


def test_fewer_batches_than_a_step_needs_are_refused():
    data = encoded([4] * 10, np.zeros(10))
    stage = Stage(batching=Batching(gradient_accumulation_steps=4), batch_size=4, epochs=1)
    with pytest.raises(ConfigError, match="3 batches, and gradient_accumulation_steps=4"):
        _ = Schedule(data, stage, (0, 0)).total_steps


@pytest.mark.parametrize(
    "optimizer,layer_decay",
    [("adamw", 0.5), slow("adamw", 1.0), slow("sgd", 0.5), slow("sgd", 1.0)],
)
def test_accumulated_steps_are_those_of_the_large_batch(layer_decay, optimizer):
    """Uneven parts of one batch of 20 against the batch itself, with warm-up, decay, clipping."""
    targets = np.random.default_rng(2).integers(0, 2, 20)
    data = encoded([6] * 20, targets)
    task = TextClassification(["a", "b"], dropout=0.0)
    ends = []
    for size, accumulate in ((20, 1), (8, 3)):
        body = tiny(layers=2, dropout=0.0)
        stage = Stage(
            batch_size=size,
            batching=Batching(gradient_accumulation_steps=accumulate),
            epochs=4,
            learning_rate=1e-2,
            optimizer=KerasOptimizer(optimizer, global_clipnorm=0.3, layer_decay=layer_decay),
            # Keras clips by another norm where an embedding's gradient is rows.
            freeze=("embeddings",) if optimizer == "sgd" else (),
        )
        schedule = Schedule(data, stage, (0, 0))
        head = task.build_head(None)
        head.build((None, body.dim))
        kernel = head.layers[-1].kernel
        kernel.assign(np.random.default_rng(3).normal(size=kernel.shape) * 0.3)
        model = prepare(stage, body, head, task, schedule.total_steps).trained
        for epoch in range(schedule.epochs):
            plan = [dataclasses.replace(b, rows=np.sort(b.rows)) for b in schedule.plan(epoch)]
            model.fit(
                ExampleReader(data).dataset(plan, weights=schedule.weights(epoch)),
                epochs=1,
                verbose=0,
            )
        outputs = np.array(
            model(ExampleReader(data).batch(Batch(np.arange(20), 6)), training=False)
        )
        ends.append(([np.array(v) for v in model.trainable_variables], outputs))
    # Adam divides by the root of the gradient's square: where it is nearly zero, by rounding.
    for one, two in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5 if optimizer == "sgd" else 1e-3)
    np.testing.assert_allclose(ends[0][1], ends[1][1], atol=1e-5 if optimizer == "sgd" else 1e-4)


@pytest.mark.parametrize("warmup", [-1, -0.1])
def test_a_negative_warmup_is_refused(warmup):
    with pytest.raises(ConfigError, match=f"0 or more. Received: warmup={warmup}"):
        Stage(schedule=Linear(warmup=warmup))


@pytest.mark.parametrize("warmup", [1.0, 2.0, 1000.0])
def test_a_warmup_that_is_neither_a_share_nor_a_number_of_steps_is_refused(warmup):
    with pytest.raises(ConfigError, match="number of steps") as caught:
        Stage(schedule=Linear(warmup=warmup))
    assert f"Received: warmup={warmup}" in str(caught.value)


USELESS = [
    (
        {"schedule": Linear(warmup=1000)},
        "warm-up of 1,000 steps .* of 24 steps: .* reaches 1.2e-06 of 5e-05",
    ),
    ({"schedule": Linear(warmup=24)}, "the learning rate reaches 5e-05"),
    ({"schedule": CosineRestarts(warmup=24)}, "the learning rate reaches 5e-05"),
    ({"schedule": CosineRestarts(cycles=15, warmup=0)}, "less than two steps for each cycle"),
    ({"learning_rate": 0.0}, "learning_rate=0 changes no weight"),
    ({"learning_rate": 1e-12}, "learning_rate=1e-12 changes no weight"),
    ({"learning_rate": 3.0}, "learning_rate=3 is large for AdamW"),
    ({"learning_rate": 3.0, "optimizer": KerasOptimizer("adam")}, "is large for adam$"),
    (
        {"early_stopping": EarlyStopping(patience=3)},
        "patience=3 cannot end the stage early: it has 3 epochs",
    ),
    ({"early_stopping": EarlyStopping(patience=2)}, "acts from epoch 3 on"),
    (
        {"early_stopping": EarlyStopping(min_delta=0.1)},
        "min_delta=0.1 .* no effect without patience",
    ),
    ({"averaging": (SWA(0.9),)}, "averages one epoch"),
    ({"averaging": (EMA(0.999),)}, "98% of the weights of the first step"),
]


@pytest.mark.parametrize("settings, message", USELESS)
def test_a_setting_that_cannot_act_is_named(settings, message):
    [found] = without_effect(Stage("s", **settings), 24, 3)
    assert found.startswith("stage 's': ")
    assert re.search(message, found)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"schedule": Linear(warmup=23)},
        {"schedule": CosineRestarts(cycles=12, warmup=0)},
        {"learning_rate": 3.0, "optimizer": KerasOptimizer("sgd")},
        {"early_stopping": EarlyStopping(patience=1, min_delta=0.1, monitor="val_loss")},
        {"averaging": (SWA(),)},
        {"averaging": (EMA(0.9),)},
    ],
)
def test_settings_that_act_are_not_named(settings):
    assert without_effect(Stage(**settings), 24, 3) == []


def test_one_epoch_to_choose_and_a_group_whose_rate_is_too_small():
    stage = Stage(early_stopping=EarlyStopping(monitor="loss"))
    assert "one epoch to choose" in without_effect(stage, 8, 1)[0]
    assert without_effect(stage, 8, 1, only_stage=False) == []
    factors = {"embeddings": 1e-8, "layer_0": 1e-4, "head": 1.0}
    [found] = without_effect(Stage(optimizer=AdamW(layer_decay=1e-4)), 24, 3, rate_factors=factors)
    assert "leave embeddings with a learning rate of 5e-13" in found


def test_train_and_check_warn():
    class Lines(Console):
        def warn(self, text):
            lines.append(text)

    stage = Stage(
        "s",
        freeze_layers="all",
        epochs=2,
        schedule=Linear(warmup=1000),
        early_stopping=EarlyStopping(patience=7),
    )
    for verb in (api.train, api.check):
        lines = []
        verb(TextClassification(), tiny(layers=1), synthetic(64), [stage], say=Lines(quiet=True))
        for part in ("the warm-up of 1,000 steps", "patience=7 cannot end"):
            assert any(part in line for line in lines)
