"""AdamW in one pass over each weight."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfft.training.optimizers.decoupled import decay


@keras.saving.register_keras_serializable("tfft")
class FusedAdamW(keras.optimizers.AdamW):
    """Keras' AdamW (Loshchilov and Hutter 2019); same arguments, same variables, same numbers.

    Keras makes a dozen temporary arrays for each weight and step. A weight that the fused operation
    cannot update (half precision, AMSGrad) goes Keras' way.
    """

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        """Updates all variables.

        An embedding's gradient comes as rows, one for each token that was read. Keras clips by the
        norm of these rows, in which a token's second row does not add to its first; here they are
        summed before, so that the norm is the gradient's.
        """
        dense = [tf.convert_to_tensor(g) if isinstance(g, tf.IndexedSlices) else g for g in grads]
        super().apply(dense, trainable_variables)

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Updates one variable, of float32 [...], with its gradient of the same shape."""
        fused = isinstance(gradient, tf.Tensor) and not self.amsgrad
        if not fused or variable.dtype != tf.float32 or not hasattr(variable, "handle"):
            super().update_step(gradient, variable, learning_rate)
            return
        index = self._get_variable_index(variable)
        step = tf.cast(tf.convert_to_tensor(self.iterations) + 1, tf.float32)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[index].value.handle,
            v=self._velocities[index].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.constant(self.beta_2, tf.float32), step),
            lr=tf.cast(learning_rate, tf.float32),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=tf.cast(gradient, tf.float32),
        )

    def _apply_weight_decay(self, variables: Any) -> None:
        """Decays as Keras does, with one temporary array a weight instead of two."""
        decay(self, variables, lambda variable: 1.0)

    def _clip_gradients(self, grads: list[Any]) -> list[Any]:
        plain = all(isinstance(grad, tf.Tensor) for grad in grads)
        if not self.global_clipnorm or not plain or self.clipnorm:
            return super()._clip_gradients(grads)
        return tf.clip_by_global_norm(grads, self.global_clipnorm)[0]
