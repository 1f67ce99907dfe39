"""Any TensorFlow Datasets builder goes in by name.

.venv/bin/python examples/tfds.py imdb_reviews FOLDER [PRESET]
"""

import sys

import tfft
from tfft.data.sources.tfds import tfds


def main(name: str, folder: str, preset: str | None = None) -> None:
    """Trains on the builder's own splits."""
    body = tfft.backbones.keras_hub(preset) if preset else tfft.backbones.tiny()
    stage = tfft.Stage(freeze_layers=1, epochs=1, learning_rate=1e-3)
    run = tfft.train(tfft.tasks.TextClassification(), body, tfds(name), [stage], workdir=folder)
    print(run.report["metrics"]["accuracy"])


if __name__ == "__main__":
    main(*sys.argv[1:])
