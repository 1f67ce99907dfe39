"""BERT-base's shape on a GPU: model FLOP utilisation, and the ratio to KerasHub's `fit`.

    .venv/bin/python -m benchmarks.gpu [--peak_tflops=N] [--precision=mixed_bfloat16]

12 layers of 768, 12 heads, sequence 128, random weights, everything trained; XLA and mixed
precision on both sides. Aims: 35 % and 1.5. It has not been run: no GPU was at hand.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from typing import Any

import keras
import keras_hub
import numpy as np
import tensorflow as tf

from benchmarks.harness import interleave, last_line
from tfft.backbones.text.encoder_architectures import ARCHITECTURES
from tfft.backbones.text.text_backbone import TextBackbone
from tfft.backbones.text.tiny import tiny
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.execution import Execution
from tfft.training.prepare_stage import prepare
from tfft.training.stage import Stage

LENGTH, STEPS = 128, 50
# Dense half-precision rates in TFLOP/s, from the makers' data sheets.
PEAKS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L4": 121.0, "V100": 125.0, "T4": 65.0}


def model_flops(batch: int, layers: int = 12, dim: int = 768, inner: int = 3072) -> float:
    """Returns the products of one training step, backward counted as twice forward."""
    tokens = batch * LENGTH
    dense = tokens * 2 * (4 * dim * dim + 2 * dim * inner)
    return 3.0 * layers * (dense + 4 * batch * LENGTH**2 * dim)


def bert(precision: str) -> Any:
    """Returns a body of BERT-base's shape with random weights."""
    return keras_hub.models.BertBackbone(
        vocabulary_size=30522,
        num_layers=12,
        num_heads=12,
        hidden_dim=768,
        intermediate_dim=3072,
        max_sequence_length=LENGTH,
        dtype=precision,
    )


def ours(batch: int, precision: str) -> Any:
    """Returns the compiled model of a stage that trains everything."""
    preprocessor = tiny(sequence_length=LENGTH).preprocessor
    body = TextBackbone(bert(precision), ARCHITECTURES["bert"], preprocessor, pooling="cls")
    task = TextClassification(["a", "b"])
    return prepare(
        Stage(execution=Execution(dtype_policy=precision, jit_compile=True), batch_size=batch),
        body,
        task.build_head(body),
        task,
        10_000,
    ).trained


def theirs(precision: str) -> Any:
    """Returns KerasHub's classifier, compiled with XLA."""
    model = keras_hub.models.BertTextClassifier(bert(precision), num_classes=2, preprocessor=None)
    model.compile(
        optimizer=keras.optimizers.AdamW(5e-5, weight_decay=0.01, global_clipnorm=1.0),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=True,
    )
    return model


def main(arguments: list[str]) -> int:
    """Measures on the first GPU; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--peak_tflops", type=float)
    parser.add_argument("--precision", default="mixed_bfloat16")
    options = parser.parse_args(arguments)
    devices = tf.config.list_physical_devices("GPU")
    if not devices:
        print("gpu: TensorFlow sees no GPU here; nothing was measured", file=sys.stderr)
        return 2
    name = tf.config.experimental.get_device_details(devices[0]).get("device_name", "")
    peak = options.peak_tflops or next((v for k, v in PEAKS.items() if k in name), None)
    if peak is None:
        print(f"gpu: the peak rate of {name!r} is not known; give --peak_tflops", file=sys.stderr)
        return 2
    rng = np.random.default_rng(0)
    ids = rng.integers(1000, 30000, (options.batch * STEPS, LENGTH)).astype("int32")
    inputs = {"token_ids": ids, "padding_mask": np.ones_like(ids)}
    targets = rng.integers(0, 2, len(ids))
    models = [ours(options.batch, options.precision), theirs(options.precision)]
    data = [
        tf.data.Dataset.from_tensor_slices((given, targets)).batch(options.batch).prefetch(4)
        for given in (inputs, {**inputs, "segment_ids": np.zeros_like(ids)})
    ]

    def seconds(which: int) -> float:
        began = time.perf_counter()
        models[which].fit(data[which], verbose=0)
        return time.perf_counter() - began

    for which in (0, 1):
        seconds(which)
    found = interleave(lambda _: seconds(0), lambda _: seconds(1), options.pairs)
    rate = model_flops(options.batch) * STEPS / statistics.median(a for a, _ in found)
    print(f"{name}: {rate / 1e12:.1f} TFLOP/s, {rate / 1e12 / peak:.1%} of {peak:g} (aim 35 %)")
    print(last_line("gpu", [b / a for a, b in found]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
