"""One side of `scale`, in a process of its own: rows and a folder as arguments."""

from __future__ import annotations

import csv
import json
import pathlib
import random
import resource
import sys

from benchmarks.sides import Product
from tfft.backbones.text.tiny import WORDS, tiny
from tfft.data.sources.files import files
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.stage import Stage


def main(rows: int, folder: str) -> None:
    """Trains, and prints one line of JSON."""
    data, draw = pathlib.Path(folder, "rows.csv"), random.Random(0)
    with open(data, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label"])
        for number in range(rows):
            label = draw.choice(("good", "bad"))
            words = [*draw.choices(WORDS, k=draw.randint(3, 9)), label, str(number)]
            writer.writerow([" ".join(words), label])
    body = tiny(layers=2, dim=128, heads=2)
    stage = Stage(
        freeze_layers="all", epochs=2, learning_rate=3e-3, feature_cache=FeatureCache(where="disk")
    )
    product = Product(files(str(data)), stage, body)
    product.warm()
    seconds = product.run(0)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    parts = {name: round(value, 1) for name, value in product.seconds.items()}
    score = product.score()
    found = {"seconds": seconds, "peak_gib": peak, "parts": parts}
    print(json.dumps({**found, "right": score.right, "total": score.total}))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
