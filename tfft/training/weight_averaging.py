"""Averages of weights: over steps (EMA), over epochs (SWA), and of start and end (WiSE-FT)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfft.errors import ConfigError
from tfft.layers.inspection import is_seed


class Ema:
    """Goes before an optimizer of Keras that is made with `use_ema=True`.

    After every step average = momentum * average + (1 - momentum) * weight, from the weights after
    the first step on (Polyak and Juditsky 1992). The averages are the optimizer's variables.
    """

    apart = False  # otherwise Keras puts the averages into the model whenever a `fit` ends

    def build(self, variables: Any) -> None:
        """Makes the optimizer's variables; each average, of a weight's shape, starts as it."""
        if self.built:  # type: ignore[attr-defined]
            return
        super().build(variables)  # type: ignore[misc]
        for variable, average in self.pairs():
            average.assign(variable)

    def pairs(self) -> list[tuple[Any, Any]]:
        """Returns each trained variable with its average; none before there is something in it."""
        own: Any = self
        averages = own._model_variables_moving_average
        return list(zip(own._trainable_variables, averages, strict=True))

    def end_epoch(self) -> None:
        """Every step was averaged: nothing is left to do."""

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Averages after a step; Keras calls it after every batch that a step accumulates."""
        own: Any = self
        update = super()._update_model_variables_moving_average  # type: ignore[misc]
        every = own.gradient_accumulation_steps or 1
        if every == 1:
            update(trainable_variables)
            return
        last = (own._iterations + 1) % every == 0
        keras.ops.cond(last, lambda: update(trainable_variables), lambda: None)

    def finalize_variable_values(self, var_list: Any) -> None:
        if not self.apart:
            super().finalize_variable_values(var_list)  # type: ignore[misc]


class Swa(Ema):
    """The mean of the weights at the ends of epochs, after `first_step` (Izmailov et al. 2018)."""

    first_step = 0

    def build(self, variables: Any) -> None:
        """Makes the optimizer's variables and the number of epochs in the mean, int32 []."""
        if self.built:  # type: ignore[attr-defined]
            return
        self.count: Any = self.add_variable((), dtype="int32", name="count")  # type: ignore[attr-defined]
        super().build(variables)

    def pairs(self) -> list[tuple[Any, Any]]:
        return super().pairs() if int(self.count) else []

    def end_epoch(self) -> None:
        """Takes the weights into the mean: (n * mean + weight) / (n + 1)."""
        if int(self.iterations) <= self.first_step:  # type: ignore[attr-defined]
            return
        before = float(self.count)
        self.count.assign_add(1)
        for variable, mean in self.pairs():
            mean.assign((before * mean + variable) / (before + 1.0))

    def _update_model_variables_moving_average(self, trainable_variables: Any) -> None:
        """Keras' hook for every step."""


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
        self,
        model: Any,
        batches: Callable[[], tuple[tf.data.Dataset, list[int]]],
        seeds: Sequence[Any],
        progress: Callable[[int], Any],
    ):
        layers = model._flatten_layers()
        kinds = [each for each in layers if isinstance(each, keras.layers.BatchNormalization)]
        self.norms = [layer for layer in kinds if layer.trainable]
        self.variables = [
            v for norm in self.norms for v in (norm.moving_mean, norm.moving_variance)
        ]
        self.model, self.batches, self.seeds, self.progress = model, batches, seeds, progress

    def values(self) -> list[np.ndarray]:
        """Returns copies of the statistics."""
        return [np.array(variable) for variable in self.variables]

    def assign(self, values: Sequence[np.ndarray]) -> None:
        """Sets the statistics to what `values` returned."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def recompute(self) -> None:
        """Sets the statistics to those of the model's weights."""
        if not self.norms:
            return
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
      train: the Inputs of the training split.
    """
    plan, say = schedule.plan(0), recorder.say
    title = f"{schedule.stage.name}, batch normalization statistics of averaged weights"

    def batches() -> tuple[tf.data.Dataset, list[int]]:
        data = train.dataset(plan, 0, None, (*schedule.seed, 0))
        return data, [len(batch.rows) for batch in plan]

    seeds = [variable for name, variable in recorder.variables.items() if is_seed(name)]
    found = NormStatistics(
        recorder.prepared.trained, batches, seeds, lambda total: say.progress(title, total)
    )
    return found if found.norms else None


class Average:
    """What a stage averages, for the loop; without `Stage.average` it does nothing.

    Training goes on with the weights; validation, the best weights and the end of the stage have
    the averages, and batch normalizations the statistics that belong to them.

    Attributes:
      statistics: `NormStatistics` of the model, if the stage trains some.
    """

    def __init__(self, optimizer: Any):
        inner = getattr(optimizer, "inner_optimizer", optimizer)
        self.own: Any = inner if isinstance(inner, Ema) else None
        if self.own is not None:
            self.own.apart = True
        self.statistics: NormStatistics | None = None
        self._running: list[np.ndarray] | None = None  # of the weights, while averages are in
        self._averaged: list[np.ndarray] | None = None  # of the averages after this epoch

    def end_epoch(self) -> None:
        """Is told when the last batch of an epoch has been trained on."""
        self._averaged = None
        if self.own is not None:
            self.own.end_epoch()

    def swap(self) -> None:
        """Exchanges weights and averages, to the same bits; done twice it changes nothing."""
        for variable, average in self._pairs():
            value = keras.ops.copy(variable)
            variable.assign(average)
            average.assign(value)
        if self._pairs():
            self._swap_statistics()

    def _swap_statistics(self) -> None:
        if self.statistics is None:
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
        if self._pairs():
            self.swap()
            self._running = None

    def values(self, variables: dict[str, Any]) -> dict[str, np.ndarray]:
        """Returns copies of the averages, by the names of their weights in `variables`."""
        found: dict[int, Any] = {id(variable): average for variable, average in self._pairs()}
        if found and self.statistics is not None:
            if self._averaged is None:
                self.swap()
                self.swap()
            for variable, value in zip(
                self.statistics.variables, self._averaged or [], strict=True
            ):
                found[id(variable)] = value
        named = {name: found.get(id(variable)) for name, variable in variables.items()}
        return {name: np.array(value) for name, value in named.items() if value is not None}

    def _pairs(self) -> list[tuple[Any, Any]]:
        return self.own.pairs() if self.own is not None else []


def refuse_own_loop(stage: Any) -> None:
    """Raises a ConfigError for averages that only the loop of `tfft.train` makes."""
    if stage.wise_ft or stage.average == "swa":
        raise ConfigError(
            "tfft.build gives a model for a loop of your own; wise_ft and average='swa' are done "
            "by the loop of tfft.train.",
            valid="average='ema', which Keras' fit does when it ends; or tfft.train",
        )


def check_settings(stage: Any) -> None:
    """Refuses shares that are none, restarts without their schedule, and an impossible warm-up.

    Raises:
      ConfigError: says which.
    """
    shares = [("ema_momentum", stage.ema_momentum), ("swa_start", stage.swa_start)]
    shares += [("wise_ft", alpha) for alpha in stage.wise_ft]
    shares.append(("l2_sp * learning_rate", stage.l2_sp * stage.learning_rate))
    for field, share in shares:
        if share >= 1 or field == "wise_ft" and share <= 0:
            raise ConfigError(
                f"Stage.{field}={share} is no share of the weights.", valid="between 0 and 1"
            )
    if stage.warmup < 0 or isinstance(stage.warmup, float) and stage.warmup >= 1:
        raise ConfigError(
            f"Stage.warmup must be a number of steps (int) or a share of the steps (float below "
            f"1). Received: warmup={stage.warmup}.",
            set_in="Stage.warmup",
            valid=f"{max(round(stage.warmup), 0)} for steps, or 0.1 for a tenth of the steps",
        )
    if (stage.schedule == "restarts") != (stage.cycles > 1):
        raise ConfigError(
            f"Stage.schedule={stage.schedule!r} and Stage.cycles={stage.cycles} contradict each "
            "other.",
            valid='schedule="restarts" with two cycles or more; another with cycles=1',
        )
