"""The loss of where a span of tokens begins and where it ends."""

from __future__ import annotations

from typing import Any

import keras

from tfft.metrics.text.answer_span_scores import END, NEVER, START


@keras.saving.register_keras_serializable("tfft")
class SpanLoss(keras.losses.Loss):
    """The mean of the cross-entropies of where a span begins and where it ends.

    The softmax is over the positions of all rows of an example (Clark and Gardner, 2018, shared
    normalisation), and the probabilities of several right positions are added up (their summed
    objective, after Kadlec et al., 2016): an answer that stands in two windows is right in both. An
    example without a right position adds 0.

    From marks [b ...] and the logits of both ends [b ... 2] to [b].
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        ops = keras.ops
        batch = ops.shape(y_true)[0]
        marks = ops.reshape(ops.cast(y_true, "int32"), (batch, -1))
        logits = ops.reshape(ops.cast(y_pred, "float32"), (batch, -1, 2))
        total = 0.0
        for side, mark in enumerate((START, END)):
            scores = ops.where(marks >= 0, logits[:, :, side], NEVER)
            right = ops.logical_or(marks == mark, marks == START + END)
            hit = ops.logsumexp(ops.where(right, scores, NEVER), axis=1)
            loss = ops.logsumexp(scores, axis=1) - hit
            total += ops.where(ops.any(right, axis=1), loss, 0.0) / 2
        return total
