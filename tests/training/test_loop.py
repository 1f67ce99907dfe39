"""Ways to train, from the first step of a run to its report: early stopping, exact resuming."""

import json
import signal

import keras
import numpy as np
import pytest
from trainings import newest, same

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.sources.base import MemorySource
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError, FreezeError
from tfft.layers.inspection import is_seed, named_variables
from tfft.reports.console import Console
from tfft.runs import environment
from tfft.runs.restore import built_head
from tfft.training import loop
from tfft.training.batching import Batching
from tfft.training.early_stopping import EarlyStopping
from tfft.training.execution import Execution
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.prepare_stage import prepare
from tfft.training.regularizers import AdversarialStep, Dropout, Mixup, NoisyEmbeddings, RDrop
from tfft.training.regularizers.dropout import set_dropout
from tfft.training.schedules import Constant
from tfft.training.stage import Stage

EVERYTHING = Stage(
    "all",
    freeze_layers=1,
    epochs=3,
    learning_rate=3e-3,
    batch_size=16,
    batching=Batching(gradient_accumulation_steps=3, oversample=True),
    regularizers=(
        Dropout({"*attention*": 0.0}),
        Mixup(0.3),
        NoisyEmbeddings(2.0),
        AdversarialStep(0.3),
        RDrop(0.5),
    ),
    early_stopping=EarlyStopping(monitor="val_loss", patience=3),
)


class Interrupting(Console):
    """Presses Ctrl-C after so many batches."""

    def __init__(self, after):
        super().__init__(quiet=True)
        self.left, self.lines = after, []

    def info(self, text):
        self.lines.append(text)

    def progress(self, title, total):
        bar = super().progress(title, total)
        if "epoch" not in title:
            return bar
        console = self

        class Entered:
            def __enter__(self):
                self.inner = bar.__enter__()
                return self

            def __exit__(self, *error):
                return bar.__exit__(*error)

            def advance(self, count):
                self.inner.advance(count)
                console.left -= 1
                if console.left == 0:
                    signal.raise_signal(signal.SIGINT)

        return Entered()


def uneven(rows=240):
    """Synthetic texts of which one class is rare in training."""
    source = synthetic(rows)
    parts = {}
    for split in source.splits:
        pairs = list(source.rows(split))
        rare = source.labels[0]
        kept = [p for i, p in enumerate(pairs) if split != "train" or p[1] != rare or i % 5 == 0]
        parts[split] = ([text for text, _ in kept], [label for _, label in kept])
    return MemorySource("uneven", parts)


def train(folder, stages, say=None, task=None, source=None):
    task = task or tfft.tasks.TextClassification(class_weights="balanced")
    return api.train(
        task,
        tiny(layers=2),
        source or uneven(),
        stages,
        workdir=folder,
        checkpoint_steps=4,
        say=say or Console(quiet=True),
        plots=False,
    )


def test_a_stopped_run_with_everything_on_continues_to_the_same_bits(tmp_path):
    train(tmp_path / "whole", (EVERYTHING,))
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", (EVERYTHING,), Interrupting(13))
    say = Interrupting(0)
    train(tmp_path / "stopped", (EVERYTHING,), say)
    assert any("continuing in" in line and "epoch 1, batch 14" in line for line in say.lines)
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))


@pytest.mark.slow
def test_stored_features_change_nothing_with_everything_on(tmp_path):
    from dataclasses import replace

    losses = []
    for kind in ("off", "memory"):
        train(tmp_path / kind, (replace(EVERYTHING, feature_cache=FeatureCache(where=kind)),))
        lines = (tmp_path / kind / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(line)["loss"] for line in lines])
    np.testing.assert_allclose(*losses, atol=1e-5)


def test_early_stopping_ends_a_stage_and_goes_on_from_the_best(tmp_path):
    """A rate that grows worse after the first epochs: the best is not the last."""
    stages = (
        Stage(
            "up",
            epochs=12,
            learning_rate=0.05,
            schedule=Constant(warmup=0),
            early_stopping=EarlyStopping(patience=2),
        ),
        Stage("then", freeze_layers="all", epochs=1, learning_rate=1e-6),
    )
    say = Interrupting(0)
    found = train(tmp_path, stages, say, tfft.tasks.TextClassification(), synthetic(240))
    curves = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    first = [record for record in curves if record["stage_number"] == 0]
    assert len(first) < 12
    assert any("ends early: val_accuracy was" in line for line in say.lines)
    assert found.report["best"]["val_accuracy"] == max(r["val_accuracy"] for r in curves)
    # The second stage hardly moves: it starts from what the best epoch had.
    best = max(first, key=lambda r: (r["val_accuracy"], -r["val_loss"]))
    assert abs(first[-1]["val_loss"] - best["val_loss"]) > 1e-4
    assert curves[-1]["val_loss"] == pytest.approx(best["val_loss"], abs=1e-5)


@pytest.mark.slow
def test_a_stage_that_had_stopped_stays_stopped_after_a_resume(tmp_path):
    stages = (
        Stage(
            "up",
            epochs=9,
            learning_rate=0.05,
            schedule=Constant(warmup=0),
            early_stopping=EarlyStopping(patience=1),
        ),
        Stage(
            "then",
            freeze_layers="all",
            epochs=3,
            learning_rate=1e-3,
            execution=Execution(steps_per_execution=1),
        ),
    )
    task, source = tfft.tasks.TextClassification, synthetic(240)
    train(tmp_path / "whole", stages, None, task(), source)
    whole = (tmp_path / "whole/metrics.jsonl").read_text().splitlines()
    steps = json.loads(whole[-1])["step"]
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "stopped", stages, Interrupting(steps - 7), task(), source)
    train(tmp_path / "stopped", stages, None, task(), source)
    assert same(newest(tmp_path / "whole"), newest(tmp_path / "stopped"))


def test_the_best_epoch_is_that_of_the_monitored_figure(tmp_path):
    """At a rate with which the second epoch is worse than the first."""
    task = tfft.tasks.TextClassification(metrics=("accuracy", "macro_f1"))
    stage = Stage(
        epochs=2,
        learning_rate=0.02,
        schedule=Constant(warmup=0),
        early_stopping=EarlyStopping(monitor="val_macro_f1"),
    )
    found = train(tmp_path, (stage,), task=task, source=synthetic(240))
    curves = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    best = max(curves, key=lambda r: (r["val_macro_f1"], -r["val_loss"]))
    assert found.report["best"]["epoch"] == best["epoch"] == 1


def test_patience_without_validation_data_is_refused_before_training(tmp_path):
    bare = synthetic(64)
    bare.splits = tuple(split for split in bare.splits if split != "validation")
    with pytest.raises(ConfigError, match="no validation split"):
        train(tmp_path, (Stage(early_stopping=EarlyStopping(patience=1)),), source=bare)
    assert not list(tmp_path.glob("checkpoints/*"))


def rates(body):
    return {
        layer.name: layer.rate
        for group in body.groups
        for outer in group.layers
        for layer in outer._flatten_layers()
        if isinstance(layer, keras.layers.Dropout)
    }


def test_dropout_at_named_places_and_back():
    body = tiny(layers=2, dropout=0.2)
    assert set(rates(body).values()) == {0.2}
    set_dropout(body, {"layer_1": 0.5, "*attention*": 0.0})
    found = rates(body)
    assert set(found.values()) == {0.2, 0.5, 0.0}
    set_dropout(body, 0.3)
    assert set(rates(body).values()) == {0.3}
    set_dropout(body, None)
    assert set(rates(body).values()) == {0.2}
    with pytest.raises(FreezeError, match=r"Dropout\.rate matches no"):
        set_dropout(body, {"layer_9": 0.1})
    with pytest.raises(ConfigError, match="cannot have the rate 1.5"):
        set_dropout(body, 1.5)


def test_dropout_of_a_stage_is_used():
    task, body = tfft.tasks.TextClassification(["a", "b"], dropout=0.0), tiny(layers=1)
    head = task.build_head(None)
    batch = {
        "token_ids": np.random.default_rng(0).integers(5, 20, (4, 6)).astype("int32"),
        "padding_mask": np.ones((4, 6), "int32"),
    }
    model = prepare(Stage(regularizers=(Dropout(0.0),)), body, head, task, 4).trained
    calm = [np.array(model(batch, training=True)) for _ in range(2)]
    assert np.array_equal(*calm)
    model = prepare(Stage(regularizers=(Dropout(0.9),)), body, head, task, 4).trained
    assert not np.array_equal(*[np.array(model(batch, training=True)) for _ in range(2)])


def test_settings_that_make_no_sense_are_refused():
    for build in (
        lambda: Batching(gradient_accumulation_steps=0),
        lambda: EarlyStopping(patience=0),
        lambda: NoisyEmbeddings(-1.0),
        lambda: RDrop(-0.1),
        lambda: Mixup(0.0),
    ):
        with pytest.raises(ConfigError, match="must be"):
            build()


def test_random_generators_follow_from_the_seed_and_the_stage():
    variables = named_variables(tiny(layers=2, dropout=0.2))

    def states(seed, stage):
        loop.reseed(variables, (seed, stage))
        return [tuple(np.array(v)) for name, v in variables.items() if is_seed(name)]

    first = states(0, 0)
    assert first == states(0, 0) and len(set(first)) == len(first) > 2
    for other in (states(1, 0), states(0, 1)):
        assert not set(first) & set(other)


@pytest.mark.usefixtures("restored_state")
def test_the_first_weights_of_a_head_follow_from_the_seed():
    task, body = tfft.tasks.TextClassification(["a", "b"]), tiny(layers=1)

    def weights(seed):
        environment.make_deterministic(seed, [Stage()], Console(quiet=True))
        return np.array(built_head(task, body).weights[0])

    assert np.array_equal(weights(0), weights(0))
    assert not np.array_equal(weights(0), weights(1))
