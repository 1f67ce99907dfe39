"""Stages: masks, schedules, optimizers, inference mode and the freeze proof."""

import dataclasses
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from trainings import slow

from tfft import api
from tfft.backbones.splitting import Prefix, Upper
from tfft.backbones.text.tiny import tiny
from tfft.errors import ConfigError, DepthError, FreezeError
from tfft.layers.inspection import named_variables
from tfft.tasks.text.text_classification import TextClassification
from tfft.tasks.text.text_regression import TextRegression
from tfft.tasks.text.token_classification import TokenClassification
from tfft.training.averaging import EMA, SWA, WiseFT
from tfft.training.batching import Batching
from tfft.training.execution import Execution
from tfft.training.freeze_proof import checksums, prove_freeze
from tfft.training.freezing import frozen_depths, frozen_names, rate_factors
from tfft.training.learning_rate import WarmupDecay
from tfft.training.optimizers import AdamW, KerasOptimizer
from tfft.training.optimizers.build import make_optimizer
from tfft.training.prepare_stage import prepare
from tfft.training.regularizers import L2SP, Mixup, RDrop, ReinitTop
from tfft.training.schedules import Constant, Linear
from tfft.training.stage import GradualUnfreezing, Stage, chain, check_stage_settings

TASK = TextClassification(["a", "b"])
BATCH = {
    "token_ids": np.random.default_rng(0).integers(5, 20, (8, 6)).astype("int32"),
    "padding_mask": np.ones((8, 6), "int32"),
}
TARGETS = np.array([0, 1] * 4)


@pytest.fixture
def body():
    return tiny(layers=3)


def make(body, reuse=False, steps=4, **settings):
    head = TASK.build_head(None)
    head.build((None, body.dim))
    settings = {"learning_rate": 1e-3, "schedule": Constant(warmup=0)} | settings
    return prepare(Stage(**settings), body, head, TASK, steps, reuse), head


@pytest.mark.parametrize("freeze_layers,groups", [(0, 0), (1, 2), (3, 4), ("all", 4)])
def test_the_proof_counts_frozen_and_moved(body, freeze_layers, groups):
    prepared, head = make(body, freeze_layers=freeze_layers)
    before = checksums(body, head)
    prepared.trained.train_on_batch(BATCH, TARGETS)
    proof = prove_freeze(before, prepared, body, head)
    frozen = [row["group"] for row in prepared.table if row["trainable"] == 0]
    assert len(frozen) == groups
    assert proof["trainable_moved"] + len(proof["cannot_move"]) + proof[
        "frozen_bit_identical"
    ] == len(before)


def test_the_proof_fails_when_a_frozen_weight_changes(body):
    prepared, head = make(body, freeze_layers=1)
    before = checksums(body, head)
    prepared.trained.train_on_batch(BATCH, TARGETS)
    weight = body.groups[0].layers[0].weights[0]
    weight.assign(weight + 1)
    with pytest.raises(FreezeError, match="frozen but changed"):
        prove_freeze(before, prepared, body, head)


def test_the_proof_fails_when_a_trained_weight_stays(body):
    prepared, head = make(body, freeze_layers=1)
    with pytest.raises(FreezeError, match="did not move"):
        prove_freeze(checksums(body, head), prepared, body, head)


def test_frozen_layers_run_without_dropout_and_others_with_it(body):
    prepared, _ = make(body, freeze_layers="all")
    prefix = prepared.split.prefix
    twice = [np.array(prefix(BATCH, training=True)) for _ in range(2)]
    assert np.array_equal(*twice)
    assert np.array_equal(twice[0], np.array(prefix(BATCH, training=False)))
    full, _ = make(body, freeze_layers=0)
    outputs = [np.array(full.split.full(BATCH, training=True)) for _ in range(2)]
    assert not np.array_equal(*outputs)


def test_a_frozen_layer_in_the_middle_runs_without_dropout(body):
    prepared, _ = make(body, freeze=("layer_1",))
    upper = prepared.split.full.get_layer("upper")
    assert upper._frozen_layers == (False, True, *[False] * (body.depth - 2))
    layer = Upper(body, 1, (True,))
    hidden = np.random.default_rng(0).normal(size=(2, 4, body.dim)).astype("float32")
    mask = np.ones((2, 4), "int32")
    assert np.array_equal(
        np.array(layer(hidden, mask, training=True)), np.array(layer(hidden, mask, training=False))
    )


def test_prefix_and_tail_are_the_full_model(body):
    split = make(body, freeze_layers=2)[0].split
    hidden = split.prefix(BATCH)
    inputs = {"hidden": np.array(hidden), "padding_mask": BATCH["padding_mask"]}
    assert np.allclose(np.array(split.tail(inputs)), np.array(split.full(BATCH)), atol=1e-6)
    assert split.frozen_layers == 2


def test_patterns_freeze_variables(body):
    prepared, head = make(body, freeze=("*/bias",))
    names = [name for name in named_variables(body, head) if name.endswith("/bias")]
    assert names and set(names) <= prepared.frozen
    before = checksums(body, head)
    prepared.trained.train_on_batch(BATCH, TARGETS)
    assert prove_freeze(before, prepared, body, head)["frozen_bit_identical"] == len(names)


def test_a_pattern_that_matches_nothing_names_the_nearest(body):
    with pytest.raises(FreezeError, match="'layer_9' in Stage.freeze matches no group") as caught:
        make(body, freeze=("layer_9",))
    assert "layer_2" in caught.value.valid


@pytest.mark.parametrize("depth", [4, 99])
def test_a_depth_beyond_the_body_is_refused(body, depth):
    with pytest.raises(DepthError, match=f"freeze_layers={depth}, but this backbone has 3 layers"):
        make(body, freeze_layers=depth)


def test_a_stage_that_trains_nothing_is_refused(body):
    with pytest.raises(FreezeError, match="trains nothing"):
        make(body, freeze=("*",))


def test_fit_refuses_a_mask_changed_by_hand(body):
    prepared, _ = make(body, freeze_layers=1)
    body.groups[2].layers[0].trainable = False
    with pytest.raises(FreezeError, match="model.compile"):
        prepared.trained.fit(BATCH, TARGETS, verbose=0)
    with pytest.raises(FreezeError, match="model.compile"):
        prepared.trained.train_on_batch(BATCH, TARGETS)


@pytest.mark.parametrize("name", ["adamw", slow("Adam"), slow("sgd"), slow("lion"), "adafactor"])
def test_optimizers_by_name(body, name):
    prepared, _ = make(body, freeze_layers=2, optimizer=KerasOptimizer(name), learning_rate=1e-2)
    assert np.isfinite(prepared.trained.train_on_batch(BATCH, TARGETS)[0])


def test_an_unknown_optimizer_names_the_nearest():
    with pytest.raises(ConfigError, match="'adamm' is no optimizer") as caught:
        make_optimizer(Stage(optimizer=KerasOptimizer("adamm")), 10)
    assert "adam" in caught.value.valid


def test_biases_and_norms_are_not_decayed(body):
    prepared, _ = make(body, learning_rate=1e-3, optimizer=AdamW(weight_decay=0.5))
    optimizer = prepared.trained.optimizer
    decayed = {
        v.path for v in prepared.trained.trainable_variables if optimizer._use_weight_decay(v)
    }
    assert any("kernel" in path for path in decayed)
    assert not any(path.endswith(("bias", "gamma", "beta")) for path in decayed)


@pytest.mark.parametrize("shape,end", [("constant", 1.0), ("linear", 0.0), ("cosine", 0.0)])
def test_schedules(shape, end):
    rates = [float(WarmupDecay(1.0, 100, 10, shape)(step)) for step in range(101)]
    assert rates[0] == pytest.approx(0.1) and rates[9] == pytest.approx(1.0)
    assert rates[100] == pytest.approx(end, abs=1e-6)
    assert rates[55] == pytest.approx({"constant": 1, "linear": 0.5, "cosine": 0.5}[shape])


def test_warmup_as_steps_and_as_a_share():
    assert Linear(warmup=7).warmup_steps(100) == 7
    assert Linear(warmup=0.25).warmup_steps(100) == 25


def test_mixed_precision_computes_in_bfloat16_and_keeps_float32_weights(body):
    prepared, _ = make(body, execution=Execution("mixed_bfloat16"), freeze_layers=1)
    assert prepared.split.prefix.output.dtype == "bfloat16"
    assert {v.dtype for v in prepared.split.full.weights} == {"float32"}
    assert prepared.split.full(BATCH).dtype == "float32"
    assert np.isfinite(prepared.trained.train_on_batch(BATCH, TARGETS)[0])


@pytest.mark.slow
def test_xla_on_request_trains_and_says_so(tmp_path):
    # In a process of its own: deterministic operations, which exclude XLA, cannot be taken back.
    code = (
        "import sys, tfft\n"
        "from tfft.data.sources.synthetic import synthetic\n"
        "stage = tfft.Stage(freeze_layers=1, steps=2, epochs=None,\n"
        "                   execution=tfft.Execution(jit_compile=True))\n"
        "run = tfft.train(tfft.tasks.TextClassification(), tfft.backbones.tiny(), synthetic(64),\n"
        "                 [stage], workdir=sys.argv[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "XLA on, float32" in done.stderr


@pytest.mark.matrix
@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_what_comes_out_of_a_part_is_what_keras_would_find(monkeypatch, precision, pooling):
    seen = []
    for part in (Prefix, Upper):

        def both(self, *args, told=part.compute_output_spec, **kwargs):
            found = told(self, *args, **kwargs)
            traced = keras.layers.Layer.compute_output_spec(self, *args, **kwargs)
            assert (found.shape, found.dtype) == (traced.shape, traced.dtype)
            seen.append(found.shape)
            return found

        monkeypatch.setattr(part, "compute_output_spec", both)
    for freeze_layers in (0, 1, "all"):
        make(tiny(pooling=pooling), freeze_layers=freeze_layers, execution=Execution(precision))
    assert {(None, None, 16), (None, 16)} == set(seen)


@pytest.mark.parametrize(
    "settings", [{"batch_size": 0}, {"learning_rate": -1.0}, {"freeze_layers": -1}]
)
def test_senseless_numbers_are_refused(settings):
    with pytest.raises(ConfigError, match="must be"):
        Stage(**settings)


def test_a_stage_has_one_part_of_each_class():
    with pytest.raises(ConfigError, match="Stage.regularizers has RDrop twice"):
        Stage(regularizers=(RDrop(1.0), RDrop(2.0)))
    with pytest.raises(ConfigError, match="Stage.averaging has EMA and SWA") as caught:
        Stage(averaging=(EMA(), WiseFT(), SWA()))
    assert caught.value.set_in == "Stage.averaging"
    with pytest.raises(ConfigError, match="Stage.regularizers must be"):
        Stage(regularizers=(EMA(),))


def test_save_and_load_agree(body, tmp_path):
    prepared, head = make(body, freeze_layers=1)
    expected = np.array(prepared.split.full(BATCH))
    prepared.split.full.save_weights(tmp_path / "w.weights.h5")
    prepared.trained.train_on_batch(BATCH, TARGETS)
    assert not np.allclose(expected, np.array(prepared.split.full(BATCH)))
    prepared.split.full.load_weights(tmp_path / "w.weights.h5")
    assert np.array_equal(expected, np.array(prepared.split.full(BATCH)))
    assert isinstance(prepared.split.full, keras.Model)


def test_layer_decay_goes_down_from_the_head(body):
    head = TASK.build_head(None)
    head.build((None, body.dim))
    stage = Stage(
        optimizer=AdamW(
            layer_decay=0.5, learning_rate_multipliers={"layer_1/*/bias": 10.0, "head": 3.0}
        )
    )
    found = rate_factors(stage, body, head)
    steps = {"embeddings": 4, "layer_0": 3, "layer_1": 2, "layer_2": 1, "head": 0}
    for name, factor in found.items():
        group = name.split("/")[0]
        extra = 3.0 if group == "head" else 10.0 if name.startswith("layer_1/") else 1.0
        extra = 1.0 if group == "layer_1" and not name.endswith("/bias") else extra
        assert factor == pytest.approx(0.5 ** steps[group] * extra), name
    assert rate_factors(Stage(), body, head) == {}


def test_every_variable_moves_at_its_own_rate(body):
    """One step of gradient descent: what moved, over what moves without factors, is the factor."""
    head = TASK.build_head(None)
    head.build((None, body.dim))
    first = {n: np.array(v) for n, v in named_variables(body, head).items()}

    def moved(**more):
        for name, variable in named_variables(body, head).items():
            variable.assign(first[name])
        stage = Stage(
            freeze_layers=1,
            learning_rate=0.5,
            schedule=Constant(warmup=0),
            optimizer=KerasOptimizer("sgd", weight_decay=0.0, global_clipnorm=None, **more),
        )
        prepared = prepare(stage, body, head, TASK, 4)
        prepared.trained.train_on_batch(BATCH, TARGETS)
        found = named_variables(body, head)
        return prepared, {n: np.array(v) - first[n] for n, v in found.items() if "seed" not in n}

    _, plain = moved()
    prepared, decayed = moved(layer_decay=0.5)
    factors = rate_factors(Stage(optimizer=AdamW(layer_decay=0.5)), body, head)
    for name, change in plain.items():
        np.testing.assert_allclose(decayed[name], change * factors[name], rtol=2e-3, atol=2e-7)
    rows = {row["group"]: row.get("rate_factors") for row in prepared.table}
    assert rows["embeddings"] is None and rows["layer_2"] == (0.5, 0.5)


def test_a_rate_for_nothing_names_the_nearest(body):
    with pytest.raises(
        FreezeError, match="'layer_7' in learning_rate_multipliers matches no group"
    ) as caught:
        make(body, optimizer=AdamW(learning_rate_multipliers={"layer_7": 2.0}))
    assert "layer_2" in caught.value.valid


def test_gradual_unfreezing_is_a_chain_of_stages(body):
    found = chain([GradualUnfreezing(Stage("up", epochs=1), layers=2)], body)
    assert [(one.name, one.freeze_layers) for one in found] == [
        ("up head", "all"),
        ("up from 1", 1),
        ("up from 0", 0),
    ]
    slowly = chain([GradualUnfreezing(Stage())], body)
    assert [one.freeze_layers for one in slowly] == ["all", 2, 1, 0]
    plain = Stage("plain", freeze_layers=1)
    assert chain([plain], body) == (plain,)
    ends = chain([GradualUnfreezing(Stage(freeze_layers=2))], body)
    assert [one.freeze_layers for one in ends] == ["all", 2]


def test_unfreezing_down_to_all_is_refused(body):
    with pytest.raises(ConfigError, match="unfreezes nothing"):
        GradualUnfreezing(Stage(freeze_layers="all"))


def test_gradual_unfreezing_takes_no_new_weights_and_no_layers_of_zero():
    with pytest.raises(ConfigError, match="freezes the layers first that ReinitTop"):
        GradualUnfreezing(Stage(regularizers=(ReinitTop(1),)))
    with pytest.raises(ConfigError, match="GradualUnfreezing.layers must be 1 or more"):
        GradualUnfreezing(Stage(), layers=0)


def test_gradual_unfreezing_is_no_stage(body):
    """It is an element of `stages` of `tfft.train`."""
    with pytest.raises(ConfigError, match="Stage has no argument 'unfreeze'") as caught:
        make(body, unfreeze="top_down")
    assert "GradualUnfreezing" in caught.value.valid
    with pytest.raises(ConfigError, match="build.stage must be"):
        api.build(TASK, body, GradualUnfreezing(Stage()))


def test_gradual_unfreezing_gives_its_settings_to_each_stage_and_wise_ft_to_the_last(body):
    stage = Stage("up", epochs=2, averaging=(EMA(0.9), WiseFT((0.5,))), regularizers=(RDrop(),))
    *before, last = chain([GradualUnfreezing(stage)], body)
    assert [one.averaging for one in before] == [(EMA(0.9),)] * 3
    assert last.averaging == stage.averaging
    for one in (*before, last):
        settings = {"name": one.name, "freeze_layers": one.freeze_layers}
        expected = dataclasses.replace(stage, averaging=one.averaging, **settings)
        assert one == expected


@pytest.mark.parametrize(
    "task, settings, message, set_in",
    [
        (
            TextRegression(),
            {"regularizers": (RDrop(),)},
            "needs outputs that are a distribution over classes, and text_regression has none",
            "Stage.regularizers",
        ),
        (
            TokenClassification(["a", "b"]),
            {"regularizers": (Mixup(),)},
            "mixes the features of two texts, and this task reads none of whole texts",
            "Stage.regularizers",
        ),
        (
            TASK,
            {"averaging": (WiseFT(),)},
            "WiseFT of stage 's' chooses on validation data: there are none",
            "Stage.averaging",
        ),
        (
            TextRegression(),
            {"batching": Batching(oversample=True)},
            "needs a class for each example, and text_regression has none",
            "Batching.oversample",
        ),
    ],
    ids=["r_drop", "mixup", "wise_ft", "oversample"],
)
def test_settings_that_do_not_fit_the_task_or_the_data_are_refused(
    body, task, settings, message, set_in
):
    has_validation = "averaging" not in settings
    with pytest.raises(ConfigError, match=message) as caught:
        check_stage_settings(Stage("s", **settings), task, body.read_for(task), has_validation)
    assert caught.value.set_in == set_in
    check_stage_settings(Stage("s", **settings), TASK, body.read_for(TASK), True)


def test_l2_sp_pulls_the_body_to_its_pretrained_weights_and_decays_the_head(body):
    """One step of gradient descent, with rates by layer, beside one without."""
    head = TASK.build_head(None)
    head.build((None, body.dim))
    named = {n: v for n, v in named_variables(body, head).items() if "seed" not in n}
    first = {n: np.array(v) for n, v in named.items()}
    rng = np.random.default_rng(0)
    start = {n: v + rng.normal(size=v.shape).astype("float32") for n, v in first.items()}

    def stage(weight_decay, *regularizers):
        return Stage(
            freeze_layers=1,
            learning_rate=0.01,
            schedule=Constant(warmup=0),
            optimizer=KerasOptimizer(
                "sgd", weight_decay=weight_decay, global_clipnorm=None, layer_decay=0.5
            ),
            regularizers=regularizers,
        )

    def stepped(pretrained, stage):
        for name, variable in named.items():
            variable.assign(first[name])
        prepared = prepare(stage, body, head, TASK, 4, pretrained=pretrained)
        for name, variable in named_variables(body, head).items():
            if "seed" in name:
                variable.assign([1, 2])  # the same dropout
        prepared.trained.train_on_batch(BATCH, TARGETS)
        return {n: np.array(v) for n, v in named.items()}, prepared

    plain, _ = stepped(None, stage(0.0))
    pulled, prepared = stepped(start, stage(0.3, L2SP(5.0)))
    factors = rate_factors(stage(0.3), body, head)
    for name, value in pulled.items():
        rate = 0.01 * factors[name]
        expected = plain[name] - rate * 5.0 * (first[name] - start[name])
        if name in prepared.frozen:
            expected = first[name]
        elif name.startswith("head/"):
            decayed = 0.3 if name.endswith("kernel") else 0.0
            expected = plain[name] - rate * decayed * first[name]
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-6, err_msg=name)
    held, _ = stepped(None, stage(0.0, L2SP(5.0)))  # it is where it starts
    for name, value in held.items():
        np.testing.assert_allclose(value, plain[name], rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.matrix
@pytest.mark.parametrize(
    "settings", [{}, slow({"freeze_layers": 0}), {"optimizer": AdamW(layer_decay=0.5)}]
)
@pytest.mark.parametrize("reuse", [False, True])
def test_half_precision_scales_the_loss_and_survives_an_overflow(body, settings, reuse):
    settings = {"freeze_layers": 1, "execution": Execution("mixed_float16")} | settings
    prepared, head = make(body, reuse=reuse, **settings)
    model, scaled = prepared.split.full, prepared.split.full.optimizer
    assert isinstance(scaled, keras.optimizers.LossScaleOptimizer)
    assert prepared.trained.optimizer is scaled
    before = checksums(body, head)
    scaled.dynamic_scale.assign(2.0**127)
    model.train_on_batch(BATCH, TARGETS)
    assert float(scaled.dynamic_scale) == 2.0**126 and int(scaled.iterations) == 0
    assert checksums(body, head) == before
    scaled.dynamic_scale.assign(2.0**10)
    model.train_on_batch(BATCH, TARGETS)
    assert float(scaled.dynamic_scale) == 2.0**10 and int(scaled.iterations) == 1
    prove_freeze(before, prepared, body, head)


def test_weights_that_are_replaced_are_not_gone_back_to(body):
    new = ReinitTop(1)
    for stage in (
        Stage(regularizers=(new, L2SP(1.0))),
        Stage(regularizers=(new,), averaging=(WiseFT((0.5,)),)),
    ):
        with pytest.raises(ConfigError, match="goes back to the pretrained weights"):
            chain((stage,), body)


def test_asking_what_is_frozen_sets_nothing():
    body, task = tiny(layers=2), TextClassification(labels=["a", "b"])
    head = task.build_head(None)
    prepare(Stage(freeze_layers=1, freeze=("*/bias",)), body, head, task, 8)
    variables = named_variables(body, head)
    before = {name: variable.trainable for name, variable in variables.items()}
    layers = [layer for group in body.groups for layer in group.layers]
    layers = [inner for layer in [*layers, head] for inner in layer._flatten_layers()]
    modes = [layer.trainable for layer in layers]
    for depth in (0, 1, 2, "all"):
        stage = Stage(freeze_layers=depth)
        names, found = frozen_names(stage, body, head), frozen_depths(stage, body, head)
        assert {name: variable.trainable for name, variable in variables.items()} == before
        assert [layer.trainable for layer in layers] == modes
        # What it says is what setting the mask does.
        fresh = tiny(layers=2)
        assert names == frozen_names(stage, fresh, head)
        assert found == frozen_depths(stage, fresh, head)


def test_accumulation_under_a_strategy_is_refused(body):
    stage = Stage("s", batching=Batching(gradient_accumulation_steps=2))
    check_stage_settings(stage, TASK, body.read_for(TASK), True)
    problem = "does not work under a distribution strategy"
    with (
        tf.distribute.MirroredStrategy(["CPU:0"]).scope(),
        pytest.raises(ConfigError, match=problem),
    ):
        check_stage_settings(stage, TASK, body.read_for(TASK), True)
