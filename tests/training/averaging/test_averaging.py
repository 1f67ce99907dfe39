"""EMA, SWA and WiSE-FT against their formulas, and as parts of a run that may be killed."""

import contextlib
import dataclasses
import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file
from trainings import slow

import tfft
from tfft import api
from tfft.backbones.text.tiny import tiny
from tfft.data.examples import Examples
from tfft.data.sources.synthetic import synthetic
from tfft.errors import ConfigError
from tfft.layers.inspection import named_variables
from tfft.reports.console import Console
from tfft.training import checkpointing, early_stopping
from tfft.training.averaging import EMA, SWA, WiseFT, wise_ft
from tfft.training.averaging.averaged_weights import AveragedWeights
from tfft.training.averaging.norm_statistics import NormStatistics
from tfft.training.batching import Batching
from tfft.training.early_stopping import EarlyStopping
from tfft.training.execution import Execution
from tfft.training.feature_cache.placement import FeatureCache
from tfft.training.optimizers import AdamW, KerasOptimizer
from tfft.training.optimizers.build import make_optimizer
from tfft.training.regularizers import L2SP
from tfft.training.schedules import Constant, CosineRestarts
from tfft.training.stage import GradualUnfreezing, Stage, chain, check_stage_settings

SGD = KerasOptimizer("sgd", weight_decay=0.0, global_clipnorm=None)
PLAIN = {"optimizer": SGD, "learning_rate": 0.1, "schedule": Constant(warmup=0)}
EPOCHS, STEPS = 4, 4  # of the runs below: 128 texts, 32 a batch


def stepped(steps, average, **settings):
    """Yields the optimizer, the weight and its value in numpy after each step."""
    optimizer = make_optimizer(Stage(**{**PLAIN, "averaging": (average,), **settings}), 8)
    weight, value = keras.Variable(np.ones((2, 3), "float32")), np.ones((2, 3))
    optimizer.build([weight])
    for step in range(steps):
        gradient = np.random.default_rng(step).normal(size=(2, 3)).astype("float32")
        optimizer.apply([tf.constant(gradient)], [weight])
        value = value - 0.1 * gradient
        yield optimizer, weight, value


@pytest.mark.parametrize(
    "more", [{}, {"layer_decay": 0.9}, {"learning_rate_multipliers": {"head": 2.0}}]
)
def test_ema_by_hand(more):
    average, sgd = None, dataclasses.replace(SGD, **more)
    for optimizer, weight, value in stepped(3, EMA(0.8), optimizer=sgd):
        average = value if average is None else 0.8 * average + 0.2 * value
        np.testing.assert_allclose(weight, value, rtol=1e-6)
        [(known, found)] = optimizer.pairs()
        assert known is weight
        np.testing.assert_allclose(found, average, rtol=1e-6)


def test_ema_averages_after_whole_steps_of_accumulated_gradients():
    average, values = None, []
    pairs = Batching(gradient_accumulation_steps=2)
    for number, (optimizer, weight, _) in enumerate(stepped(6, EMA(0.8), batching=pairs)):
        if number % 2:
            value = np.array(weight)
            average = value if average is None else 0.8 * average + 0.2 * value
            np.testing.assert_allclose(optimizer.pairs()[0][1], average, rtol=1e-6)
            values.append(value)
    assert not np.array_equal(values[0], values[1])


def test_swa_by_hand():
    """Eight steps, an epoch every two of them: those after the fourth and later ones count."""
    ends = []
    for number, (optimizer, weight, value) in enumerate(stepped(8, SWA(0.4))):
        if number % 2:
            optimizer.end_epoch()
            ends += [value] if number >= 3 else []
            found = [np.array(mean) for _, mean in optimizer.pairs()]
            assert len(found) == bool(ends)
            for mean in found:
                np.testing.assert_allclose(mean, np.mean(ends, 0), rtol=1e-6)
        np.testing.assert_allclose(weight, value, rtol=1e-6)
    assert int(optimizer.count) == 3


def test_two_swaps_change_no_bit():
    *_, (optimizer, weight, _) = stepped(3, EMA())
    average, [(_, kept)] = AveragedWeights(optimizer), optimizer.pairs()
    before = np.array(weight), np.array(kept)
    average.swap()
    assert np.array_equal(np.array(weight), before[1]) and np.array_equal(kept, before[0])
    average.swap()
    assert np.array_equal(np.array(weight), before[0]) and np.array_equal(kept, before[1])


@pytest.mark.parametrize("best", [0.25, 0.5, 1.0])
def test_wise_ft_by_hand(best):
    rng = np.random.default_rng(0)
    start, end = (rng.normal(size=(2, 3)).astype("float32") for _ in range(2))
    variables = {"body": keras.Variable(end), "head/kernel": keras.Variable(end)}
    seen = []

    def judge():
        seen.append(np.array(variables["body"]))
        return {"val_loss": float(np.abs(seen[-1] - ((1 - best) * start + best * end)).sum())}

    def better(one, two):
        return one["val_loss"] < two["val_loss"]

    tried = wise_ft.best_mix(variables, {"body": start}, (0.5, 0.25), judge, better)
    assert tried[0]["alpha"] == best and {one["alpha"] for one in tried} == {1.0, 0.5, 0.25}
    for alpha, mixed in zip((1.0, 0.5, 0.25), seen, strict=True):
        np.testing.assert_allclose(mixed, (1 - alpha) * start + alpha * end, rtol=1e-6)
    np.testing.assert_allclose(variables["body"], (1 - best) * start + best * end, rtol=1e-6)
    assert np.array_equal(variables["head/kernel"], end)
    if best == 1.0:
        assert np.array_equal(variables["body"], end)


def train(folder, **settings):
    """A run on 128 texts; returns it, its best weights and those of its last checkpoint."""
    settings = {"freeze_layers": 1, "epochs": EPOCHS, "learning_rate": 3e-3} | settings
    found = api.train(
        tfft.tasks.TextClassification(),
        tiny(),
        synthetic(128),
        [Stage(**settings)],
        workdir=folder,
        checkpoint_steps=3,
        say=Console(quiet=True),
        plots=False,
    )
    last = sorted(pathlib.Path(folder, "checkpoints").glob("step-*"))[-1]
    return found, load_file(pathlib.Path(folder, "best/weights.safetensors")), load_file(last)


def weights(arrays):
    """Leaves out the optimizer's state and the random generators'."""
    return {n: v for n, v in arrays.items() if not n.startswith("optimizer/") and "seed" not in n}


@pytest.fixture(scope="module")
def trace(tmp_path_factory):
    """The weights of a run without averages after each step, as (epoch, weights)."""
    found, told = [], checkpointing.Recorder.on_train_batch_end

    def tell(self, batch, logs=None):
        told(self, batch, logs)
        found.append((self.position.epoch, weights(checkpointing.values(self.variables))))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpointing.Recorder, "on_train_batch_end", tell)
        train(tmp_path_factory.mktemp("plain"))
    assert len(found) == EPOCHS * STEPS
    return found


def validation_loss(found):
    """The loss on the validation split of the model that the run serves."""
    source = synthetic(128)
    texts, labels = zip(*source.rows("validation"), strict=True)
    outputs, truth = found.outputs(texts), found.task.encode_targets(Examples((texts,), labels))
    return float(-np.log(outputs[np.arange(len(truth)), truth]).mean())


@pytest.mark.parametrize("steps", [slow(1), 3])
def test_a_run_validates_keeps_and_ends_with_its_moving_average(tmp_path, trace, steps):
    execution = Execution(steps_per_execution=steps)
    found, best, last = train(tmp_path, averaging=(EMA(0.7),), execution=execution)
    expected = trace[0][1]
    for _, now in trace[1:]:
        expected = {n: 0.7 * expected[n] + 0.3 * now[n] for n in expected}
    for name, value in expected.items():
        np.testing.assert_allclose(last[name], value, rtol=1e-4, atol=1e-6, err_msg=name)
    record = found.report["best"]
    assert record["val_loss"] == pytest.approx(validation_loss(found), abs=1e-5)
    if record["epoch"] == EPOCHS:
        assert all(np.array_equal(best[n], last[n]) for n in expected)


def test_a_run_keeps_the_mean_of_the_last_half_of_its_epochs(tmp_path, trace):
    found, _, last = train(tmp_path, averaging=(SWA(),))
    ends = {epoch: now for epoch, now in trace}
    for name, value in weights(last).items():
        expected = np.mean([ends[epoch][name] for epoch in range(EPOCHS // 2, EPOCHS)], 0)
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    assert found.report["best"]["val_loss"] == pytest.approx(validation_loss(found), abs=1e-5)


def test_a_run_mixes_with_the_pretrained_weights(tmp_path, trace, monkeypatch):
    monkeypatch.setattr(early_stopping, "better", lambda one, two, *_, **__: "alpha" in one)
    found, best, last = train(tmp_path, averaging=(WiseFT((0.5,)),))
    body = tiny()
    head = tfft.tasks.TextClassification(["a", "b"]).build_head(None)
    head.build((None, body.dim))
    start = {n: np.array(v) for n, v in named_variables(body, head).items()}
    for name, end in trace[-1][1].items():
        share = 1.0 if name.startswith("head/") else 0.5
        expected = (1 - share) * start[name] + share * end
        np.testing.assert_allclose(last[name], expected, rtol=1e-4, atol=1e-6, err_msg=name)
        assert np.array_equal(best[name], last[name])
    assert found.report["best"]["alpha"] == 0.5
    assert found.report["best"]["val_loss"] == pytest.approx(validation_loss(found), abs=1e-5)
    assert [one["alpha"] for one in found.report["stages"][0]["wise_ft"]] == [0.5, 1.0]


ALL = {
    "regularizers": (L2SP(20.0),),
    "optimizer": AdamW(layer_decay=0.8),
    "schedule": CosineRestarts(cycles=2),
}
MIX = WiseFT((0.3, 0.6))


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings,where",
    [
        ({"averaging": (EMA(0.9), MIX)}, 10),
        (
            {
                "averaging": (SWA(), MIX),
                "feature_cache": FeatureCache(where="off"),
                "execution": Execution(dtype_policy="mixed_float16"),
            },
            10,
        ),
        (
            {
                "averaging": (EMA(), MIX),
                "execution": Execution(steps_per_execution=2),
                "batching": Batching(gradient_accumulation_steps=2),
            },
            10,
        ),
        ({"averaging": (SWA(), MIX)}, "mix"),
        ({"averaging": (MIX,), "early_stopping": EarlyStopping(patience=2)}, "mix"),
    ],
)
def test_a_stopped_run_continues_to_the_same_bits(tmp_path, settings, where, monkeypatch):
    settings = {**ALL, **settings}
    if where == "mix":  # a mix is written as the best weights
        monkeypatch.setattr(early_stopping, "better", lambda one, two, *_, **__: "alpha" in one)
    whole, *arrays = train(tmp_path / "whole", **settings)
    counted, mixed = checkpointing.Recorder.on_train_batch_end, wise_ft.mix

    def stop(self, batch, logs=None):
        counted(self, batch, logs)
        if self.position.total_steps >= where:
            raise KeyboardInterrupt

    def mix_and_stop(*arguments):
        mixed(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if where == "mix":
            patch.setattr(wise_ft, "mix", mix_and_stop)
        else:
            patch.setattr(checkpointing.Recorder, "on_train_batch_end", stop)
        train(tmp_path / "stopped", **settings)
    again, *others = train(tmp_path / "stopped", **settings)
    for one, two in zip(arrays, others, strict=True):
        assert one.keys() == two.keys()
        assert all(np.array_equal(one[name], two[name]) for name in one)
    [proof] = [one["proof"] for one in again.report["stages"]]
    assert proof["trainable_moved"] and proof["frozen_bit_identical"]
    for one, two in zip(whole.report["curves"], again.report["curves"], strict=True):
        assert one["val_loss"] == two["val_loss"]
    assert whole.report["stages"][0]["wise_ft"] == again.report["stages"][0]["wise_ft"]
    assert where != "mix" or whole.report["best"]["alpha"] == again.report["best"]["alpha"] == 0.6


@pytest.mark.slow
def test_the_next_stage_starts_from_the_average(tmp_path):
    stages = [
        Stage("one", freeze_layers=1, epochs=2, learning_rate=3e-3, averaging=(SWA(),)),
        Stage(
            "two", freeze_layers="all", epochs=1, learning_rate=3e-3, averaging=(WiseFT((0.5,)),)
        ),
    ]
    found = api.train(
        tfft.tasks.TextClassification(),
        tiny(),
        synthetic(128),
        stages,
        workdir=tmp_path,
        say=Console(quiet=True),
        plots=False,
    )
    kept = sorted(pathlib.Path(tmp_path, "checkpoints").glob("step-*"))
    first, second = (weights(load_file(path)) for path in kept[-2:])
    same = [name for name in first if np.array_equal(first[name], second[name])]
    assert same and not any(name.startswith("head/") for name in same)
    assert found.report["stages"][1]["wise_ft"] == []


def test_without_validation_data_wise_ft_is_refused():
    task, stage = tfft.tasks.TextClassification(["a", "b"]), Stage(averaging=(WiseFT((0.5,)),))
    with pytest.raises(ConfigError, match="WiseFT of stage 'stage' chooses on validation data"):
        check_stage_settings(stage, task, tiny(), False)
    check_stage_settings(stage, task, tiny(), True)


def test_gradual_unfreezing_mixes_once():
    found = chain([GradualUnfreezing(Stage(averaging=(EMA(), WiseFT((0.5,)))))], tiny())
    assert [one.averaging for one in found] == [(EMA(),), (EMA(),), (EMA(), WiseFT((0.5,)))]


@pytest.mark.parametrize(
    "kind,value,said",
    [
        (EMA, 1.0, "EMA.momentum must be 0 to below 1. Received: momentum=1.0"),
        (SWA, 1.5, "SWA.start must be 0 to below 1"),
        (WiseFT, (0.5, 0.0), "WiseFT.shares must be above 0 to below 1"),
        (WiseFT, (1.0,), "WiseFT.shares must be above 0 to below 1"),
        (WiseFT, (), "WiseFT.shares is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused(kind, value, said):
    with pytest.raises(ConfigError, match=said):
        kind(value)


@pytest.mark.parametrize(
    "averaging,said",
    [
        ((EMA(), SWA()), "has EMA and SWA: a stage keeps one average"),
        ((SWA(), WiseFT(), EMA()), "has EMA and SWA: a stage keeps one average"),
        ((EMA(), EMA(0.5)), "Stage.averaging has EMA twice"),
        ((WiseFT(), WiseFT((0.5,))), "Stage.averaging has WiseFT twice"),
    ],
)
def test_a_stage_keeps_one_average(averaging, said):
    with pytest.raises(ConfigError, match=said):
        Stage(averaging=averaging)


def test_a_loop_of_one_s_own_gets_no_averages_that_it_cannot_make():
    task = tfft.tasks.TextClassification(["a", "b"])
    for average in (SWA(), WiseFT((0.5,))):
        with pytest.raises(ConfigError, match="a loop of your own"):
            tfft.build(task, tiny(), Stage(averaging=(average,)))
    model = tfft.build(task, tiny(), Stage(**PLAIN, averaging=(EMA(0.5),)))
    inputs = {n: np.full((8, 4), 5, "int32") for n in ("token_ids", "padding_mask")}
    model.fit(inputs, np.array([0, 1] * 4), epochs=2, shuffle=False, verbose=0)
    for weight, average in model.optimizer.pairs():
        assert np.array_equal(weight, average)


def test_statistics_of_a_pass_by_hand():
    """Means of the batches' means and variances; generators and momenta stay as they were."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(20, 3)).astype("float32")
    dense, dropout = keras.layers.Dense(4), keras.layers.Dropout(0.5)
    norm, still = (keras.layers.BatchNormalization(momentum=0.9) for _ in range(2))
    model = keras.Sequential([keras.Input((3,)), dense, norm, dropout, still])
    still.trainable = False
    data = tf.data.Dataset.from_tensor_slices((inputs, inputs)).batch(8)
    seed = dropout.seed_generator.state
    before = np.array(seed)

    @contextlib.contextmanager
    def progress(total):
        yield types.SimpleNamespace(advance=lambda count: counted.append((count, total)))

    counted = []
    statistics = NormStatistics(model, lambda: (data, [8, 8, 4]), [seed], progress)
    assert statistics.norms == [norm]
    statistics.recompute()
    hidden = np.array(dense(inputs), np.float64)
    batches, weights = np.split(hidden, [8, 16]), [0.4, 0.4, 0.2]
    mean = sum(share * part.mean(0) for share, part in zip(weights, batches, strict=True))
    variance = sum(share * part.var(0) for share, part in zip(weights, batches, strict=True))
    np.testing.assert_allclose(norm.moving_mean, mean, atol=1e-6)
    np.testing.assert_allclose(norm.moving_variance, variance, atol=1e-6)
    np.testing.assert_array_equal(still.moving_mean, np.zeros(4))
    np.testing.assert_array_equal(seed, before)
    assert norm.momentum == 0.9 and counted == [(8, 20), (8, 20), (4, 20)]
