"""A tf.data pipeline of your own goes in; a report and a served model come out.

.venv/bin/python examples/own_tf_data.py FOLDER [PRESET]
"""

import sys

import tensorflow as tf

import tfft


def reviews() -> tf.data.Dataset:
    """Stands for any pipeline that yields a text and a label."""
    rows = [(f"{'fine' if n % 2 else 'dull'} film number {n}", n % 2) for n in range(400)]
    texts, labels = zip(*rows, strict=True)
    dataset = tf.data.Dataset.from_tensor_slices((list(texts), list(labels)))
    return dataset.map(lambda text, label: {"text": text, "label": label})


def main(folder: str, preset: str | None = None) -> None:
    """Trains on the pipeline, prints two predictions and exports."""
    task = tfft.tasks.TextClassification()
    body = tfft.backbones.keras_hub(preset) if preset else tfft.backbones.tiny()
    stages = [
        tfft.Stage("head", freeze_layers="all", epochs=2, learning_rate=1e-2),
        tfft.Stage("upper", freeze_layers=1, epochs=2, learning_rate=1e-3),
    ]
    run = tfft.train(task, body, reviews(), stages, workdir=folder)
    print(run.predict(["a fine film", "a dull film"]))
    print(run.export())


if __name__ == "__main__":
    main(*sys.argv[1:])
