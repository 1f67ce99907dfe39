"""Made pictures: which colour is bright says the class."""

import numpy as np
import tensorflow as tf

from tfft.data.sources.images import of_rows
from tfft.preprocessing.media_files import data_uri

LABELS = ("red", "green", "blue")


def picture(label, rng, height=14, width=14):
    """Returns uint8 [h w 3] of noise with a bright channel."""
    pixels = rng.integers(0, 120, (height, width, 3))
    pixels[..., LABELS.index(label)] += 100
    return pixels.astype(np.uint8)


def encoded(label, rng, kind="png", **size):
    """Returns the content of a file."""
    encode = tf.io.encode_png if kind == "png" else tf.io.encode_jpeg
    return encode(picture(label, rng, **size)).numpy()


def source(count=48, labels=LABELS, seed=0):
    """Returns pictures as data URIs, an equal number of each label."""
    rng = np.random.default_rng(seed)
    rows = {}
    for split, size in {"train": count, "validation": count // 2, "test": count // 2}.items():
        answers = [labels[number % len(labels)] for number in range(size)]
        values = [
            data_uri(encoded(label, rng), "png", f"{split} {number}")
            for number, label in enumerate(answers)
        ]
        rows[split] = values, answers
    return of_rows("pictures", rows, [], {})


def folder(path, count=40, labels=("red", "green"), kind="png", seed=0, **size):
    """Writes a folder of pictures for each label; returns its path."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        label = labels[number % len(labels)]
        (path / label).mkdir(parents=True, exist_ok=True)
        (path / label / f"{number:03}.{kind}").write_bytes(encoded(label, rng, kind, **size))
    return path
