"""A loss that is NaN or infinite stops the stage, and the same command does not train on."""

import json
import math

import keras
import pytest
from trainings import newest, slow

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.synthetic import synthetic
from tfft.errors import DivergenceError, UserError
from tfft.reports.console import Console
from tfft.training.batching import Batching
from tfft.training.execution import Execution
from tfft.training.optimizers import KerasOptimizer
from tfft.training.regularizers import RDrop
from tfft.training.schedules import Constant, Linear
from tfft.training.stage import Stage

BURST = {"optimizer": KerasOptimizer("sgd", global_clipnorm=None), "schedule": Constant(warmup=0)}
BURST |= {"learning_rate": 1e30, "batch_size": 8}


class Counting(Console):
    """Counts the examples that were trained on, and keeps lines."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def info(self, text):
        self.lines.append(text)


def train(folder, *stages, source=None, task=None, **settings):
    return api.train(
        task or tfft.tasks.TextClassification(),
        tiny(layers=1),
        source or synthetic(96),
        stages,
        workdir=folder,
        say=settings.pop("say", Console(quiet=True)),
        **settings,
        plots=False,
    )


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"execution": Execution(steps_per_execution=4)},
        slow({"batching": Batching(gradient_accumulation_steps=3)}),
        slow({"regularizers": (RDrop(0.5),)}),
        {"execution": Execution("mixed_float16")},
    ],
    ids=["plain", "steps_per_execution", "gradient_accumulation_steps", "r_drop", "mixed_float16"],
)
def test_a_loss_that_is_not_finite_stops_the_stage(settings, tmp_path):
    stage = Stage("burst", epochs=40, **BURST, **settings)
    with pytest.raises(DivergenceError) as caught:
        train(tmp_path, stage)
    error = caught.value
    assert isinstance(error, UserError)
    assert "of stage 'burst' is" in error.problem and "epoch 1 (step" in error.problem
    assert "at learning rate 1e+30" in error.problem
    assert error.set_in == "Stage.learning_rate=1e+30" and "global_clipnorm = 1.0" in error.valid
    half = stage.execution.dtype_policy == "mixed_float16"
    assert ('Execution.dtype_policy = "mixed_bfloat16"' in error.valid) == half
    if stage.execution.steps_per_execution == 4:
        assert "in batches 1 to 4 of epoch 1 (step 4 of the run)" in error.problem


def test_the_same_command_says_the_same_at_once_and_keeps_the_checkpoint(tmp_path):
    good = Stage("good", epochs=1, batch_size=8, learning_rate=1e-3)
    problems = []
    for _ in range(2):
        say = Counting()
        with pytest.raises(DivergenceError) as caught:
            train(tmp_path, good, Stage("burst", epochs=40, **BURST), say=say)
        problems.append(str(caught.value))
    assert problems[0] == problems[1]
    assert not any("continuing" in line or "epoch 1:" in line for line in say.lines)
    assert newest(tmp_path).name == "step-000000012.safetensors"  # of the end of the first stage
    [record] = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert record["stage"] == "good" and math.isfinite(record["val_loss"])


def test_check_stops_too():
    class Broken(tfft.tasks.TextClassification):
        def build_loss(self, head=None):
            return lambda y, out: keras.ops.mean(out) * float("nan")

    with pytest.raises(DivergenceError, match="in the first step, at learning rate 5e-05"):
        stage = Stage(schedule=Linear(warmup=0), epochs=1)
        api.check(Broken(), tiny(layers=1), synthetic(32), [stage], say=Console(quiet=True))


def test_a_validation_loss_that_is_not_finite_stops_the_stage(tmp_path):
    """The training loss is that of the steps; the weights of the last one break the validation."""
    with pytest.raises(DivergenceError, match=r"val_loss of stage 'burst' is .* after epoch 1"):
        train(tmp_path, Stage("burst", epochs=3, **{**BURST, "batch_size": 96}))
