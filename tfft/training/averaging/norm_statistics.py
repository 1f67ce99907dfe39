"""Statistics of batch normalizations that belong to averaged weights."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfft.layers.inspection import is_seed

Batches = Callable[[], tuple[tf.data.Dataset, list[int]]]


class NormStatistics:
    """Moving statistics of the batch normalizations that a stage trains, for other weights.

    Averaged weights have other statistics than the weights of the last step. They are computed
    over one pass of the training data: the mean of the batches' means and variances, weighted by
    the numbers of examples (Izmailov et al. 2018). Frozen statistics stay as they are.

    Args:
      model: that is trained.
      batches: returns the data of a pass, always the same, and their numbers of examples.
      seeds: variables of random generators, which a pass leaves as they were.
      progress: from the number of examples to a context manager with `advance`.
    """

    def __init__(
        self, model: Any, batches: Batches, seeds: Sequence[Any], progress: Callable[[int], Any]
    ):
        kind, layers = keras.layers.BatchNormalization, model._flatten_layers()
        self.norms = [each for each in layers if isinstance(each, kind) and each.trainable]
        pairs = ((norm.moving_mean, norm.moving_variance) for norm in self.norms)
        self.variables = [variable for pair in pairs for variable in pair]
        self.model, self.batches, self.seeds, self.progress = model, batches, seeds, progress

    def values(self) -> list[np.ndarray]:
        """Returns copies of the statistics."""
        return [np.array(variable) for variable in self.variables]

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """Sets the statistics to values that `values` returned."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def recompute(self) -> None:
        """Sets the statistics to those of the model's weights."""
        data, sizes = self.batches()
        momenta, seeds = [norm.momentum for norm in self.norms], [np.array(s) for s in self.seeds]
        sums = [np.zeros(variable.shape) for variable in self.variables]
        for norm in self.norms:
            norm.momentum = 0.0  # so that the moving statistics are those of the last batch
        try:
            call = tf.function(lambda inputs: self.model(inputs, training=True), autograph=False)
            traced = call.get_concrete_function(data.element_spec[0])
            with self.progress(sum(sizes)) as bar:
                for size, (inputs, *_) in zip(sizes, data, strict=True):
                    traced(inputs)
                    for place, variable in enumerate(self.variables):
                        sums[place] += size * np.array(variable, np.float64)
                    bar.advance(size)
        finally:
            for norm, momentum in zip(self.norms, momenta, strict=True):
                norm.momentum = momentum
            for variable, value in zip(self.seeds, seeds, strict=True):
                variable.assign(value)
        self.assign([total / sum(sizes) for total in sums])


def norm_statistics(recorder: Any, schedule: Any, train: Any) -> NormStatistics | None:
    """Returns the statistics that averaged weights need, None if the stage trains none.

    Args:
      recorder: a `checkpointing.Recorder` of the stage.
      schedule: of the stage; a pass goes through the batches of its first epoch.
      train: the reader of the training split.
    """
    plan, title = schedule.plan(0), f"{schedule.stage.name}, batch normalization statistics"
    progress = functools.partial(recorder.say.progress, f"{title} of averaged weights")

    def batches() -> tuple[tf.data.Dataset, list[int]]:
        data = train.dataset(plan, 0, None, (*schedule.seed, 0))
        return data, [len(batch.rows) for batch in plan]

    seeds = [variable for name, variable in recorder.variables.items() if is_seed(name)]
    statistics = NormStatistics(recorder.prepared.trained, batches, seeds, progress)
    return statistics if statistics.norms else None
