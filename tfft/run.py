"""The verbs: check, train, evaluate, predict, export. Each reads from top to bottom."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
import platform
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib import metadata
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfft import export as exporting
from tfft import loop, report
from tfft.console import Console
from tfft.errors import ConfigError, DataError, FreezeError, UserError, WorkdirError
from tfft.model import is_seed, named_variables
from tfft.pipeline import Encoded, Inputs, bucket_lengths, compute_features, count_shapes, encode
from tfft.sources.files import read
from tfft.sources.memory import memory
from tfft.stage import Prepared, Stage, checksums, prepare, prove_freeze, use_xla
from tfft.workdir import Workdir, write_atomic

STRATEGIES = ("auto", "default", "mirrored", "tpu")
PACKAGES = ("tensorflow", "keras", "keras-hub", "tensorflow-text", "numpy", "gin-config")


@dataclasses.dataclass
class Run:
    """A trained model and where it came from.

    Attributes:
      model: a compiled `keras.Model` from token_ids and padding_mask, int32 [b t].
      task, backbone: as they were trained.
      report: the content of report.json; empty before an evaluation.
      workdir: the run's folder.
    """

    model: keras.Model
    task: Any
    backbone: Any
    workdir: Workdir
    report: dict[str, Any] = dataclasses.field(default_factory=dict)
    held_out: tuple[list[str], np.ndarray] = ((), np.zeros(0))  # type: ignore[assignment]

    def predict(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Returns what the task reads of each text, in their order."""
        encoded = _encode_texts(texts, None, self.backbone)
        return [self.task.prediction(row) for row in loop.predict(self.model, encoded)]

    def export(self, folder: str | os.PathLike[str]) -> pathlib.Path:
        """Writes a SavedModel that takes raw strings below `folder`; returns its version's folder.

        Raises:
          ExportError: a fresh process predicts otherwise than the model in memory.
        """
        texts, expected = self.held_out
        card = {"task": self.task.config(), "backbone": self.backbone.config()}
        served = exporting.Served(self.model, self.backbone.preprocessor, self.task.serve)
        return exporting.export(pathlib.Path(folder), served, card, texts, expected)[0]


def build(task: Any, backbone: Any, stage: Stage | None = None, *, steps: int = 1000) -> keras.Model:
    """Returns a compiled model for a training loop of your own.

    Args:
      task: with its labels given.
      backbone: gives the body; `backbone.preprocessor(texts)` makes the model's inputs.
      stage: the mask, the optimizer and the schedule.
      steps: the length of the schedule, in batches.
    """
    if not task.labels:
        raise ConfigError("tfft.build needs to know the labels.", valid="TextClassification(labels=[...])")
    return prepare(stage or Stage(), backbone, task.head(), task, steps).split.full


def train(
    task: Any,
    backbone: Any,
    source: Any,
    stages: Sequence[Stage] = (Stage(),),
    *,
    seed: int = 0,
    workdir: str | os.PathLike[str] | None = None,
    config_text: str | None = None,
    checkpoint_steps: int = 200,
    say: Any = None,
) -> Run:
    """Fine-tunes a pretrained body for a task, evaluates it and writes a report.

    Args:
      task: the problem: labels, head, loss, metrics.
      backbone: the pretrained body.
      source: a Source, or a `tf.data.Dataset` of {"text", "label"} or (text, label).
      stages: trained one after the other on the same weights.
      seed: of the head's first weights, the order of batches and dropout.
      workdir: the run's folder; the same call with the same folder continues a stopped run.
      config_text: the config that these arguments came from; it is kept as config.gin.
      checkpoint_steps: batches between checkpoints within an epoch.
      say: the console.
    """
    say, clock = say or Console(), _Clock()
    source = _as_source(source)
    _describe_source(source, say)
    task = task.with_labels(source.labels)
    make_deterministic(seed)
    head = task.head()
    head.build((None, backbone.dim))
    for note in backbone.notes:
        say.info(note)
    with clock("fingerprints"):
        identity = _identity(task, backbone, source, stages, seed, config_text)
    with _open(workdir, identity, say) as files, loop.stoppable() as stopped:
        _write_identity(files, identity, config_text)
        with clock("encoding"):
            splits = _encode_source(source, task, backbone, say)
        position = _train_stages(
            task, backbone, head, splits, stages, seed, files, checkpoint_steps, say, clock, stopped
        )
        run = _finish(task, backbone, head, stages[-1], files)
        run.report = _report(run, source, splits, position, clock, seed, stages, say)
    return run


def _train_stages(
    task, backbone, head, splits, stages, seed, files, checkpoint_steps, say, clock, stopped
) -> loop.Position:
    """Trains what is left to train; a finished run falls through."""
    position, arrays = _resume(files, say)
    extra = {"labels": list(task.labels)}
    for number in range(position.stage, len(stages)):
        stage = stages[number]
        schedule = loop.Schedule(splits["train"], stage, (seed, number))
        position.reuse = _decide_reuse(position.reuse, stage, backbone, head, schedule, splits, say)
        prepared = prepare(stage, backbone, head, task, schedule.total_steps, position.reuse)
        variables = named_variables(backbone, head)
        if number == 0 and not arrays:
            loop.reseed(variables, (seed, 0))
        recorder = loop.Recorder(
            prepared,
            position,
            _kept(variables, stages, backbone, head),
            files,
            extra,
            say,
            checkpoint_steps,
            stopped,
        )
        if arrays:
            recorder.restore(arrays)
        arrays = {}
        if position.epoch == 0 and position.step == 0:
            loop.reseed(variables, (seed, number))
            position.before = checksums(backbone, head)
        _describe_stage(prepared, schedule, position, say)
        with clock("frozen features"):
            inputs = {
                split: Inputs(splits[split], _features(prepared, splits[split], split, say))
                for split in ("train", "validation")
                if split in splits
            }
        with clock("training"):
            loop.fit_stage(
                recorder, schedule, inputs["train"], inputs.get("validation"), say.progress
            )
        proof = prove_freeze(position.before or {}, prepared, backbone, head)
        _describe_proof(proof, stage, say)
        position.proofs.append({"name": stage.name, "groups": prepared.table, "proof": proof})
        position.stage, position.epoch, position.reuse, position.before = number + 1, 0, None, None
        recorder.checkpoint()
    return position
