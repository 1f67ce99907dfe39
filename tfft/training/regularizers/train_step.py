"""A training step with more than one pass, or with noise in what the trained part reads."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras.utils import unpack_x_y_sample_weight

from tfft.errors import ConfigError
from tfft.training.regularizers.mixup import Blend
from tfft.training.regularizers.noise import Entrance
from tfft.training.regularizers.r_drop import divergence

LARGEST_SEED = 2**31 - 1


class Additions:
    """What a step does beyond one pass forward and one backward.

    Args:
      r_drop: alpha of R-Drop (Liang et al. 2021): the loss is the mean of two passes with dropout
        of their own, plus alpha times the symmetric Kullback-Leibler divergence of their outputs.
      mixup: alpha of Beta(alpha, alpha), from which a batch's share is drawn (Zhang et al. 2018);
        pooled features are mixed, as in Verma et al. (2019).
      adversarial: the length of the shift, an example, in the direction that raises the loss most;
        the loss there is added (FGM: Miyato et al. 2017).
      noise: alpha of NEFTune (Jain et al. 2024).
      accumulated: whether batches carry weights, for accumulated gradients.
      seed: of the shares and the noise, which follow from it and the number of the step.
    """

    def __init__(
        self,
        r_drop: float = 0.0,
        mixup: float = 0.0,
        adversarial: float = 0.0,
        noise: float = 0.0,
        accumulated: bool = False,
        seed: int = 0,
    ):
        self.r_drop, self.mixup, self.adversarial = r_drop, mixup, adversarial
        self.accumulated = accumulated
        self.seed = seed % LARGEST_SEED
        self.entrance = Entrance(noise, name="entrance")
        self.blend = Blend(name="blend")

    def train_step(self, model: Any, data: Any) -> dict[str, Any]:
        """Does what `keras.Model.train_step` does, with the additions."""
        x, y, weights = unpack_x_y_sample_weight(data)
        scale: Any = 1.0
        if self.accumulated and weights is not None:  # one number for all examples of a batch
            scale, weights = weights[0], None
        number = getattr(model.optimizer, "inner_optimizer", model.optimizer)._iterations
        seed = tf.stack([tf.constant(self.seed), tf.cast(number.value, tf.int32)])
        self.entrance.seed = seed
        self._draw(tf.shape(y)[0], seed)
        try:
            data = (x, y, weights)
            loss, outputs, gradients, towards = self._gradients(model, data, scale)
            if self.adversarial:
                self.entrance.shift = tf.stop_gradient(_unit(towards) * self.adversarial)
                more = self._gradients(model, data, scale)[2]
                gradients = [_sum(one, two) for one, two in zip(gradients, more, strict=True)]
        finally:
            self.entrance.seed = self.entrance.shift = self.entrance.seen = None
            self.blend.share = None
        model._loss_tracker.update_state(loss, sample_weight=tf.shape(y)[0])
        model.optimizer.apply_gradients(zip(gradients, model.trainable_weights, strict=True))
        return model.compute_metrics(x, y, outputs, weights)

    def _gradients(self, model: Any, data: Any, scale: Any) -> tuple[Any, Any, Any, Any]:
        """Returns loss, outputs, the weights' gradients and what the entrance's is."""
        with tf.GradientTape() as tape:
            self.entrance.tape = tape if self.adversarial else None
            loss, outputs = self._loss(model, *data)
            scaled = model.optimizer.scale_loss(loss * scale)
        seen = [self.entrance.seen] if self.adversarial else []
        self.entrance.tape = None
        weights = model.trainable_weights
        found = tape.gradient(scaled, [*weights, *seen])
        return loss, outputs, found[: len(weights)], found[-1]

    def _loss(self, model: Any, x: Any, y: Any, weights: Any) -> tuple[Any, Any]:
        outputs = model(x, training=True)
        loss = self._mixed(model, x, y, weights, outputs)
        if self.r_drop:
            again = model(x, training=True)
            loss = (loss + self._mixed(model, x, y, weights, again)) / 2
            loss += self.r_drop * divergence(outputs, again)
        return loss, outputs

    def _mixed(self, model: Any, x: Any, y: Any, weights: Any, outputs: Any) -> Any:
        def measure(targets: Any) -> Any:
            return model._compute_loss(
                x=x, y=targets, y_pred=outputs, sample_weight=weights, training=True
            )

        loss = measure(y)
        if self.blend.share is None:
            return loss
        other = measure(tf.gather(y, self.blend.partners))
        return self.blend.share * loss + (1 - self.blend.share) * other

    def _draw(self, size: Any, seed: Any) -> None:
        """Draws the batch's share from Beta(alpha, alpha), and each example's partner."""
        if not self.mixup:
            return
        # Gamma(a) / (Gamma(a) + Gamma(a)) is Beta(a, a).
        one, two = tf.unstack(tf.random.stateless_gamma([2], seed, self.mixup))
        self.blend.share = one / tf.maximum(one + two, 1e-30)
        self.blend.partners = tf.argsort(tf.random.stateless_uniform([size], seed + [0, 1 << 30]))


def refuse(stage: Any, task: Any) -> None:
    """Refuses what a stage does with probabilities or classes where a task has none.

    Raises:
      ConfigError: R-Drop compares distributions over classes, oversampling repeats rarer classes.
    """
    for setting, needs, has in (
        ("r_drop", "outputs that are a distribution over classes", task.distribution),
        ("oversample", "a class for each example", task.classes),
    ):
        if getattr(stage, setting) and not has:
            raise ConfigError(
                f"Stage.{setting}={getattr(stage, setting)} needs {needs}, and {task.name} has "
                "none.",
                set_in=f"Stage.{setting}",
                valid=f"Stage.{setting} = {type(getattr(stage, setting))()}",
            )


def _unit(gradient: Any) -> Any:
    """Returns an example's gradient, [b ...], at length one."""
    axes = list(range(1, gradient.shape.rank))
    squares = tf.reduce_sum(tf.square(gradient), axis=axes, keepdims=True)
    return gradient * tf.math.rsqrt(tf.maximum(squares, 1e-30))


def _sum(one: Any, two: Any) -> Any:
    """Returns the sum of two gradients; None stands for zero."""
    if one is None or two is None:
        return two if one is None else one
    if isinstance(one, tf.IndexedSlices) or isinstance(two, tf.IndexedSlices):
        one, two = tf.convert_to_tensor(one), tf.convert_to_tensor(two)
    return one + two
