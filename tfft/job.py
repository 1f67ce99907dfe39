"""What one run holds while it works, and the stretch of it from texts to trained stages."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import keras
import numpy as np
import psutil
import tensorflow as tf

from tfft import loop
from tfft.errors import ConfigError, DataError
from tfft.model import assemble, is_seed, named_variables
from tfft.pipeline import Encoded, Inputs, bucket_lengths, compute_features, count_shapes
from tfft.pipeline import encode as encode_texts
from tfft.stage import Prepared, Stage, checksums, frozen_names, prepare, prove_freeze, use_xla
from tfft.workdir import Workdir

PACKAGES = ("tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy", "gin-config")


class Clock:
    """Adds up the seconds of named phases."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.monotonic() - began


@dataclasses.dataclass
class Job:
    """A task on a source through a body, and where its results go.

    Attributes:
      task: with its labels.
      backbone, head: the weights.
      splits: the source's splits as token ids.
      seed: of batches and dropout.
      files: the workdir.
      say: the console.
      clock: seconds per phase.
    """

    task: Any
    backbone: Any
    head: keras.layers.Layer
    seed: int
    files: Workdir
    say: Any
    clock: Clock = dataclasses.field(default_factory=Clock)
    splits: dict[str, Encoded] = dataclasses.field(default_factory=dict)

    def encode(self, source: Any) -> None:
        """Tokenises every split once and says how long the texts are and what is cut."""
        with self.clock("encoding"):
            for split in source.splits:
                with self.say.progress(f"encoding {split}", source.size(split)) as progress:
                    batches = labelled_batches(source, split, self.task)
                    encoded = encode_texts(batches, self.backbone.preprocessor, progress.advance)
                self.splits[split] = encoded
        self.say.table(
            "Texts, in tokens",
            ["split", "texts", "median", "95 %", "longest", "texts cut", "tokens cut"],
            [[split, *_length_row(encoded)] for split, encoded in self.splits.items()],
        )

    def train(
        self, stages: Sequence[Stage], checkpoint_steps: int, stopped: threading.Event
    ) -> loop.Position:
        """Trains what is left to train and returns the position at the end."""
        kept = self.trained_variables(stages)
        found = self.files.newest_checkpoint(self.say.warn)
        arrays, position = found[0] if found else None, loop.Position()
        if found:
            position = loop.Position(**found[1])
            loop.assign(kept, found[0])
            self._say_resumed(position, stages)
        while position.stage < len(stages):
            self._train_stage(
                stages[position.stage], position, arrays, kept, checkpoint_steps, stopped
            )
            arrays = None
        return position

    def _train_stage(
        self,
        stage: Stage,
        position: loop.Position,
        arrays: dict[str, np.ndarray] | None,
        kept: dict[str, Any],
        checkpoint_steps: int,
        stopped: threading.Event,
    ) -> None:
        schedule = loop.Schedule(self.splits["train"], stage, (self.seed, position.stage))
        split = self.assemble(stage)
        if position.reuse is None:
            position.reuse, reason, _ = decide_reuse(stage, split, schedule, self.splits)
            self.say.info(f"frozen features: {reason}")
        prepared = self.prepare(stage, schedule.total_steps, position.reuse)
        recorder = loop.Recorder(
            prepared,
            position,
            kept,
            self.files,
            {"labels": list(self.task.labels)},
            self.say,
            checkpoint_steps,
            stopped,
        )
        if position.epoch == 0 and position.step == 0:
            loop.reseed(kept, (self.seed, position.stage))
            position.before = checksums(self.backbone, self.head)
        elif arrays is not None:
            recorder.restore(arrays)
        self.describe(prepared, schedule)
        train = self.inputs(prepared, "train")
        validation = self.inputs(prepared, "validation") if "validation" in self.splits else None
        with self.clock("training"):
            loop.fit_stage(recorder, schedule, train, validation)
        proof = prove_freeze(position.before or {}, prepared, self.backbone, self.head)
        self.say.info(_proof_line(stage, proof))
        position.proofs.append({"name": stage.name, "groups": prepared.table, "proof": proof})
        position.stage, position.epoch, position.step = position.stage + 1, 0, 0
        position.reuse = position.before = None
        recorder.checkpoint()

    def assemble(self, stage: Stage) -> Any:
        """Returns the model as the stage would split it, to look at before it is trained."""
        return prepare(stage, self.backbone, self.head, self.task, 1).split

    def prepare(self, stage: Stage, steps: int, reuse: bool) -> Prepared:
        return prepare(stage, self.backbone, self.head, self.task, steps, reuse)

    def trained_variables(self, stages: Sequence[Stage]) -> dict[str, Any]:
        """Returns the variables that any stage may change, random states included, by name."""
        masks = [frozen_names(stage, self.backbone, self.head) for stage in stages]
        always = frozenset.intersection(*masks)
        variables = named_variables(self.backbone, self.head)
        return {name: value for name, value in variables.items() if name not in always}

    def inputs(self, prepared: Prepared, split: str) -> Inputs:
        """Returns what the stage's model reads of a split, computing frozen features if it does."""
        encoded, prefix = self.splits[split], prepared.split.prefix
        if prepared.trained is not prepared.split.tail or prefix is None:
            return Inputs(encoded)

        @tf.function(reduce_retracing=True)
        def call(batch):
            return prefix(batch, training=False)

        shapes = bucket_lengths(encoded.tokens.lengths)
        title = f"frozen features, {split}"
        with self.clock("frozen features"), self.say.progress(title, encoded.size) as progress:
            features = compute_features(call, encoded, shapes, 64, progress.advance)
        return Inputs(encoded, features)

    def describe(self, prepared: Prepared, schedule: loop.Schedule) -> None:
        """Says what is frozen, how batches are shaped, and whether XLA compiles them."""
        stage = prepared.stage
        self.say.table(
            f"Stage {stage.name!r}: what is trained",
            ["group", "parameters", "trained"],
            [
                [row["group"], f"{row['parameters']:,}", f"{row['trainable']:,}"]
                for row in prepared.table
            ],
        )
        lengths = self.splits["train"].tokens.lengths
        plan = schedule.plan(0)
        padded = sum(len(batch.rows) * batch.length for batch in plan)
        used = sum(int(lengths[batch.rows].sum()) for batch in plan)
        limit = self.backbone.preprocessor.sequence_length
        whole = sum(len(batch.rows) for batch in plan) * limit
        xla = "on" if prepared.trained.jit_compile else "off"
        self.say.info(
            f"batches: {schedule.total_steps:,} of {stage.batch_size} in "
            f"{count_shapes([plan])} shapes, lengths {', '.join(map(str, schedule.shapes))}; "
            f"padding {1 - used / padded:.1%} of tokens ({1 - used / whole:.1%} when padded to "
            f"{limit}); XLA {xla}, {stage.precision}"
        )

    def _say_resumed(self, position: loop.Position, stages: Sequence[Stage]) -> None:
        if position.stage == len(stages):
            self.say.info(f"training is complete in {self.files.path}: its weights are reused")
        else:
            self.say.info(
                f"continuing in {self.files.path}: stage {position.stage + 1}, "
                f"epoch {position.epoch + 1}, batch {position.step + 1}"
            )


def decide_reuse(
    stage: Stage, split: Any, schedule: loop.Schedule, splits: dict[str, Encoded]
) -> tuple[bool, str, int]:
    """Says whether to train on stored outputs of the frozen prefix, why, and their bytes.

    `auto` does when the prefix is used more than once and its outputs fit into half of the free
    memory.
    """
    if split.prefix is None:
        return False, "computed at every step: nothing at the bottom is frozen", 0
    if stage.features == "off":
        return False, 'computed at every step: features="off"', 0
    output = split.prefix.output
    names = [name for name in ("train", "validation") if name in splits]
    rows = sum(
        splits[name].size if len(output.shape) == 2 else len(splits[name].tokens.values)
        for name in names
    )
    size = rows * output.shape[-1] * np.dtype(np.float32).itemsize
    free = psutil.virtual_memory().available
    told = f"{size / 2**20:,.0f} MiB for {split.frozen_layers} layers, {free / 2**20:,.0f} MiB free"
    if stage.features == "memory":
        return True, f'kept in memory: features="memory" ({told})', size
    if schedule.total_steps <= schedule.steps_per_epoch:
        return False, "computed at every step: the stage has one epoch only", 0
    if size > free / 2:
        return False, f"computed at every step: more than half of the free memory ({told})", 0
    return True, f"computed once, kept in memory ({told}), used {schedule.epochs} times", size


def labelled_batches(
    source: Any, split: str, task: Any, size: int = 1024
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields texts, bytes [b], and the task's targets [b]."""
    for batch in source.dataset(split).batch(size).as_numpy_iterator():
        yield batch["text"], task.targets([label.decode() for label in batch["label"]])


def texts_of(source: Any, split: str) -> list[str]:
    """Returns the texts of a split."""
    batches = source.dataset(split).batch(1024).as_numpy_iterator()
    return [text.decode() for batch in batches for text in batch["text"]]


def encode_list(
    texts: Sequence[str], targets: np.ndarray | None, preprocessor: Any, size: int = 1024
) -> Encoded:
    """Returns texts in memory as token ids.

    Raises:
      DataError: there are none.
    """
    if not len(texts):
        raise DataError("there are no texts.", valid="one text or more")
    starts = range(0, len(texts), size)
    return encode_texts(
        (
            (list(texts[i : i + size]), None if targets is None else targets[i : i + size])
            for i in starts
        ),
        preprocessor,
    )


def make_deterministic(seed: int, stages: Sequence[Stage], say: Any) -> None:
    """Makes the same seed, config and data give the same numbers on one machine.

    Keras turns XLA off, with a warning, where TensorFlow's operations are made deterministic; so a
    run under XLA is repeatable only as far as the device's compiler makes it.
    """
    keras.utils.set_random_seed(seed)
    if any(use_xla(stage.xla) for stage in stages):
        say.info(
            "XLA is on: TensorFlow's deterministic operations are off, for the two exclude "
            "each other"
        )
    else:
        tf.config.experimental.enable_op_determinism()


def restore(task: Any, backbone: Any, files: Workdir) -> tuple[Any, Any, Any]:
    """Returns the task with its labels, the head and the model with a run's best weights."""
    arrays, state = files.load("best/weights.safetensors")
    task = task.with_labels(state["labels"]) if not task.labels else task
    head = task.head()
    head.build((None, backbone.dim))
    variables = named_variables(backbone, head)
    loop.assign({name: variables[name] for name in arrays if not is_seed(name)}, arrays)
    return task, head, assemble(backbone, head, frozenset()).full


def describe_machine() -> dict[str, Any]:
    """Returns versions and devices, and the git commit of the current folder when it has one."""
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return {
        "versions": {name: metadata.version(name) for name in PACKAGES},
        "devices": [device.name for device in tf.config.list_logical_devices()],
        "git_commit": commit.stdout.strip() or None,
    }


@contextlib.contextmanager
def scope(strategy: str, say: Any) -> Iterator[None]:
    """Enters a distribution strategy by name; the body must be built inside.

    Raises:
      ConfigError: there is no such strategy, or no such device.
    """
    gpus = tf.config.list_logical_devices("GPU")
    if strategy == "auto":
        strategy = "mirrored" if len(gpus) > 1 else "default"
    if strategy == "default":
        yield
        return
    if strategy == "mirrored":
        chosen: Any = tf.distribute.MirroredStrategy()
    elif strategy == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver()
            tf.config.experimental_connect_to_cluster(resolver)
            tf.tpu.experimental.initialize_tpu_system(resolver)
            chosen = tf.distribute.TPUStrategy(resolver)
        except (ValueError, tf.errors.NotFoundError) as error:
            raise ConfigError(
                "no TPU was found.", set_in="--strategy", valid="auto, default, mirrored"
            ) from error
    else:
        raise ConfigError(
            f"--strategy={strategy} does not exist.",
            set_in="--strategy",
            valid="auto, default, mirrored, tpu (several machines are planned)",
        )
    say.info(f"strategy {strategy} on {chosen.num_replicas_in_sync} replicas")
    with chosen.scope():
        yield


def identity(
    task: Any, backbone: Any, source: Any, stages: Sequence[Stage], seed: int, config: str | None
) -> dict[str, Any]:
    """Returns what makes two runs the same run."""
    described = {
        "task": task.config(),
        "backbone": backbone.config(),
        "stages": [dataclasses.asdict(stage) for stage in stages],
    }
    return {
        "config": config or json.dumps(described, indent=1, sort_keys=True, default=str),
        "data": source.fingerprint(),
        "weights": backbone.fingerprint(),
        "seed": seed,
    }


def _length_row(encoded: Encoded) -> list[str]:
    full, cut = encoded.full_lengths, encoded.truncation()
    median, high = np.percentile(full, [50, 95])
    return [
        f"{encoded.size:,}",
        f"{median:.0f}",
        f"{math.ceil(high)}",
        f"{full.max()}",
        f"{cut['cut_texts']:,}",
        f"{cut['cut_tokens']:,} of {cut['tokens']:,}",
    ]


def _proof_line(stage: Stage, proof: dict[str, Any]) -> str:
    rest = proof["cannot_move"]
    return (
        f"freeze proof of {stage.name!r}: {proof['frozen_bit_identical']} frozen variables are "
        f"bit-identical, {proof['trainable_moved']} trained ones moved"
        + (f", {len(rest)} key biases cannot (softmax ignores them)" if rest else "")
    )
