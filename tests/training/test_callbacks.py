"""Keras callbacks that are given to `train` see each stage as one long `fit`."""

import dataclasses
import json

import keras
import numpy as np
import pytest
from trainings import slow

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.reports.console import Console
from tfft.training.schedules import Constant

QUIET = Console(quiet=True)
STAGE = tfft.Stage(
    freeze_layers="all",
    epochs=3,
    batch_size=16,
    learning_rate=1e-2,
    schedule=Constant(warmup=0),
    execution=tfft.Execution(steps_per_execution=1),
)
PLACES = [name for name in dir(keras.callbacks.Callback) if name.startswith("on_")]


class Events(keras.callbacks.Callback):
    """Lists what is called, with numbers and the names of the logs."""

    def __init__(self):
        super().__init__()
        self.events = []


def _record(name):
    def method(self, *arguments, logs=None):
        numbers = [each for each in arguments if isinstance(each, int)]
        found = next((each for each in arguments if isinstance(each, dict)), logs) or {}
        self.events.append([name, *numbers, sorted(found) if name.endswith("end") else []])

    return method


for place in PLACES:
    setattr(Events, place, _record(place))


class Stop(keras.callbacks.Callback):
    """Ends the process as Ctrl-C does, after a number of batches, which no checkpoint restores."""

    left = 0

    def on_train_batch_end(self, batch, logs=None):
        Stop.left -= 1
        if Stop.left == 0:
            raise KeyboardInterrupt


def stop(batches):
    Stop.left = batches
    return Stop()


def train(folder, *callbacks, stages=(STAGE,), say=QUIET, **settings):
    task = tfft.tasks.TextClassification()
    settings = {"plots": False, "checkpoint_steps": 2, "say": say} | settings
    return tfft.train(
        task, tiny(), synthetic(128), stages, workdir=folder, callbacks=callbacks, **settings
    )


def plain_fit(callback, epochs, steps, validation_steps):
    """Trains a model of Keras with the metrics of a classification."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    data = [(np.ones((n * 4, 1)), np.ones(n * 4, int)) for n in (steps, validation_steps)]
    settings = {"batch_size": 4, "epochs": epochs, "verbose": 0}
    model.fit(*data[0], validation_data=data[1], callbacks=[callback], **settings)


def test_a_stage_is_one_long_fit(tmp_path):
    ours, theirs = Events(), Events()
    stages = (STAGE, dataclasses.replace(STAGE, name="second", epochs=2))
    train(tmp_path, ours, stages=stages)
    names = [event[0] for event in ours.events]
    assert names.count("on_train_begin") == names.count("on_train_end") == 2
    end = names.index("on_train_end") + 1
    first, second = ours.events[:end], ours.events[end:]
    for events, epochs in ((first, 3), (second, 2)):
        counts = [event[0] for event in events]
        steps = counts.count("on_train_batch_begin") // epochs
        tests = counts.count("on_test_batch_begin") // epochs
        theirs.events = []
        plain_fit(theirs, epochs, steps, tests)
        assert events == theirs.events and steps > 1 and tests


def test_early_stopping_of_keras_ends_the_stage_and_the_next_one_begins(tmp_path):
    stopping = keras.callbacks.EarlyStopping("val_loss", patience=1, min_delta=10.0)
    stages = (dataclasses.replace(STAGE, epochs=9), dataclasses.replace(STAGE, name="second"))
    found = train(tmp_path, stopping, stages=stages)
    epochs = [(record["stage"], record["epoch"]) for record in found.report["curves"]]
    assert epochs == [("stage", 1), ("stage", 2), ("second", 1), ("second", 2)]
    assert stopping.stopped_epoch == 1


def test_a_plateau_reduces_the_learning_rate(tmp_path):
    plateau = keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=10.0)
    found = train(tmp_path, plateau, stages=(dataclasses.replace(STAGE, epochs=4),))
    rates = [record["learning_rate"] for record in found.report["curves"]]
    assert rates == pytest.approx([1e-2, 5e-3, 2.5e-3, 1.25e-3])


def test_a_learning_rate_of_two_masters_is_refused(tmp_path):
    stage = dataclasses.replace(STAGE, schedule=Constant(warmup=2))
    with pytest.raises(ConfigError, match="ReduceLROnPlateau sets the learning rate") as caught:
        train(tmp_path, keras.callbacks.ReduceLROnPlateau(), stages=(stage,))
    assert "Constant(warmup=0)" in caught.value.valid and not list(tmp_path.iterdir())


def test_an_exception_of_a_callback_passes_through_and_the_run_can_go_on(tmp_path):
    class Pruned(Exception):
        pass

    class Pruning(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1 and logs["val_loss"] > 0:
                raise Pruned

    with pytest.raises(Pruned):
        train(tmp_path, Pruning())
    found = train(tmp_path)
    assert [record["epoch"] for record in found.report["curves"]] == [1, 2, 3]


@pytest.mark.parametrize("batches", [slow(3), 7])
def test_a_stopped_run_continues_with_the_state_of_its_callbacks(tmp_path, batches):
    def callbacks():
        return [
            keras.callbacks.ReduceLROnPlateau("loss", 0.5, patience=1, min_delta=10.0),
            keras.callbacks.EarlyStopping(
                "val_loss", patience=2, min_delta=10.0, restore_best_weights=True
            ),
        ]

    stage = dataclasses.replace(STAGE, epochs=5, freeze_layers=1)
    whole, parts = callbacks(), callbacks()
    straight = train(tmp_path / "whole", *whole, stop(0), stages=(stage,))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "parts", *callbacks(), stop(batches), stages=(stage,))
    again = train(tmp_path / "parts", *parts, stop(0), stages=(stage,))
    curves = [
        [{k: v for k, v in record.items() if k != "seconds"} for record in run.report["curves"]]
        for run in (straight, again)
    ]
    assert curves[0] == curves[1] and len(curves[0]) == 3  # the patience ended it
    for one, two in zip(whole, parts, strict=True):
        assert json.dumps(_plain(one)) == json.dumps(_plain(two))
    texts = ["a film of plot", "mark"]
    np.testing.assert_array_equal(straight.outputs(texts), again.outputs(texts))


def _plain(callback):
    return {k: v for k, v in vars(callback).items() if isinstance(v, int | float | str)}


def test_what_a_checkpoint_cannot_hold_is_reported(tmp_path, capsys):
    seen = []
    functions = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, functions, stop(6))
    train(tmp_path, functions, stop(0), say=Console())
    error = capsys.readouterr().err
    assert "what its functions remember of the callback LambdaCallback" in error
    assert seen == [0, 1, 2]


@pytest.mark.parametrize("now", [[Events()], []], ids=["others", "none"])
def test_other_callbacks_than_before_are_reported(tmp_path, capsys, now):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, stop(6))
    train(tmp_path, *now, say=Console())
    names = "Events" if now else "none"
    problem = f"stopped with the callbacks Stop and continues with {names}"
    assert problem in capsys.readouterr().err
