"""`model.fit` for one stage, from wherever it stopped, with everything saved that it takes.

A checkpoint holds the trained variables, the optimizer's, the metrics' and the random generators'
state, and the place in the epoch; the order of the batches follows from the seed. So a run that
was killed ends with the same bits as one that was not.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from tfft.data.example_reader import ExampleReader
from tfft.data.length_buckets import Batch, batch_shapes, plan_epoch
from tfft.layers.inspection import is_seed
from tfft.training import early_stopping
from tfft.training.averaging.norm_statistics import norm_statistics
from tfft.training.batch_plan import Schedule
from tfft.training.checkpointing import Recorder


def fit_stage(
    recorder: Recorder,
    schedule: Schedule,
    train: ExampleReader,
    validation: ExampleReader | None,
) -> None:
    """Trains one stage from the recorder's position to its end.

    `fit` is called once an epoch: each has a plan of its own, and a resumed one begins within it.
    A person's callbacks see one long `fit`, see `StageCallbacks`.
    """
    position, stage, lower = recorder.position, schedule.stage, recorder.lower_is_better
    batches = None if validation is None else validation.dataset(_all_rows(validation, schedule))
    if stage.averaging:
        recorder.average.statistics = norm_statistics(recorder, schedule, train)
    with closing(recorder.log):
        for epoch in range(position.epoch, schedule.epochs):
            why = early_stopping.exhausted(position.records, position.stage, stage, lower)
            if position.stopped and not why:
                why = f"stage {stage.name!r} ends early: a callback stopped it"
            if why:
                recorder.say.info(why)
                break
            _fit_epoch(recorder, schedule, epoch, train, batches)
    if recorder.callbacks is not None:
        recorder.callbacks.end_stage()
    recorder.average.keep()
    if stage.early_stopping.patience is not None:
        recorder.restore_best()
    for average in stage.averaging:
        average.end_stage(recorder, batches)


def _fit_epoch(
    recorder: Recorder, schedule: Schedule, epoch: int, train: ExampleReader, validation: Any
) -> None:
    """Trains the batches of an epoch that are left, and validates."""
    position = recorder.position
    recorder.plan = schedule.plan(epoch)
    rows = sum(len(batch.rows) for batch in recorder.plan[position.step :])
    title = f"{schedule.stage.name}, epoch {epoch + 1}/{schedule.epochs}"
    callbacks = [] if recorder.callbacks is None else [recorder.callbacks]
    for each in callbacks:
        each.resume_epoch(position.step)
    weights, seed = schedule.weights(epoch), (*schedule.seed, epoch)
    progress = recorder.say.progress(title, rows)
    with progress as recorder.progress, recorder.stopped.deferred():
        recorder.prepared.trained.fit(
            train.dataset(recorder.plan, position.step, weights, seed),
            initial_epoch=epoch,
            epochs=epoch + 1,
            validation_data=validation,
            callbacks=[*callbacks, recorder],
            shuffle=False,
            verbose=0,
        )


def _all_rows(validation: ExampleReader, schedule: Schedule) -> list[Batch]:
    """Returns the batches of the validation split."""
    lengths, size = validation.encoded.sizes, schedule.stage.batch_size
    if schedule.stage.batching.padded_lengths is None:
        shapes = batch_shapes(lengths, size, None)
    else:
        shapes = schedule.shapes
    shapes = (*shapes, int(lengths.max())) if lengths.max() > shapes[-1] else shapes
    return plan_epoch(lengths, shapes, size)


def reseed(variables: dict[str, Any], seed: tuple[int, ...]) -> None:
    """Gives each random generator of the model a state that follows from the seed alone."""
    seeds = [variable for name, variable in variables.items() if is_seed(name)]
    for number, variable in enumerate(seeds):
        state = np.random.SeedSequence([*seed, number]).generate_state(len(np.array(variable)))
        variable.assign(state)
