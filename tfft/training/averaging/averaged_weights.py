"""The averages of weights that a stage validates and keeps."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfft.training.averaging.ema import MovingAverage
from tfft.training.averaging.norm_statistics import NormStatistics


class AveragedWeights:
    """The averages of a stage, for the loop; without an average it does nothing.

    Training goes on with the weights; validation, the best weights and the end of the stage have
    the averages, and batch normalizations the statistics that belong to them.

    Attributes:
      statistics: `NormStatistics` of the model, if the stage trains some.
    """

    def __init__(self, optimizer: Any):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self._optimizer: Any = inner if isinstance(inner, MovingAverage) else None
        if self._optimizer is not None:
            self._optimizer.apart = True
        self.statistics: NormStatistics | None = None
        self._running: list[np.ndarray] | None = None  # of the weights, while averages are in
        self._averaged: list[np.ndarray] | None = None  # of the averages after this epoch

    def end_epoch(self) -> None:
        """Takes the end of an epoch into the averages."""
        self._averaged = None
        if self._optimizer is not None:
            self._optimizer.end_epoch()

    def swap(self) -> None:
        """Exchanges weights and averages, to the same bits; done twice it changes nothing."""
        for variable, average in self._pairs():
            value = keras.ops.copy(variable)
            variable.assign(average)
            average.assign(value)
        if not self._pairs() or self.statistics is None:
            return
        if self._running is not None:
            self.statistics.assign(self._running)
            self._running = None
            return
        self._running = self.statistics.values()
        if self._averaged is None:
            self.statistics.recompute()
            self._averaged = self.statistics.values()
        self.statistics.assign(self._averaged)

    def keep(self) -> None:
        """Puts the averages into the model for good."""
        self.swap()
        self._running = None

    def values(self, variables: dict[str, Any]) -> dict[str, np.ndarray]:
        """Returns copies of the averages, by the names of their weights in `variables`."""
        pairs = self._pairs()
        if pairs and self.statistics is not None:
            if self._averaged is None:
                self.swap()
                self.swap()
            pairs += zip(self.statistics.variables, self._averaged or [], strict=True)
        averages = {id(variable): average for variable, average in pairs}
        return {n: np.array(averages[id(v)]) for n, v in variables.items() if id(v) in averages}

    def _pairs(self) -> list[tuple[Any, Any]]:
        return [] if self._optimizer is None else self._optimizer.pairs()
