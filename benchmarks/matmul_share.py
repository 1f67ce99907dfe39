"""The share of the machine's own fp32 matmul rate that training the tail reaches.

MiniLM-L6 with 4 of 6 layers frozen, real lengths, batch 32, dropout and the optimizer included,
through `model.fit` on stored features. Counted are the products as they are executed, the last one
of the tail's sums included, without padding where none is computed.
"""

from __future__ import annotations

import time

import tensorflow as tf

from benchmarks.harness import Outcome, note
from benchmarks.sides import RATE, Product, reviews, tail_flops
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.stage import Stage

REACH = 0.7


def matmul_rate() -> float:
    """Returns FLOP/s of the better of two square products."""
    best = 0.0
    for size, times in ((1024, 20), (2048, 3)):
        a = tf.ones((size, size))
        tf.matmul(a, a)
        began = time.perf_counter()
        for _ in range(times):
            tf.matmul(a, a)
        best = max(best, times * 2 * size**3 / (time.perf_counter() - began))
    return best


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the share, a pair at a time."""
    source = reviews(512 if quick else 2048, 100)
    ours = Product(
        source,
        Stage(
            freeze_layers=4,
            epochs=1,
            learning_rate=RATE,
            feature_cache=FeatureCache(where="memory"),
        ),
    )
    lengths, plan = ours.job.splits["train"].tokens.lengths, ours.schedule.plan(0)
    flops = tail_flops(ours.body, lengths, plan, 2)
    inputs = ours._inputs(ours.job)
    ours.warm()
    ours.model.fit(inputs.dataset(plan), verbose=0)
    shares, raw = [], []
    for number in range(pairs):
        before = matmul_rate()
        began = time.perf_counter()
        ours.model.fit(inputs.dataset(plan), verbose=0)
        seconds = time.perf_counter() - began
        rate = (before + matmul_rate()) / 2
        shares.append(flops / seconds / rate)
        raw.append({"seconds": seconds, "matmul_gflops": rate / 1e9})
        note(
            f"pair {number + 1}: {flops / seconds / 1e9:.0f} of {rate / 1e9:.0f} GFLOP/s, "
            f"{seconds / len(plan) * 1e3:.1f} ms a step"
        )
    return Outcome(shares, [], {"steps": len(plan), "gflop": flops / 1e9, "runs": raw})
