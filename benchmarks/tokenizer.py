"""Texts to ids, against KerasHub's BertTokenizer in a tf.data map."""

from __future__ import annotations

import os
import time

import numpy as np
import tensorflow as tf

import tfft
from benchmarks.harness import Outcome, interleave
from tfft.data.sources.demo.movie_reviews import movie_reviews
from tfft.storage.downloads import fetch

REACH = 2.0


def run(quick: bool, pairs: int) -> Outcome:
    """Returns their seconds over ours, for the same texts in batches of 4,096."""
    import keras_hub

    folder = str(fetch.cache_dir() / "minilm_l6")
    ours = tfft.backbones.keras_hub(folder).preprocessor
    theirs = keras_hub.models.BertTokenizer.from_preset(folder)
    source = movie_reviews()
    plain = [text for split in source.splits for text, _ in source.rows(split)]
    texts = plain * (5 if quick else 20)
    data = tf.data.Dataset.from_tensor_slices(texts).batch(ours.batch).cache()
    for _ in data:
        pass
    # AUTOTUNE would settle on one or on all cores anew for each pass.
    cores = os.cpu_count() or 1
    mapped = data.map(theirs, num_parallel_calls=cores).prefetch(cores)
    own = data.map(ours.tokenize, num_parallel_calls=cores).prefetch(cores)

    def seconds(dataset: tf.data.Dataset) -> float:
        began = time.perf_counter()
        for _ in dataset:
            pass
        return time.perf_counter() - began

    for dataset in (own, mapped):
        seconds(dataset)
    found = interleave(lambda _: seconds(own), lambda _: seconds(mapped), pairs)
    for mine, other in found:
        print(f"  {len(texts) / mine:9,.0f} texts/s against {len(texts) / other:9,.0f}")
    one = ours.tokenize(tf.constant(plain))[:, 1:-1].to_list()
    two = [ids for part in mapped for ids in part.to_list()][: len(plain)]
    differ = sum(a != b for a, b in zip(one, two, strict=True))
    print(f"{differ} of {len(plain)} texts get other ids (KerasHub keeps accents: [UNK])")
    accented = sum(any(ord(c) > 127 for c in text) for text in plain)
    faults = [f"{differ} texts differ, and {accented} have accents"] if differ > accented else []
    details = {"seconds": found, "texts": len(texts), "differ": differ, "accented": accented}
    return Outcome([float(np.divide(b, a)) for a, b in found], faults, details)
