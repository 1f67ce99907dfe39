"""Length buckets, against tfft with every batch padded to 128.

Both with packed layers off, so that padding is computed as a compiler or another body would; the
product's own default, which computes no padding, is measured beside it. A pair has a seed of its
own; accuracy over the seeds must agree within one standard deviation.
"""

from __future__ import annotations

import statistics

from benchmarks.harness import Outcome, Score, interleave
from benchmarks.sides import RATE, Product, reviews
from tfft.stage import Stage

REACH = 3.0


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the padded side's seconds over those with buckets."""
    source = reviews(256 if quick else 1024)
    epochs = 2 if quick else 3
    sides = [
        Product(
            source,
            Stage(
                freeze_layers=4,
                epochs=epochs,
                learning_rate=RATE,
                features="memory",
                lengths=lengths,
            ),
        )
        for lengths in (None, (128,))
    ]
    print(f"{source.size('train')} sentences, {epochs} epochs; lengths {sides[0].schedule.shapes}")
    scores: list[list[Score]] = [[], []]
    for model in sides:
        model.warm()

    def side(which: int, seed: int) -> float:
        seconds = sides[which].run(seed)
        scores[which].append(sides[which].score())
        return seconds

    found = interleave(lambda seed: side(0, seed), lambda seed: side(1, seed), pairs)
    means = [statistics.fmean(s.share for s in side) for side in scores]
    spread = [statistics.stdev([s.share for s in side]) for side in scores]
    print(
        f"accuracy over {pairs} seeds: buckets {means[0]:.3f} (sd {spread[0]:.3f}), "
        f"padded {means[1]:.3f} (sd {spread[1]:.3f})"
    )
    faults = []
    if means[0] < means[1] - max(spread):
        faults.append("accuracy with buckets is more than one standard deviation lower")
    details = {"seconds": found, "accuracy": [[s.share for s in side] for side in scores]}
    return Outcome([b / a for a, b in found], faults, details)
