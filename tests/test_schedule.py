"""Which examples a stage sees how often, and batches that count as one."""

import dataclasses

import numpy as np
import pytest

from tfft.backbones.tiny import tiny
from tfft.encoded import Encoded, Ragged
from tfft.errors import ConfigError
from tfft.pipeline import Batch, Inputs
from tfft.schedule import Schedule
from tfft.stage import Stage, prepare
from tfft.tasks.text_classification import TextClassification


def encoded(lengths, targets):
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    values = np.random.default_rng(0).integers(5, 20, offsets[-1]).astype(np.int32)
    return Encoded(Ragged(values, offsets), np.asarray(targets, np.int32), np.asarray(lengths), 0)


def test_oversampling_makes_classes_equally_frequent_in_every_epoch():
    targets = np.array([0] * 50 + [1] * 7 + [2] * 3)
    data = encoded(np.random.default_rng(1).integers(3, 20, 60), targets)
    schedule = Schedule(data, Stage(oversample=True, batch_size=8, epochs=3), (0, 0))
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
    schedule = Schedule(data, Stage(accumulate=4, batch_size=8, epochs=3), (0, 0))
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
    schedule = Schedule(data, Stage(accumulate=accumulate, batch_size=4, epochs=8), (0, 0))
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
    with pytest.raises(ConfigError, match="3 batches, and accumulate=4"):
        _ = Schedule(data, Stage(accumulate=4, batch_size=4, epochs=1), (0, 0)).total_steps


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
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
            accumulate=accumulate,
            epochs=4,
            learning_rate=1e-2,
            clip_norm=0.3,
            layer_decay=layer_decay,
            optimizer=optimizer,
            # Keras clips by another norm where an embedding's gradient is rows.
            freeze=("embeddings",) if optimizer == "sgd" else (),
        )
        schedule = Schedule(data, stage, (0, 0))
        head = task.head()
        head.build((None, body.dim))
        kernel = head.layers[-1].kernel
        kernel.assign(np.random.default_rng(3).normal(size=kernel.shape) * 0.3)
        model = prepare(stage, body, head, task, schedule.total_steps).trained
        for epoch in range(schedule.epochs):
            plan = [dataclasses.replace(b, rows=np.sort(b.rows)) for b in schedule.plan(epoch)]
            model.fit(
                Inputs(data).dataset(plan, weights=schedule.weights(epoch)), epochs=1, verbose=0
            )
        outputs = np.array(model(Inputs(data).batch(Batch(np.arange(20), 6)), training=False))
        ends.append(([np.array(v) for v in model.trainable_variables], outputs))
    # Adam divides by the root of the gradient's square: where it is nearly zero, by rounding.
    for one, two in zip(ends[0][0], ends[1][0], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-5 if optimizer == "sgd" else 1e-3)
    np.testing.assert_allclose(ends[0][1], ends[1][1], atol=1e-5 if optimizer == "sgd" else 1e-4)
