"""Where a run is, and the checkpoints that it continues from."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np

from tfft.data.length_buckets import Batch
from tfft.errors import WorkdirError
from tfft.storage.checksums import arrays_digest
from tfft.storage.workdir import BEST, Workdir
from tfft.training import early_stopping
from tfft.training.averaging.averaged_weights import AveragedWeights
from tfft.training.callbacks import StageCallbacks, describe_change
from tfft.training.optimizers.build import applied_rate
from tfft.training.prepare_stage import Prepared
from tfft.training.tensorboard import TensorBoard


@dataclasses.dataclass
class Position:
    """Where a run is; JSON-able, part of each checkpoint.

    Attributes:
      stage, epoch, step: the next batch to train on; `step` counts batches of the epoch.
      total_steps: batches since the start of the run.
      best: the record with the best validation figures so far.
      records: one a finished epoch.
      proofs: one a finished stage.
      reuse: where this stage's features are: memory, disk or off; None before that is decided.
      stopped: whether a callback has ended this stage.
      callbacks: the state of the person's callbacks.
      before: checksums of the weights as the stage began.
      best_weights: the checksum of the arrays of the best weights.
    """

    stage: int = 0
    epoch: int = 0
    step: int = 0
    total_steps: int = 0
    best: dict[str, Any] | None = None
    records: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    proofs: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    reuse: str | None = None
    stopped: bool = False
    callbacks: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    before: dict[str, str] | None = None
    best_weights: str | None = None


class Recorder(keras.callbacks.Callback):
    """Counts, shows, records and saves, at the places where `fit` calls it.

    Args:
      prepared: the stage.
      position: updated in place.
      variables: what a checkpoint holds of the model, by name.
      workdir: where it is saved; None saves nothing.
      labels: written beside the best weights.
      say: the console.
      progress: its `advance` is called with the number of examples of each batch.
      checkpoint_steps: batches between two checkpoints within an epoch, rounded up to whole
        executions.
      stopped: `runs.signals.Stop`, set when the run is asked to stop.
      lower_is_better: whether a smaller value of `EarlyStopping.monitor` is better.
      callbacks: the person's own; None for none.
    """

    def __init__(
        self,
        prepared: Prepared,
        position: Position,
        variables: dict[str, Any],
        workdir: Workdir,
        extra: dict[str, Any],
        say: Any,
        checkpoint_steps: int,
        stopped: Any,
        lower_is_better: bool = False,
        callbacks: StageCallbacks | None = None,
    ):
        super().__init__()
        self.prepared, self.position, self.variables = prepared, position, variables
        self.workdir, self.extra, self.say = workdir, extra, say
        self.checkpoint_steps, self.stopped = checkpoint_steps, stopped
        self.lower_is_better, self.callbacks = lower_is_better, callbacks
        self.average = AveragedWeights(prepared.trained.optimizer)
        self.mixed: list[dict[str, float]] = []
        self.metric_values: dict[str, np.ndarray] = {}
        self.plan: list[Batch] = []
        self.progress: Any = None
        self.log = TensorBoard(workdir.path / "tensorboard", say.warn)

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Puts the values of a checkpoint into the model and, within a stage, the optimizer."""
        assign(self.variables, arrays)
        optimizer = self.prepared.trained.optimizer.variables
        saved = {name: value for name, value in arrays.items() if name.startswith("optimizer/")}
        for number, variable in enumerate(optimizer if saved else []):
            variable.assign(saved[f"optimizer/{number:04d}"])
        self.metric_values = {n: v for n, v in arrays.items() if n.startswith("metric/")}
        if self.callbacks is not None:
            self.callbacks.restore(self.position.callbacks, arrays, self.say.warn)
        elif self.position.callbacks:
            self.say.warn(describe_change(self.position.callbacks, ()))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began, self.first = time.monotonic(), self.position.step

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Counts the batches of one execution; `batch` is the last one's number in this `fit`.

        Keras counts full executions, also where the epoch ends within one.
        """
        position = self.position
        self._add_saved_metrics()
        done = min(self.first + batch + 1, len(self.plan))
        self._refuse_divergence(logs or {}, done)
        self.progress.advance(sum(len(each.rows) for each in self.plan[position.step : done]))
        before = position.total_steps
        position.total_steps += done - position.step
        position.step = done
        if position.step == len(self.plan) or self.model.stop_training:
            self.average.end_epoch()
            return  # the end of the epoch saves, with the validation figures
        due = position.total_steps // self.checkpoint_steps > before // self.checkpoint_steps
        if due or self.stopped.is_set():
            self.checkpoint()
        if self.stopped.is_set():
            raise KeyboardInterrupt

    def _refuse_divergence(self, logs: Mapping[str, Any], done: int) -> None:
        """Raises a DivergenceError if the loss is not finite after `done` batches of the epoch.

        Keras has converted the values of `logs` to Python numbers, so this waits for no device.
        """
        if all(math.isfinite(logs.get(name, 0.0)) for name in early_stopping.LOSSES):
            return
        position, first = self.position, self.position.step + 1
        batches = f"batch {done}" if first >= done else f"batches {first} to {done}"
        steps = position.total_steps + max(done - position.step, 0)
        where = "after" if "val_loss" in logs else f"in {batches} of"
        place = f"{where} epoch {position.epoch + 1} (step {steps} of the run)"
        rate = applied_rate(self.prepared.trained.optimizer)
        early_stopping.refuse_divergence(self.prepared.stage, logs, place, rate)

    def _add_saved_metrics(self) -> None:
        """Adds a resumed epoch's sums to those of its first batch.

        Not earlier: `fit` resets the metrics, and Keras makes some of them in the first step.
        """
        for number, variable in enumerate(self.prepared.trained.metrics_variables):
            if self.metric_values:
                variable.assign_add(self.metric_values[f"metric/{number:04d}"])
        self.metric_values = {}

    def on_test_begin(self, logs: Any = None) -> None:
        self.average.swap()

    def on_test_end(self, logs: Any = None) -> None:
        self.average.swap()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        position = self.position
        self._refuse_divergence(logs or {}, position.step)
        position.epoch, position.step = epoch + 1, 0
        position.stopped = bool(self.model.stop_training)
        record: dict[str, Any] = {
            "stage": self.prepared.stage.name,
            "stage_number": position.stage,
            "epoch": epoch + 1,
            "step": position.total_steps,
            **{name: float(value) for name, value in (logs or {}).items()},
            "learning_rate": float(self.prepared.trained.optimizer.learning_rate),
            "seconds": time.monotonic() - self.began,
        }
        position.records.append(record)
        watched, lower = self.prepared.stage.early_stopping.monitor, self.lower_is_better
        best = position.best is None or early_stopping.better(
            record, position.best, watched, lower=lower
        )
        if watched and not math.isfinite(record[watched]):
            self.say.warn(f"{watched} is {record[watched]}: the epoch cannot be the best one")
        if best:
            position.best = record
        self.log.write(record)
        self.checkpoint(best)
        self.say.info(_line(record))
        if self.stopped.is_set():
            raise KeyboardInterrupt

    def checkpoint(self, best: bool = False) -> None:
        """Writes all that a resumed run needs, beside the next batches.

        Args:
          best: whether the weights are kept as the best ones too.
        """
        model, position = self.prepared.trained, self.position
        weights = values(self.variables)
        kept = weights | self.average.values(self.variables) if best else {}
        others: dict[str, np.ndarray] = {}
        for kind, variables in [
            ("optimizer", model.optimizer.variables),
            ("metric", model.metrics_variables if position.step else []),
        ]:
            others |= {f"{kind}/{i:04d}": np.array(v) for i, v in enumerate(variables)}
        if self.callbacks is not None:
            position.callbacks, arrays = self.callbacks.state()
            others |= arrays
        state, steps = dataclasses.asdict(position), position.total_steps

        def write() -> None:
            if best:
                record = {**self.extra, **state["records"][-1]}
                position.best_weights = self.workdir.save(BEST, kept, record)
            state["best_weights"] = position.best_weights
            self.workdir.save_checkpoint(steps, weights | others, state)
            self.workdir.write_records(state["records"])  # may wait for a server of MLflow

        self.workdir.later(write)

    def restore_best(self) -> None:
        """Puts back the best weights when they are of this stage."""
        best = self.position.best
        if best is not None and best["stage_number"] == self.position.stage:
            self.workdir.finish()
            assign(self.variables, self.workdir.load(BEST)[0])


def newest_position(
    files: Workdir, stages: int, say: Any
) -> tuple[dict[str, np.ndarray] | None, Position]:
    """Returns the arrays and the position of the newest checkpoint that is whole.

    Args:
      files: the run's folder.
      stages: number of stages of the run.
      say: the console, which gets a warning for each damaged checkpoint.

    Returns:
      None and the position at the beginning if there is no checkpoint.

    Raises:
      WorkdirError: the checkpoint's stage is beyond the last one.
    """
    found = files.newest_checkpoint(say.warn)
    if found is not None:
        return found[0], position_of(files, found[1], stages)
    if (files.path / BEST).exists():
        say.warn(f"{files.path} holds no checkpoint: the training begins again")
    return None, Position()


def position_of(files: Workdir, state: Any, stages: int) -> Position:
    """Returns the position of a checkpoint of a run.

    Args:
      files: the run's folder.
      state: of the checkpoint.
      stages: number of stages of the run.

    Raises:
      WorkdirError: the stage is beyond the last one, or the state is no position.
    """
    try:
        position = Position(**state)
    except TypeError as error:
        raise beyond_plan(files, str(error)) from error
    place = (position.stage, position.epoch, position.step, position.total_steps)
    if any(type(number) is not int or number < 0 for number in place) or place[0] > stages:
        where = "stage {}, epoch {}, batch {}, step {}".format(*place)
        raise beyond_plan(files, f"{where} of {stages} stages")
    return position


def beyond_plan(files: Workdir, place: str) -> WorkdirError:
    """Returns the error about a checkpoint whose place is not in the plan of its run."""
    return WorkdirError(
        f"the newest checkpoint in {files.path} is at a place that the run does not have: {place}.",
        set_in=str(files.path / "checkpoints"),
        valid="the same command in another folder",
    )


def ensure_best(
    files: Workdir, position: Position, names: Iterable[str], extra: dict[str, Any], say: Any
) -> None:
    """Writes damaged best weights again if a checkpoint holds the same ones.

    Args:
      files: the run's folder.
      position: of the checkpoint from which the run continues.
      names: of the variables that a checkpoint holds of the model.
      extra: what the state of the best weights holds beside their record.
      say: the console, which gets a warning.

    Raises:
      WorkdirError: no checkpoint holds them.
    """
    if position.best is None:
        return
    try:
        record, own = files.load(BEST)[1], files.arrays_checksum(BEST)
        mixed = "wise_ft" in record and record["stage_number"] == position.stage
        # A process may have been killed between these weights and the checkpoint after them.
        if own == position.best_weights or mixed or record["step"] > position.total_steps:
            return
        problem = f"{files.path / BEST} is damaged: it is not of epoch {position.best['epoch']}."
    except WorkdirError as error:
        problem = error.problem
    for name in files.checkpoints():
        with contextlib.suppress(WorkdirError):
            arrays = files.load(name)[0]
            kept = {each: arrays[each] for each in names}
            if arrays_digest(kept) == position.best_weights:
                files.save(BEST, kept, {**extra, **position.best})
                say.warn(f"{problem} {name} holds the same weights: they are written again.")
                return
    raise WorkdirError(
        f"{problem} No checkpoint holds these weights.",
        set_in=str(files.path / BEST),
        valid="the file that the run wrote; or the same command in another folder, which trains "
        f"again, or in this one without {files.path / 'checkpoints'} and {files.path / 'best'}",
    )


def values(variables: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns copies of the variables' values."""
    return {name: np.array(variable) for name, variable in variables.items()}


def assign(variables: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
    """Sets the variables to saved values of the same names."""
    for name, variable in variables.items():
        variable.assign(arrays[name])


def _line(record: dict[str, Any]) -> str:
    shown = ("loss", "accuracy", "val_loss", "val_accuracy")
    figures = "  ".join(f"{name} {record[name]:.4f}" for name in shown if name in record)
    return f"{record['stage']}, epoch {record['epoch']}: {figures}  ({record['seconds']:.0f} s)"
