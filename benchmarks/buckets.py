"""Length buckets, against tfft with every batch padded to 128.

On both sides the layers compute the padding that a batch has, as a compiler or another kind of body
would; the product's own default, packed layers in buckets, is measured beside them. A pair has a
seed of its own; accuracy over the seeds must agree within one standard deviation.
"""

from __future__ import annotations

import statistics

from benchmarks.harness import Outcome, Score, interleave
from benchmarks.sides import RATE, Product, reviews
from tfft.stage import Stage

REACH = 3.0


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the padded side's seconds over those with buckets."""
    source = reviews(256 if quick else 512)
    epochs = 2 if quick else 3

    def make(lengths: tuple[int, ...] | None, packed: bool) -> Product:
        stage = Stage(
            freeze_layers=4,
            epochs=epochs,
            learning_rate=RATE,
            features="memory",
            lengths=lengths,
        )
        side = Product(source, stage)
        side.body.packed = packed  # before the first call, which makes the graph
        side.warm()
        return side

    sides = [make(None, False), make((128,), False), make(None, True)]
    print(f"{source.size('train')} sentences, {epochs} epochs; lengths {sides[0].schedule.shapes}")
    scores: list[list[Score]] = [[], [], []]

    def side(which: int, seed: int) -> float:
        seconds = sides[which].run(seed)
        scores[which].append(sides[which].score())
        return seconds

    found = interleave(lambda seed: side(0, seed), lambda seed: side(1, seed), pairs)
    default = [side(2, seed) for seed in range(pairs)]
    means = [statistics.fmean(s.share for s in side) for side in scores]
    spread = [statistics.stdev([s.share for s in side]) for side in scores]
    for name, mean, sd in zip(("buckets", "padded", "packed"), means, spread, strict=True):
        print(f"  accuracy over {pairs} seeds, {name}: {mean:.4f} (standard deviation {sd:.4f})")
    gains = [padded / seconds for (_, padded), seconds in zip(found, default, strict=True)]
    print(f"  packed layers in buckets, the default: {statistics.median(gains):.2f} times padded")
    faults = [
        f"accuracy {name} is more than one standard deviation below padded"
        for name, mean in (("with buckets", means[0]), ("of the default", means[2]))
        if mean < means[1] - max(spread)
    ]
    details = {
        "seconds": found,
        "default_seconds": default,
        "accuracy": [[s.share for s in side] for side in scores],
    }
    return Outcome([b / a for a, b in found], faults, details)
