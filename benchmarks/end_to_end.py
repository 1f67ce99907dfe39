"""Raw texts to trained weights, against KerasHub's TextClassifier padded to 128.

Both freeze the embeddings and layers 0 to 3 of MiniLM-L6, pool by BERT's pooler and train 5 epochs
at batch 32; ours fills its frozen features within the time. Tracing and compiling are done before,
on both sides. Our default, the mean over the tokens, for which the top layer has more to compute,
is measured and printed beside it.
"""

from __future__ import annotations

import statistics

from benchmarks.harness import Outcome, accuracy_fault, interleave
from benchmarks.sides import RATE, Hub, Product, minilm, reviews
from tfft.training.stage import Stage

REACH = 12.0


def run(quick: bool, pairs: int) -> Outcome:
    """Returns their seconds over ours, a pair at a time."""
    source = reviews(128 if quick else 384)
    epochs = 5
    stage = Stage(freeze_layers=4, epochs=epochs, learning_rate=RATE)
    ours = Product(source, stage, minilm("pooler"))
    theirs = Hub(source, 4, epochs)
    rows = source.size("train")
    print(f"{rows} sentences of the movie reviews, {epochs} epochs; features: {ours.kind}")
    ours.warm()
    theirs.warm()
    scores: list[list] = [[], []]
    parts = []

    def side(which: int, model, seed: int) -> float:
        seconds = model.run(seed)
        scores[which].append(model.score())
        return seconds

    def first(seed: int) -> float:
        seconds = side(0, ours, seed)
        parts.append(dict(ours.seconds))
        return seconds

    found = interleave(first, lambda seed: side(1, theirs, seed), pairs)
    for mine, other in found:
        print(f"  {rows * epochs / mine:7.1f} examples/s against {rows * epochs / other:6.1f}")
    fault = accuracy_fault(*scores)
    default = Product(source, stage)
    default.warm()
    means = [default.run(seed) for seed in range(pairs)]
    mean, other = statistics.median(means), statistics.median(other for _, other in found)
    print(f"  pooled by the mean: {rows * epochs / mean:.1f} examples/s, ratio {other / mean:.2f}")
    details = {
        "seconds": found,
        "parts": parts,
        "rows": rows,
        "epochs": epochs,
        "mean_pooling_seconds": means,
        "accuracy": [[s.share for s in side] for side in scores],
    }
    return Outcome([b / a for a, b in found], [fault] if fault else [], details)
