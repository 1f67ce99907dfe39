"""Batches: nothing lost, little padding, the same order for the same seed."""

import itertools

import numpy as np
import pytest

from tfft.pipeline import (
    Batch,
    Encoded,
    Inputs,
    Ragged,
    bucket_lengths,
    compute_features,
    count_shapes,
    plan_epoch,
)


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
    batch = Inputs(data).batch(Batch(np.array([1, 0]), 5))
    assert batch["padding_mask"].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert batch["token_ids"][1, :2].tolist() == data.tokens.values[:2].tolist()
    assert batch["token_ids"][1, 2:].tolist() == [0, 0, 0]


def test_a_dataset_starts_at_any_batch():
    data = encoded([3] * 10)
    plan = plan_epoch(data.tokens.lengths, (3,), 4, np.random.default_rng(0))
    rest = [target.numpy().tolist() for _, target in Inputs(data).dataset(plan, 1)]
    assert rest == [batch.rows.tolist() for batch in plan[1:]]


def test_features_are_stored_without_padding_at_their_rows():
    data = encoded([2, 5, 3, 1])

    def prefix(batch):
        import tensorflow as tf

        return tf.cast(batch["token_ids"], tf.float32)[..., None] * [1.0, 10.0]

    features = compute_features(prefix, data, (3, 5), 2)
    assert features.values.shape == (11, 2)
    assert np.array_equal(features.values[:, 0], data.tokens.values)
    assert np.array_equal(features.values[:, 1], data.tokens.values * 10.0)


def test_truncation_is_counted():
    data = Encoded(ragged([4, 3]), None, np.array([9, 3]), 0)
    assert data.truncation() == {"texts": 2, "cut_texts": 1, "tokens": 12, "cut_tokens": 5}
