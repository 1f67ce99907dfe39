"""Length buckets, against tfft with every batch padded to 128.

On both sides the layers compute the padding that a batch has, as a compiler or another kind of body
would; the product's own default, packed layers in buckets, is measured beside them. Accuracy is of
four times as many sentences, packed on both sides, which changes no number: over the seeds it must
agree within one standard deviation.
"""

from __future__ import annotations

import statistics

from benchmarks.harness import Outcome, interleave, note
from benchmarks.sides import RATE, Product, reviews
from tfft.training.batching import Batching
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.stage import Stage

REACH = 3.0
PADDED = (128,)


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the padded side's seconds over those with buckets."""
    epochs = 2 if quick else 3

    def make(rows: int, lengths: tuple[int, ...] | None, packed: bool) -> Product:
        stage = Stage(
            freeze_layers=4,
            epochs=epochs,
            learning_rate=RATE,
            feature_cache=FeatureCache(where="memory"),
            batching=Batching(padded_lengths=lengths),
        )
        side = Product(reviews(rows), stage)
        side.body.packed = packed  # before the first call, which makes the graph
        side.warm()
        return side

    rows = 256 if quick else 512
    ours, theirs, default = (
        make(rows, None, False),
        make(rows, PADDED, False),
        make(rows, None, True),
    )
    print(f"{rows} sentences, {epochs} epochs; lengths {ours.schedule.shapes}")
    found = interleave(ours.run, theirs.run, pairs)
    seconds = [default.run(seed) for seed in range(pairs)]
    gains = [padded / mine for (_, padded), mine in zip(found, seconds, strict=True)]
    print(f"  packed layers in buckets, the default: {statistics.median(gains):.2f} times padded")
    rows *= 4
    scores = [_accuracy(make(rows, lengths, True), pairs) for lengths in (None, PADDED)]
    means, spread = ([of(one) for one in scores] for of in (statistics.fmean, statistics.stdev))
    for name, mean, sd in zip(("buckets", "padded"), means, spread, strict=True):
        print(f"  accuracy, {rows} sentences, {pairs} seeds, {name}: {mean:.4f} (sd {sd:.4f})")
    low = means[0] < means[1] - max(spread)
    faults = (
        ["accuracy with buckets is more than one standard deviation below padded"] if low else []
    )
    details = {"seconds": found, "default_seconds": seconds, "rows": rows, "accuracy": scores}
    return Outcome([b / a for a, b in found], faults, details)


def _accuracy(side: Product, seeds: int) -> list[float]:
    """Returns the accuracy of a training with each seed, on 1,000 sentences."""
    found = []
    for seed in range(seeds):
        note(f"accuracy: training {seed + 1} of {seeds}, {side.run(seed):.0f} s")
        found.append(side.score().share)
    return found
