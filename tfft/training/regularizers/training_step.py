"""The training step of a stage with regularizers or accumulated gradients.

`model.fit` calls it, and so can a loop of one's own: `strategy.run(model.train_step, (batch,))`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from keras.utils import unpack_x_y_sample_weight

from tfft.training.regularizers import base
from tfft.training.regularizers.base import Forward, Gradients, Regularizer, StepState

LARGEST_SEED = 2**31 - 1


class TrainingStep:
    """What `keras.Model.train_step` does, with regularizers at their places.

    Args:
      regularizers: of the stage.
      accumulated: whether batches carry weights, for accumulated gradients.
      seed: of random numbers, which follow from it and the number of the step.

    Attributes:
      hidden, pooled: the layers at which regularizers act; the model is built with them.
    """

    def __init__(
        self, regularizers: Sequence[Regularizer] = (), accumulated: bool = False, seed: int = 0
    ):
        # The name decides between equal numbers, so that the order of a list changes nothing.
        self.regularizers = sorted(regularizers, key=lambda each: (each.order, type(each).__name__))
        self.accumulated, self.seed = accumulated, seed % LARGEST_SEED
        self.hidden = base.HiddenPlace(self, name="hidden_place")
        self.pooled = base.PooledPlace(self, name="pooled_place")
        self._state: StepState | None = None  # while a step is traced

    @tf.autograph.experimental.do_not_convert  # as in Keras' `fit`, for a loop in a tf.function
    def __call__(self, model: Any, data: Any) -> dict[str, Any]:
        """Trains on one batch; returns the metrics, as `keras.Model.train_step` does."""
        x, y, weights = unpack_x_y_sample_weight(data)
        scale: Any = 1.0
        if self.accumulated and weights is not None:  # one number for all examples of a batch
            scale, weights = weights[0], None
        number = getattr(model.optimizer, "inner_optimizer", model.optimizer)._iterations
        seed = tf.stack([tf.constant(self.seed), tf.cast(number.value, tf.int32)])
        state = self._state = StepState(seed, y)
        try:
            for each in self.regularizers:
                each.begin_step(state)
            compute: Callable[[], Gradients] = functools.partial(
                self._pass, model, state, x, weights, scale
            )
            for each in self.regularizers:
                compute = functools.partial(each.gradients, state, compute)
            result = compute()
        finally:
            self._state = None
        size = tf.shape(tf.nest.flatten(y)[0])[0]
        model._loss_tracker.update_state(result.loss, sample_weight=size)
        model.optimizer.apply_gradients(zip(result.weights, model.trainable_weights, strict=True))
        return model.compute_metrics(x, y, result.outputs, weights)

    def _pass(self, model: Any, state: StepState, x: Any, weights: Any, scale: Any) -> Gradients:
        """A pass forward and back."""
        forward: Forward = functools.partial(self._forward, model, state, x, weights)
        for each in self.regularizers:
            forward = functools.partial(each.loss, state, forward)
        state.watched = {}
        with tf.GradientTape() as state.tape:
            loss, outputs = forward()
            # Gradients of replicas are added up.
            scaled = model.optimizer.scale_loss(loss * (scale / replicas()))
        of_weights, watched = state.tape.gradient(scaled, [model.trainable_weights, state.watched])
        state.tape = None
        return Gradients(loss, outputs, of_weights, watched)

    def _forward(self, model: Any, state: StepState, x: Any, weights: Any) -> tuple[Any, Any]:
        """Returns the loss of a pass, and the outputs."""
        outputs = model(x, training=True)

        def loss_of(targets: Any) -> Any:
            share = model._compute_loss(
                x=x, y=targets, y_pred=outputs, sample_weight=weights, training=True
            )
            return share * replicas()  # Keras divides by it

        for each in self.regularizers:
            loss_of = functools.partial(each.target_loss, state, loss_of)
        return loss_of(state.targets), outputs

    def on_hidden(self, hidden: Any, padding_mask: Any) -> Any:
        """Returns the input of the trained part; outside a step it is `hidden`."""
        if self._state is not None:
            for each in self.regularizers:
                hidden = each.on_hidden(self._state, hidden, padding_mask)
        return hidden

    def on_pooled(self, pooled: Any) -> Any:
        """Returns the input of the head; outside a step it is `pooled`."""
        if self._state is not None:
            for each in self.regularizers:
                pooled = each.on_pooled(self._state, pooled)
        return pooled


def replicas() -> int:
    """Returns the number of replicas of the strategy that is entered."""
    return tf.distribute.get_strategy().num_replicas_in_sync
