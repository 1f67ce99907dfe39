"""What is kept of a run's answers, and what they are compared with."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

import numpy as np

from tfft.baselines.base import Floor
from tfft.data.decoded_rows import located_failures
from tfft.data.example_reader import ExampleReader
from tfft.data.examples import Examples
from tfft.errors import WorkdirError
from tfft.evaluation import inference
from tfft.layers.inspection import named_variables
from tfft.runs.trainer import Trainer
from tfft.tasks.base import modality_of, predict_fn
from tfft.tasks.definition_checks import check_baselines
from tfft.training import loop
from tfft.training.feature_cache.cache_keys import Cut
from tfft.training.feature_cache.tower_features import TowerCut
from tfft.training.model import assemble
from tfft.training.stage import Stage

FEATURES = "frozen_features_logistic_regression"
PRETRAINED = "pretrained"
BEFORE = {FEATURES, PRETRAINED}
FEATURES_FILE = "floors/frozen_features.safetensors"


def before_training(job: Trainer, stages: Sequence[Stage], split: str) -> dict[str, Floor]:
    """Returns the floor that needs the body as it was pretrained, by its name.

    Where the head has no weights of its own it is the model before the training, else a simple
    model on frozen features: what the first stage reuses of them is computed on the way.

    Args:
      job: with its splits encoded, nothing trained yet.
      stages: of the run.
      split: the one to evaluate.
    """
    shared = job.part.floors if job.part and job.part.floors is not None else {}
    own = [name for name in named_variables(job.backbone, job.head) if name.startswith("head/")]
    name = FEATURES if own else PRETRAINED
    if name not in shared:
        with located_failures(job.splits.values()):
            shared[name] = _feature_floor(job, stages, split) if own else _pretrained(job, split)
    return {name: shared[name]}


def _pretrained(job: Trainer, split: str) -> Floor:
    """Returns the answers of the model whose training has not begun."""
    encoded = job.splits[split]
    model = assemble(job.backbone, job.head, frozenset()).full
    told = f"before the training, {split}"
    with job.clock("floors"), job.say.progress(told, encoded.size) as bar:
        return Floor(inference.predict(predict_fn(job.task, model), encoded, advance=bar.advance))


def _feature_floor(job: Trainer, stages: Sequence[Stage], split: str) -> Floor:
    """Fits the floor, continuing from what the first stage reuses, or takes the one it has kept."""
    if (job.files.path / FEATURES_FILE).exists():
        try:
            arrays, described = job.files.load(FEATURES_FILE)
            return Floor(arrays["outputs"], described)
        except WorkdirError as error:
            job.say.warn(f"{error.problem} The baseline is computed again.")
    first, cuts = stages[0], job.cuts(stages)
    schedule = loop.Schedule(job.splits["train"], first, (job.seed, 0))
    kind = job.decide(first, cuts, schedule).kind
    for name in ("train", "validation"):
        if name in job.splits:
            job.inputs(first, name, cuts, kind)
    began = time.monotonic()
    with job.clock("floors"):
        top = {
            name: TowerCut(Cut(tower.depth, True)) for name, tower in job.backbone.towers.items()
        }
        where, rows = "memory" if kind == "off" else kind, job.sample_rows("train")
        train, held_out = (
            _of_examples(job.features.inputs(name, job.splits[name], top, where, False), of_split)
            for name, of_split in (("train", rows), (split, None))
        )
        fitted = job.splits["train"] if rows is None else job.splits["train"].take(rows)
        floor = job.task.build_evaluator().frozen_feature_baseline(train, fitted.targets, held_out)
        if rows is not None:
            floor.described["training_texts"] = job.splits["train"].size
    job.files.save(FEATURES_FILE, {"outputs": floor.outputs}, floor.described)
    job.say.info(
        f"floor: frozen features with logistic regression on {floor.described['fitted_on']:,} of "
        f"{floor.described['training_texts']:,} training {modality_of(job.task)}s, in "
        f"{time.monotonic() - began:.1f} s"
    )
    return floor


def _of_examples(inputs: ExampleReader, examples: np.ndarray | None) -> np.ndarray:
    """Returns the pooled features of each example, float32 [n d], those of all towers.

    Those of a text in windows are the mean of its windows' ones.

    Args:
      examples: numbers of the examples; None for all.
    """
    if inputs.towers:
        return np.hstack([_of_examples(part, examples) for part in inputs.towers.values()])
    encoded, features = inputs.encoded, inputs.features
    assert features is not None
    windows = encoded.windows
    numbers = np.arange(len(encoded.tokens.lengths)) if examples is None else examples
    if windows is not None and examples is not None:
        windows, numbers = windows.take(examples)
    rows = features.first(numbers).astype(np.float32)
    if windows is None:
        return rows
    return np.add.reduceat(rows, windows.offsets[:-1]) / windows.counts[:, None]


def floors_of(
    job: Trainer, train: Examples, held_out: Examples, more: Mapping[str, Floor]
) -> dict[str, Floor]:
    """Returns all floors of a run, those of the runs of a plan on the same splits once.

    Args:
      train: to fit on.
      held_out: the evaluated examples.
      more: the floors that are there already.
    """
    shared = job.part.floors if job.part and job.part.floors is not None else {}
    if not shared.keys() - BEFORE:
        evaluator = job.task.build_evaluator()
        shared |= check_baselines(evaluator, evaluator.baselines(train, held_out, job.say.info))
    return {**{name: floor for name, floor in shared.items() if name not in BEFORE}, **more}
