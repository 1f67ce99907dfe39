"""A training step of VGG16 on a CPU, against Keras' own convolutions.

32 x 32 pixels, batches of 64, random weights, all layers trained.
"""

from __future__ import annotations

import time

import keras
import numpy as np

from benchmarks.harness import Outcome, interleave, note
from tfft.backbones.image.fast_convolution import quicken

REACH = 2.0
PIXELS, BATCH, CLASSES = 32, 64, 10


def made(quick_ones: bool) -> keras.Model:
    """Returns a compiled classifier on VGG16."""
    body = keras.applications.VGG16(
        include_top=False, weights=None, input_shape=(PIXELS, PIXELS, 3), pooling="avg"
    )
    if quick_ones:
        note(f"{quicken(body.layers)} convolutions with a gradient of their own")
    outputs = keras.layers.Dense(CLASSES, activation="softmax")(body.output)
    model = keras.Model(body.input, outputs)
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=False)
    return model


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the seconds of Keras' step over those of ours."""
    ours, theirs = made(True), made(False)
    theirs.set_weights(ours.get_weights())
    pixels = np.random.default_rng(0).normal(size=(BATCH, PIXELS, PIXELS, 3)).astype("float32")
    labels = np.arange(BATCH) % CLASSES
    for model in (ours, theirs):
        model.train_on_batch(pixels, labels)
    weights = zip(ours.get_weights(), theirs.get_weights(), strict=True)
    apart = max(float(np.abs(one - other).max()) for one, other in weights)
    print(f"weights differ by {apart:.1e} after the first step")

    def seconds(model: keras.Model) -> float:
        began = time.perf_counter()
        for _ in range(1 if quick else 3):
            model.train_on_batch(pixels, labels)
        return time.perf_counter() - began

    found = interleave(lambda _: seconds(ours), lambda _: seconds(theirs), pairs)
    faults = [f"the weights differ by {apart:.1e}"] if apart > 1e-6 else []
    return Outcome([b / a for a, b in found], faults, {"seconds": found})
