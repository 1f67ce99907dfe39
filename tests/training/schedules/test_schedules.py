"""Learning rates step by step, against the formulas computed by hand and against Keras."""

import keras
import numpy as np
import pytest
from trainings import slow

import tfft
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError
from tfft.training.batching import Batching
from tfft.training.learning_rate import WarmupDecay
from tfft.training.optimizers.build import applied_rate
from tfft.training.schedules import CosineRestarts, KerasSchedule, Linear
from tfft.training.stage import Stage


def test_restarts_by_hand():
    """A warm-up of 4 steps, then three cosines of 32 steps (SGDR, equation 5)."""
    schedule = WarmupDecay(2.0, 100, 4, "restarts", cycles=3)
    for step in range(101):
        place = (step - 4) % 32 / 32 if step < 100 else 1.0
        expected = (step + 1) / 4 * 2.0 if step < 4 else 1.0 + np.cos(np.pi * place)
        assert float(schedule(step)) == pytest.approx(expected, abs=1e-5), step
    assert WarmupDecay.from_config(schedule.get_config())(36) == 2.0


@pytest.mark.parametrize("total,cycles", [(7, 3), (100, 7), slow(1999, 6), slow(3000, 9)])
def test_a_cycle_begins_at_the_peak(total, cycles):
    schedule = WarmupDecay(1.0, total, 0, "restarts", cycles=cycles)
    rates = np.array([float(schedule(step)) for step in range(total)])
    places = np.arange(total) * cycles % total / total
    np.testing.assert_allclose(rates, 0.5 * (1 + np.cos(np.pi * places)), atol=1e-5)


@pytest.mark.parametrize(
    "kind,settings,said",
    [
        (CosineRestarts, {"cycles": 1}, "CosineRestarts.cycles must be 2 or more. Received: cyc"),
        (CosineRestarts, {"cycles": 0}, "CosineRestarts.cycles must be 2 or more. Received: cyc"),
        (Linear, {"cycles": 3}, "Linear has no argument 'cycles'"),
        (Linear, {"warmup": 1.5}, "Linear.warmup must be a number of steps"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind, settings, said):
    with pytest.raises(ConfigError, match=said):
        kind(**settings)


DECAY = {"decay_steps": 3, "decay_rate": 0.5, "staircase": True}


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize(
    "name,settings",
    [("ExponentialDecay", DECAY), ("CosineDecay", {"decay_steps": 8, "warmup_steps": 0})],
)
def test_a_schedule_of_keras_counts_steps_of_the_optimizer(name, settings, every):
    """With gradients of two batches a step, two batches have the same learning rate."""
    theirs = getattr(keras.optimizers.schedules, name)(0.1, **settings)
    schedule = KerasSchedule(name, settings).build(0.1, 10, every)
    again = type(schedule).from_config(schedule.get_config())
    for batch in range(12):
        assert float(schedule(batch)) == pytest.approx(float(theirs(batch // every)), rel=1e-6)
        assert float(again(batch)) == float(schedule(batch))


def test_a_stage_trains_with_a_schedule_of_keras():
    settings = {"decay_steps": 1, "decay_rate": 0.5}
    stage = Stage(
        freeze_layers="all",
        learning_rate=0.1,
        schedule=KerasSchedule("ExponentialDecay", settings),
        batching=Batching(gradient_accumulation_steps=2),
    )
    model = tfft.build(tfft.tasks.TextClassification(["a", "b"]), tiny(layers=1), stage)
    inputs = {n: np.full((8, 4), 5, "int32") for n in ("token_ids", "padding_mask")}
    rates = []
    for _ in range(6):
        model.train_on_batch(inputs, np.array([0, 1] * 4))
        rates.append(applied_rate(model.optimizer))
    assert rates == pytest.approx([0.1, 0.1, 0.05, 0.05, 0.025, 0.025])
    assert int(model.optimizer.iterations) == 3


@pytest.mark.parametrize(
    "name,settings,said",
    [
        ("ExponentialDecai", DECAY, "'ExponentialDecai' is no schedule of Keras"),
        ("PiecewiseConstantDecay", {}, "is no schedule of Keras with initial_learning_rate"),
        ("LearningRateSchedule", {}, "is no schedule of Keras with initial_learning_rate"),
        ("ExponentialDecay", {**DECAY, "rate": 1}, "has 'rate', which ExponentialDecay does not"),
        ("ExponentialDecay", {**DECAY, "initial_learning_rate": 1}, "has 'initial_learning_rate'"),
        ("ExponentialDecay", {"decay_steps": 3}, "lacks 'decay_rate'"),
    ],
)
def test_schedules_and_settings_that_keras_does_not_have_are_refused(name, settings, said):
    with pytest.raises(ConfigError, match=said):
        KerasSchedule(name, settings)
