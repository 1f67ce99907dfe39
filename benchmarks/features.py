"""Frozen features computed once, against tfft computing them at every step.

A body of 12 layers with random weights, 384 features and half of BERT's inner width (tiny's), one
layer trained, 10 epochs, filling included.
"""

from __future__ import annotations

import dataclasses

from benchmarks.harness import Outcome, interleave, note
from benchmarks.sides import Product, reviews
from tfft.backbones.tiny import tiny
from tfft.reuse import gain
from tfft.stage import Stage

REACH = 3.0
LAYERS, EPOCHS = 12, 10


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the seconds without over those with stored features."""
    source = reviews(128 if quick else 512, 100)
    stage = Stage(freeze_layers=LAYERS - 1, epochs=EPOCHS, learning_rate=1e-3, features="memory")

    def make(kind: str) -> Product:
        body = tiny(layers=LAYERS, dim=384, heads=12, sequence_length=128)
        return Product(source, dataclasses.replace(stage, features=kind), body)

    ours, theirs = make("memory"), make("off")
    bound = gain(LAYERS, 1, EPOCHS)
    print(f"{source.size('train')} sentences in letters; bound {bound:.2f} for layers alike")
    ours.warm()
    theirs.warm()
    found = interleave(ours.run, theirs.run, pairs)
    ratios = [b / a for a, b in found]
    apart = max(abs(a - b) for a, b in zip(ours.losses, theirs.losses, strict=True))
    print(f"losses differ by at most {apart:.1e}; accuracy {ours.score()} and {theirs.score()}")
    share = sorted(ratios)[len(ratios) // 2] / bound
    print(f"{share:.0%} of the bound of {bound:.2f} (to reach 90 %)")
    faults = [f"the losses differ by {apart:.1e}"] if apart > 1e-3 else []
    if share < 0.9:
        note("below 90 % of the bound")
    return Outcome(ratios, faults, {"seconds": found, "bound": bound, "share": share})
