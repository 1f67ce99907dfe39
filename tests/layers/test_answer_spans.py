"""Spans over several rows: the loss, the best one in the graph and outside, the threshold."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfft.layers.answer_spans import best_spans
from tfft.losses.answer_spans import SpanLoss
from tfft.metrics.text import answer_span_scores


def test_the_loss_is_one_softmax_over_all_rows():
    rng = np.random.default_rng(0)
    marks = np.full((2, 2, 5), -1)
    marks[0, 0, 0] = marks[1, 0, 0] = 0
    marks[:, :, 2:4] = 0
    marks[0, 1, 2], marks[0, 1, 3], marks[1, 0, 2] = 1, 2, 3
    logits = rng.normal(0, 3, (2, 2, 5, 2)).astype(np.float32)
    expected = []
    for each, scores in zip(marks, logits, strict=True):
        total = np.log(np.exp(scores[each >= 0]).sum(0))
        first, last = (scores[np.isin(each, (side, 3))][0] for side in (1, 2))
        expected.append((total[0] - first[0] + total[1] - last[1]) / 2)
    loss = SpanLoss()
    assert float(loss(marks, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert float(again(marks, logits)) == pytest.approx(np.mean(expected), rel=1e-5)
    with tf.GradientTape() as tape:
        variable = tf.Variable(logits)
        value = loss(np.full_like(marks, -1), variable)
    assert not tape.gradient(value, variable).numpy().any()


def slow_best(logits, starts, ends, longest):
    """Tries every span."""
    text = (starts >= 0) & (ends > starts)
    positions = [(0, 0), *zip(*np.nonzero(text), strict=True)]
    total = np.log(sum(np.exp(logits[place].astype(float)) for place in positions))
    best = (-np.inf, None)
    for row, left in positions[1:]:
        for right in range(left, min(left + longest, text.shape[1])):
            if text[row, right]:
                score = (logits[row, left] - total)[0] + (logits[row, right] - total)[1]
                best = max(best, (score, (starts[row, left], ends[row, right])))
    return best[1], best[0], (logits[0, 0] - total).sum()


@pytest.mark.parametrize("longest", [1, 3, 40])
def test_the_best_span_is_that_of_a_search(longest):
    rng = np.random.default_rng(longest)
    logits = rng.normal(0, 2, (20, 2, 9, 2)).astype(np.float32)
    starts = np.full((20, 2, 9), -1, np.int32)
    starts[:, :, 3:8] = np.arange(10).reshape(2, 5) * 3
    ends = np.where(starts >= 0, starts + rng.integers(0, 4, starts.shape), -1).astype(np.int32)
    served = [each.numpy() for each in best_spans(tf.constant(logits), starts, ends, longest)]
    for number in range(20):
        found = answer_span_scores.best(logits[number], starts[number], ends[number], longest)
        where, score, none = slow_best(logits[number], starts[number], ends[number], longest)
        assert (found.start, found.end) == where
        assert found.log_probability == pytest.approx(score, abs=1e-4)
        assert found.none == pytest.approx(none, abs=1e-4)
        assert [served[0][number], served[1][number]] == [*where]
        assert served[2][number] == pytest.approx(found.log_probability, abs=1e-5)
        assert served[3][number] == pytest.approx(found.none, abs=1e-5)


def test_a_threshold_has_the_best_sum():
    rng = np.random.default_rng(0)
    for _ in range(20):
        doubts = rng.integers(-3, 4, 30).astype(float)
        given, none = rng.random(30), rng.integers(0, 2, 30).astype(float)
        found = answer_span_scores.best_threshold(doubts, given, none)
        sums = [np.where(doubts > edge, none, given).sum() for edge in np.arange(-4, 4) + 0.5]
        assert np.where(doubts > found, none, given).sum() == pytest.approx(max(sums))
