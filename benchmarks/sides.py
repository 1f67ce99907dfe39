"""The two sides: tfft as its verbs run it, and KerasHub's own classifier."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from benchmarks.harness import Score
from tfft.backbones.text.keras_hub import keras_hub
from tfft.data.length_buckets import plan_epoch
from tfft.data.sources.base import MemorySource
from tfft.data.sources.demo.movie_reviews import movie_reviews
from tfft.evaluation import inference
from tfft.reports.console import Console
from tfft.runs import environment, trainer
from tfft.runs.restore import built_head
from tfft.runs.signals import Stop
from tfft.storage.downloads import fetch
from tfft.storage.workdir import Workdir
from tfft.tasks.text.text_classification import TextClassification
from tfft.training import checkpointing, loop
from tfft.training.stage import Stage

RATE, WARMUP, DECAY = 2e-4, 0.1, 0.01


def reviews(train: int, held_out: int = 1000) -> MemorySource:
    """Returns so many training and validation sentences of the movie reviews, drawn once."""
    source = movie_reviews()
    rows = {}
    for split, most in (("train", train), ("validation", held_out)):
        pairs = list(source.rows(split))
        # The file has one label after the other.
        pairs = [pairs[i] for i in np.random.default_rng(0).permutation(len(pairs))[:most]]
        rows[split] = ([text for text, _ in pairs], [label for _, label in pairs])
    return MemorySource("movie reviews", rows)


def minilm(pooling: str = "mean") -> Any:
    """Returns the fetched body. BERT's own classifiers, the peers', pool by the "pooler"."""
    return keras_hub(str(fetch.cache_dir() / "minilm_l6"), pooling=pooling)


class Product:
    """tfft from raw texts to trained weights: encoding, frozen features, `fit`, checkpoints.

    What is done once a process (tracing, compiling) is done by `warm`; `run` starts from the same
    weights each time and reuses nothing else of an earlier run.
    """

    def __init__(self, source: Any, stage: Stage, body: Any = None):
        self.source, self.stage = source, stage
        self.body = body or minilm()
        environment.make_deterministic(0, [stage], Console(quiet=True))
        self.task = TextClassification().with_training_answers(source.label_counts("train"))
        self.head = built_head(self.task, self.body)
        self.room = tempfile.TemporaryDirectory()
        self.job = self._job()
        self.job.encode(source)
        self.kept = self.job.trained_variables([stage])
        self.first = checkpointing.values(self.kept)
        self.cuts = self.job.cuts([stage])
        self.schedule = loop.Schedule(self.job.splits["train"], stage, (0, 0))
        self.kind = stage.feature_cache.where
        if self.kind == "auto":
            self.kind = self.job.decide(stage, self.cuts, self.schedule).kind
        self.prepared = self.job.prepare(stage, self.schedule.total_steps, self.kind != "off")
        self.model: Any = self.prepared.trained
        self.zero = [np.array(v) for v in self.model.optimizer.variables]
        self.seconds: dict[str, float] = {}

    def _job(self) -> trainer.Trainer:
        files = Workdir(tempfile.mkdtemp(dir=self.room.name))
        return trainer.Trainer(self.task, self.body, self.head, 0, files, Console(quiet=True))

    def warm(self) -> None:
        """Runs each shape of batch once, forward and training."""
        inputs = self._inputs(self.job)
        seen, plan = set(), []
        for batch in self.schedule.plan(0):
            if (key := (len(batch.rows), batch.length)) not in seen:
                seen.add(key)
                plan.append(batch)
        for _ in range(2):
            self.model.fit(inputs.dataset(plan), verbose=0)
        self.reset(0)

    def reset(self, seed: int) -> None:
        """Puts back the weights, the optimizer and the random generators."""
        checkpointing.assign(self.kept, self.first)
        for variable, value in zip(self.model.optimizer.variables, self.zero, strict=True):
            variable.assign(value)
        loop.reseed(self.kept, (seed,))

    def _inputs(self, job: trainer.Trainer) -> Any:
        return job.inputs(self.stage, "train", self.cuts, self.kind)

    def run(self, seed: int) -> float:
        """Returns the seconds from raw texts to trained weights."""
        self.reset(seed)
        self.job.features.towers[""]._memory.clear()
        self.job.store.clear()
        schedule = loop.Schedule(self.job.splits["train"], self.stage, (seed, 0))
        began = time.perf_counter()
        self.job.encode(self.source)
        encoded = time.perf_counter()
        inputs = self._inputs(self.job)
        filled = time.perf_counter()
        recorder = checkpointing.Recorder(
            self.prepared,
            checkpointing.Position(reuse=self.kind),
            self.kept,
            Workdir(tempfile.mkdtemp(dir=self.room.name)),
            {"labels": list(self.task.target.names or ())},
            Console(quiet=True),
            200,
            Stop(),
        )
        loop.fit_stage(recorder, schedule, inputs, None)
        recorder.workdir.finish()
        ended = time.perf_counter()
        self.losses = [record["loss"] for record in recorder.position.records]
        self.seconds = {
            "encoding": encoded - began,
            "features": filled - encoded,
            "training": ended - filled,
        }
        return ended - began

    def score(self) -> Score:
        """Returns the accuracy on the validation split."""
        encoded = self.job.splits["validation"]
        outputs = inference.predict(self.prepared.split.full, encoded)
        right = int((outputs.argmax(-1) == np.asarray(encoded.targets)).sum())
        return Score(right, encoded.size)


class Hub:
    """KerasHub's `BertTextClassifier.fit`, padded to 128, with the same layers frozen."""

    def __init__(self, source: Any, frozen: int, epochs: int, batch: int = 32):
        import keras_hub

        folder = str(fetch.cache_dir() / "minilm_l6")
        body = keras_hub.models.BertBackbone.from_preset(folder)
        tokenizer = keras_hub.models.BertTokenizer.from_preset(folder)
        before = keras_hub.models.BertTextClassifierPreprocessor(tokenizer, sequence_length=128)
        self.model = keras_hub.models.BertTextClassifier(body, num_classes=2, preprocessor=before)
        for name in ("token_embedding", "position_embedding", "segment_embedding"):
            body.get_layer(name).trainable = False
        body.get_layer("embeddings_layer_norm").trainable = False
        for index in range(frozen):
            body.get_layer(f"transformer_layer_{index}").trainable = False
        self.texts, self.targets = _arrays(source, "train")
        self.held_out = _arrays(source, "validation")
        self.epochs, self.batch = epochs, batch
        steps = -(-len(self.texts) // batch) * epochs
        from tfft.training.learning_rate import WarmupDecay

        rate = WarmupDecay(RATE, steps, round(WARMUP * steps))
        self.model.compile(
            optimizer=keras.optimizers.AdamW(rate, weight_decay=DECAY, global_clipnorm=1.0),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            metrics=["accuracy"],
            jit_compile=False,
        )
        self.first = self.model.get_weights()
        self.model.optimizer.build(self.model.trainable_variables)
        self.zero = [np.array(v) for v in self.model.optimizer.variables]

    def warm(self) -> None:
        rest = len(self.texts) % self.batch or self.batch
        for count in (self.batch, rest):
            self.model.fit(self.texts[:count], self.targets[:count], batch_size=count, verbose=0)

    def run(self, seed: int) -> float:
        """Returns the seconds of `fit` on raw texts."""
        self.model.set_weights(self.first)
        for variable, value in zip(self.model.optimizer.variables, self.zero, strict=True):
            variable.assign(value)
        order = np.random.default_rng(seed).permutation(len(self.texts))
        began = time.perf_counter()
        self.model.fit(
            self.texts[order],
            self.targets[order],
            batch_size=self.batch,
            epochs=self.epochs,
            verbose=0,
        )
        return time.perf_counter() - began

    def score(self) -> Score:
        texts, targets = self.held_out
        outputs = self.model.predict(texts, batch_size=64, verbose=0)
        return Score(int((outputs.argmax(-1) == targets).sum()), len(targets))


def _arrays(source: Any, split: str) -> tuple[np.ndarray, np.ndarray]:
    pairs: Sequence[tuple[str, str]] = list(source.rows(split))
    labels = source.labels
    return np.array([t for t, _ in pairs]), np.array([labels.index(name) for _, name in pairs])


def tail_flops(body: Any, lengths: np.ndarray, plan: Sequence[Any], layers: int) -> float:
    """Returns the multiply-adds times two of a training step's products, as they are executed.

    Packed tokens for all that works on one token, padded ones for attention; backward is twice
    forward.
    """
    dim, total = body.dim, 0.0
    inner = body.groups[1].layers[0].intermediate_dim
    for batch in plan:
        tokens = int(lengths[batch.rows].sum())
        tokens = min(-(-tokens // 32) * 32, len(batch.rows) * batch.length)
        total += layers * tokens * 2 * (4 * dim * dim + 2 * dim * inner)
        total += layers * 2 * 2 * len(batch.rows) * batch.length**2 * dim
    return 3 * total


__all__ = ["RATE", "Hub", "Product", "plan_epoch", "minilm", "reviews", "tail_flops"]
