"""One request of 16 tokens at a time, against the same model exported padded to 64."""

from __future__ import annotations

import statistics
import tempfile
import time

import numpy as np
import tensorflow as tf

from benchmarks.harness import Outcome, interleave
from tfft import fetch
from tfft.backbones.hub import hub
from tfft.export import Served
from tfft.model import assemble
from tfft.tasks.text_classification import TextClassification

REACH = 2.0
TEXT = "a film " * 7  # 14 words and the two special tokens


class Padded(Served):
    """The export as it would be with a fixed length."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(self, text):
        tokens = self.preprocessor.truncate(self.preprocessor.tokenize(text), 64)
        batch = self.preprocessor.pad(tokens, 64)
        return self._answer(self.model(dict(batch), training=False))


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the padded export's median latency over ours."""
    body = hub(str(fetch.cache_dir() / "minilm_l6"))
    task = TextClassification(["negative", "positive"])
    head = task.head()
    head.build((None, body.dim))
    model = assemble(body, head, frozenset()).full
    tokens = int(body.preprocessor.tokenize([TEXT]).row_lengths()[0])
    served = []
    for kind in (Served, Padded):
        folder = tempfile.mkdtemp()
        one = kind(model, body.preprocessor, task.serve, task.labels)
        tf.saved_model.save(one, folder, signatures={"serving_default": one.text})
        served.append(tf.saved_model.load(folder).signatures["serving_default"])
    request = tf.constant([TEXT])
    apart = float(
        np.abs(
            served[0](text=request)["probabilities"] - served[1](text=request)["probabilities"]
        ).max()
    )
    count = 50 if quick else 300
    print(f"{tokens} tokens a request; probabilities differ by at most {apart:.1e}")
    tails: list[list[float]] = [[], []]

    def latency(which: int) -> float:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            served[which](text=request)["probabilities"].numpy()
            times.append(time.perf_counter() - began)
        tails[which].append(float(np.percentile(times, 95)))
        return statistics.median(times)

    for which in (0, 1):
        latency(which)
    found = interleave(lambda _: latency(0), lambda _: latency(1), pairs)
    for (mine, other), *late in zip(found, *(tail[1:] for tail in tails), strict=True):
        print(
            f"  p50 {mine * 1e3:.2f} against {other * 1e3:.2f} ms, "
            f"p95 {late[0] * 1e3:.2f} against {late[1] * 1e3:.2f} ms"
        )
    faults = [f"probabilities differ by {apart:.1e}"] if apart > 1e-5 or tokens != 16 else []
    return Outcome([b / a for a, b in found], faults, {"seconds": found, "p95": tails})
