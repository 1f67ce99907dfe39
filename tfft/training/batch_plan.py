"""The batches of a stage, epoch by epoch, as a function of the seed; settings without effect."""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfft.data.encoded_split import Encoded
from tfft.data.encoded_towers import EncodedTowers
from tfft.data.length_buckets import Batch, batch_shapes, count_shapes, plan_epoch
from tfft.errors import ConfigError
from tfft.training.stage import Stage

SMALL_RATE = 1e-10  # a step of this size does not change a float32 weight of usual size


@dataclasses.dataclass(frozen=True)
class Schedule:
    """The batches of one stage, epoch by epoch, as a function of the seed."""

    encoded: Encoded | EncodedTowers
    stage: Stage
    seed: tuple[int, ...]

    @functools.cached_property
    def shapes(self) -> tuple[int, ...]:
        """The lengths that batches are padded to.

        Raises:
          ConfigError: `Batching.padded_lengths` has no room for the longest text.
        """
        lengths, batching = self.encoded.sizes, self.stage.batching
        padded, longest = batching.padded_lengths, lengths.max()
        if padded is None:
            return batch_shapes(lengths, self.stage.batch_size, batching.max_size)
        if not padded or min(padded) < 1 or max(padded) < longest:
            raise ConfigError(
                f"Batching.padded_lengths={padded}, and the longest text has {longest} tokens.",
                valid=f"lengths of which the last is {longest} or more; or None",
            )
        return tuple(sorted(set(map(int, padded))))

    @functools.cached_property
    def steps_per_epoch(self) -> int:
        return len(self._epoch(None))

    @property
    def total_steps(self) -> int:
        return self.stage.total_steps(self.steps_per_epoch)

    @property
    def epochs(self) -> int:
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def plan(self, epoch: int) -> list[Batch]:
        """Returns the batches of an epoch; the last is cut short when `steps` says so."""
        plan = self._epoch(np.random.default_rng([*self.seed, epoch]))
        return plan[: self.total_steps - epoch * self.steps_per_epoch]

    @functools.cached_property
    def rows(self) -> np.ndarray:
        """The examples of an epoch, those of rarer classes or origins several times.

        Which are repeated once more than the others follows from the seed and is the same in each
        epoch, so that every epoch has the same number of batches.

        Raises:
          ConfigError: oversampling, of a mixture, whose rates it would change.
        """
        encoded, rng = self.encoded, np.random.default_rng([*self.seed, 0])
        if self.stage.batching.oversample:
            if encoded.origins is not None:
                raise ConfigError(
                    "Batching.oversample repeats the examples of rarer classes, and the rates of a "
                    "mixture would be others.",
                    set_in="Batching.oversample",
                    valid="Batching.oversample = False; class_weights do not repeat examples",
                )
            kinds: Any = np.asarray(encoded.targets)
            shares = dict.fromkeys(np.unique(kinds).tolist(), 1.0)
        elif encoded.origins is not None and encoded.rates is not None:
            kinds, shares = encoded.origins, dict(enumerate(encoded.rates.tolist()))
        else:
            return np.arange(encoded.size)
        groups = [(np.flatnonzero(kinds == kind), shares[kind]) for kind in np.unique(kinds)]
        # The longest epoch that some group asks for, so that no example is left out.
        unit = max(len(rows) / share for rows, share in groups)
        repeated = [
            np.resize(rng.permutation(rows), max(len(rows), round(share * unit)))
            for rows, share in groups
        ]
        return np.sort(np.concatenate(repeated))

    @property
    def _repeats(self) -> bool:
        return self.stage.batching.oversample or self.encoded.origins is not None

    def weights(self, epoch: int) -> list[float] | None:
        """Returns the weight of each batch's examples, so that groups of batches count as one.

        A group goes on in the next epochs where an epoch's batches make no whole number of groups.
        """
        size = self.stage.batching.gradient_accumulation_steps
        if size == 1:
            return None
        each, start = self.steps_per_epoch, epoch * self.steps_per_epoch
        own = range(start, start + len(self.plan(epoch)))
        # From the epoch of the first group's first batch to that of the last group's last batch.
        epochs = range(
            start // size * size // each, (own[-1] // size * size + size - 1) // each + 1
        )
        plans = {number * each: self.plan(number) for number in epochs}
        counts = {
            n: len(batch.rows) for begin in plans for n, batch in enumerate(plans[begin], begin)
        }
        groups: collections.Counter[int] = collections.Counter()
        for number, count in counts.items():
            groups[number // size] += count
        return [size * counts[number] / groups[number // size] for number in own]

    def describe(self, limit: int | None, how: str) -> list[str]:
        """Returns lines on the shapes of the batches, and on repeated and left out examples.

        Args:
          limit: the length that all rows would be padded to without buckets; with windows all texts
            would be to that of the longest one; None where there is nothing to pad.
          how: the batches are computed.
        """
        stage, plan = self.stage, self.plan(0)
        batching = stage.batching
        every = batching.gradient_accumulation_steps
        size = f"{batching.max_size} tokens" if batching.max_size else f"{stage.batch_size}"
        padding = "" if limit is None else self._padding(plan, limit)
        shapes = f"{count_shapes([plan])} shapes{padding}"
        lines = [f"batches: {self.total_steps:,} of {size} in {shapes}; {how}"]
        if self._repeats:
            why = "oversampling" if batching.oversample else "mixture"
            lines.append(f"{why}: {len(self.rows):,} examples an epoch of {self.encoded.size:,}")
        if every > 1:
            left = (stage.steps or (stage.epochs or 0) * self.steps_per_epoch) % every
            end = f"; the last {left} are left out" if left else ""
            lines.append(
                f"accumulation: {self.total_steps // every:,} steps of {every} batches{end}"
            )
        return lines

    def _padding(self, plan: list[Batch], limit: int) -> str:
        """Returns the padded lengths, and how much of the batches is padding."""
        filled, windows = self.encoded.filled, self.encoded.windows
        longest = int(self.encoded.sizes.max())
        limit = max(limit if windows is None else limit * windows.least, longest)
        padded = sum(len(batch.rows) * batch.length for batch in plan)
        used = sum(int(filled[batch.rows].sum()) for batch in plan)
        unbucketed = sum(len(batch.rows) for batch in plan) * limit
        return (
            f", lengths {', '.join(map(str, self.shapes))}; padding {1 - used / padded:.1%} of "
            f"tokens ({1 - used / unbucketed:.1%} when padded to {limit})"
        )

    def _epoch(self, rng: np.random.Generator | None) -> list[Batch]:
        size, tokens = self.stage.batch_size, self.stage.batching.max_size
        plan = plan_epoch(self.encoded.sizes[self.rows], self.shapes, size, rng, tokens)
        if not self._repeats:
            return plan
        return [Batch(self.rows[batch.rows], batch.length) for batch in plan]


def without_effect(
    stage: Stage,
    steps: int,
    epochs: int,
    *,
    only_stage: bool = True,
    rate_factors: Mapping[str, float] | None = None,
) -> list[str]:
    """Returns a message for each setting that cannot do what it is for in a run of this length.

    Args:
      steps: of the optimizer.
      epochs: of the stage, the last one possibly cut short.
      only_stage: whether the run has no other stage.
      rate_factors: the smallest factor of the learning rate in each group that is trained.
    """
    messages, stopping, peak = [], stage.early_stopping, stage.learning_rate
    if peak < SMALL_RATE:
        messages.append(f"learning_rate={peak:g} changes no weight")
    elif peak > stage.optimizer.large_rate:
        messages.append(f"learning_rate={peak:g} is large for {stage.optimizer.title}")
    messages += stage.schedule.warnings(peak, steps)
    rates = {group: factor * peak for group, factor in (rate_factors or {}).items()}
    if small := [group for group, rate in rates.items() if rate < SMALL_RATE <= peak]:
        messages.append(
            f"layer_decay={stage.optimizer.layer_decay:g} and learning_rate_multipliers leave "
            f"{', '.join(small)} with a learning rate of {rates[small[0]]:.1g}, which changes no "
            "weight: freeze these groups instead"
        )
    if stopping.patience is not None and stopping.patience > epochs - 2:
        messages.append(
            f"patience={stopping.patience} cannot end the stage early: it has {epochs} epochs, and "
            f"patience acts from epoch {stopping.patience + 1} on"
        )
    if stopping.patience is None and stopping.min_delta:
        messages.append(f"min_delta={stopping.min_delta:g} has no effect without patience")
    if stopping.monitor is not None and epochs == 1 and only_stage:
        messages.append(f"monitor={stopping.monitor!r} has no effect: there is one epoch to choose")
    for average in stage.averaging:
        messages += average.warnings(steps, epochs)
    return [f"stage {stage.name!r}: {message}" for message in messages]
