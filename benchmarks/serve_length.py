"""One request of 16 tokens at a time, against the same weights exported padded to 64.

The other side is what Keras' users export: KerasHub's preprocessor and layers at the fixed length.
Our own export at that length is printed beside it; its layers compute no padding either.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from typing import Any

import numpy as np
import tensorflow as tf

import tfft
from benchmarks.harness import Outcome, interleave
from tfft.export.saved_model import Served
from tfft.runs.restore import built_head
from tfft.storage.downloads import fetch
from tfft.tasks.base import serving_signature
from tfft.tasks.signatures.base import ServingSignature
from tfft.tasks.text.text_classification import TextClassification
from tfft.training.model import assemble

REACH = 2.0
LENGTH = 64
TEXT = "a film " * 7  # 14 words and the two special tokens


class FixedLength(tf.Module):
    """An export whose preprocessor pads to a fixed length.

    Args:
      model: from the preprocessor's outputs.
      preprocessor: from strings, [b].
      signature: of the task.
    """

    def __init__(self, model: Any, preprocessor: Any, signature: ServingSignature):
        super().__init__()
        self.model, self.preprocessor = model, preprocessor
        self.signature = signature

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="text")])
    def text(self, text):
        batch = self.padded(text)
        return self.signature.serving_outputs(self.model(batch, training=False), batch)

    def padded(self, text: Any) -> dict[str, Any]:
        """Returns the model's inputs for strings, [b]."""
        raise NotImplementedError


class Padded(FixedLength):
    """Our preprocessor and layers, padded."""

    def padded(self, text: Any) -> dict[str, Any]:
        tokens = self.preprocessor.truncate(self.preprocessor.tokenize(text), LENGTH)
        return dict(self.preprocessor.pad(tokens, LENGTH))


class Keras(FixedLength):
    """The export as Keras' users write it: KerasHub's preprocessor, which pads, in the graph."""

    def padded(self, text: Any) -> dict[str, Any]:
        batch = self.preprocessor(text)
        batch.pop("segment_ids")
        return batch


def run(quick: bool, pairs: int) -> Outcome:
    """Returns the padded export's median latency over ours."""
    import keras_hub

    folder = str(fetch.cache_dir() / "minilm_l6")
    body = tfft.backbones.keras_hub(folder)
    theirs = keras_hub.models.BertTextClassifierPreprocessor(
        keras_hub.models.BertTokenizer.from_preset(folder), sequence_length=LENGTH
    )
    task = TextClassification(["negative", "positive"])
    head = built_head(task, body)
    tokens = int(body.preprocessor.tokenize([TEXT]).row_lengths()[0])
    served = []
    for kind, before in ((Served, body.preprocessor), (Keras, theirs), (Padded, body.preprocessor)):
        body.packed = kind is not Keras
        model, room = assemble(body, head, frozenset()).full, tempfile.mkdtemp()
        one = kind(model, before, serving_signature(task))
        tf.saved_model.save(one, room, signatures={"serving_default": one.text})
        served.append(tf.saved_model.load(room).signatures["serving_default"])
    request = tf.constant([TEXT])
    answers = [np.array(one(text=request)["probabilities"]) for one in served]
    apart = float(np.abs(np.subtract(answers[1:], answers[0])).max())
    count = 50 if quick else 200
    print(f"{tokens} tokens; the answers differ by at most {apart:.1e}; {count} requests a pair")
    tails: list[list[float]] = [[], []]

    def latency(which: int) -> float:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            served[which](text=request)["probabilities"].numpy()
            times.append(time.perf_counter() - began)
        if which < 2:
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
    own = latency(2)
    print(f"  our layers padded to 64: p50 {own * 1e3:.2f} ms")
    faults = [f"probabilities differ by {apart:.1e}"] if apart > 1e-5 or tokens != 16 else []
    details = {"seconds": found, "p95": tails, "own_layers_padded": own}
    return Outcome([b / a for a, b in found], faults, details)
