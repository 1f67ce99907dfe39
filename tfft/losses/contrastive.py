"""Losses of unit vectors of several texts an example, [b r d], and the layer that makes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import keras

from tfft.errors import ConfigError
from tfft.layers.serialization import Configured

OUT = -1e9  # a score whose probability is zero


def unit(vectors: Any) -> Any:
    """Returns vectors at length one along the last axis."""
    squares = keras.ops.sum(keras.ops.square(vectors), axis=-1, keepdims=True)
    return vectors * keras.ops.rsqrt(keras.ops.maximum(squares, 1e-12))


@keras.saving.register_keras_serializable("tfft")
class UnitLength(Configured, keras.layers.Layer):
    """Vectors at length one, [b d].

    Args:
      dims: lengths to which the vectors are to be cut later.

    Raises:
      ConfigError: one of them is no part of the vector.
    """

    settings = ("dims",)

    def __init__(self, dims: Sequence[int] = (), **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        if not all(0 < size < width for size in self.dims):
            raise ConfigError(
                f"dims={self.dims}, and the vectors have {width} numbers.",
                set_in="Embedding.dims",
                valid=f"1 to {width - 1} each; the whole vector always counts",
            )

    def call(self, inputs: Any) -> Any:
        return unit(inputs)


class _OfVectors(Configured, keras.losses.Loss):
    """A loss of unit vectors [b r d], summed over the whole vectors and their beginnings.

    Args:
      dims: how long the beginnings are (Kusupati et al., 2022).
    """

    settings: ClassVar[tuple[str, ...]] = ("dims",)

    def __init__(self, dims: Sequence[int] = (), **kwargs: Any):
        super().__init__(**kwargs)
        self.dims = tuple(dims)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        beginnings = (self.one(y_true, unit(y_pred[..., :size])) for size in self.dims)
        return sum(beginnings, self.one(y_true, y_pred))

    def one(self, y_true: Any, vectors: Any) -> Any:
        """Returns the loss of each example, [b]."""
        raise NotImplementedError


@keras.saving.register_keras_serializable("tfft")
class InBatch(_OfVectors):
    """Cross-entropy of an anchor's own second text among those of the batch.

    InfoNCE (van den Oord et al., 2018), as the multiple negatives ranking loss of Henderson et al.
    (2017) has it. Other second texts of the anchor's own group are no negatives.

    Args:
      scale: of the cosines, 1 / temperature.
      both: whether the second texts look for their anchors too; the loss is the mean of both.
      dims: as in `_OfVectors`.
    """

    settings = ("dims", "scale", "both")

    def __init__(self, scale: float = 20.0, both: bool = False, **kwargs: Any):
        super().__init__(**kwargs)
        self.scale, self.both = scale, both

    def one(self, y_true: Any, vectors: Any) -> Any:
        ops = keras.ops
        scores = self.scale * ops.matmul(vectors[:, 0], ops.transpose(vectors[:, 1]))
        alike = ops.equal(y_true[:, None], y_true[None, :])
        own = ops.eye(ops.shape(scores)[0], dtype=scores.dtype)
        scores = ops.where(ops.logical_and(alike, own == 0), OUT, scores)
        right = ops.sum(scores * own, axis=1)
        loss = ops.logsumexp(scores, axis=1) - right
        return (loss + ops.logsumexp(scores, axis=0) - right) / 2 if self.both else loss


@keras.saving.register_keras_serializable("tfft")
class CosineError(_OfVectors):
    """The squared difference of two vectors' cosine and the answer (Reimers and Gurevych, 2019)."""

    def one(self, y_true: Any, vectors: Any) -> Any:
        cosine = keras.ops.sum(vectors[:, 0] * vectors[:, 1], axis=-1)
        return keras.ops.square(cosine - keras.ops.cast(y_true, cosine.dtype))


@keras.saving.register_keras_serializable("tfft")
class Triplet(_OfVectors):
    """How far the second text is not nearer to the anchor than the third one, by a margin.

    Of squared Euclidean distances, as in FaceNet (Schroff et al., 2015).

    Args:
      margin: of squared distances, which are between 0 and 4.
      dims: as in `_OfVectors`.
    """

    settings = ("dims", "margin")

    def __init__(self, margin: float = 0.2, **kwargs: Any):
        super().__init__(**kwargs)
        self.margin = margin

    def one(self, y_true: Any, vectors: Any) -> Any:
        near, far = (
            keras.ops.sum(keras.ops.square(vectors[:, 0] - vectors[:, place]), axis=-1)
            for place in (1, 2)
        )
        return keras.ops.maximum(near - far + self.margin, 0.0)


@keras.saving.register_keras_serializable("tfft")
class InBatchAccuracy(keras.metrics.Mean):
    """How often the nearest second text of a batch is of the anchor's group.

    From vectors [b r d] and groups [b].
    """

    _direction = "up"  # a larger value is better: as in Keras' own metrics

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        ops = keras.ops
        best = ops.argmax(ops.matmul(y_pred[:, 0], ops.transpose(y_pred[:, 1])), axis=-1)
        right = ops.equal(ops.take(y_true, best), y_true)
        return super().update_state(ops.cast(right, "float32"), sample_weight)
